"""Layer files written layer by layer: what faults are shown on, and what tests run."""

from collections.abc import Mapping
from typing import Any


class Net:
    """A network that grows; what adds to it gives it back.

    `dims` are the values per case of a first layer ``data``, `labels` those of a layer ``labels``; by default there is
    neither. `layers` and `params` have the keys and values of the sections of the layer-definition and of the
    layer-parameter file, by name.
    """

    def __init__(self, dims: int | None = None, labels: int | None = None) -> None:
        self.layers: dict[str, dict[str, Any]] = {}
        self.params: dict[str, dict[str, Any]] = {}
        for index, (name, values) in enumerate({"data": dims, "labels": labels}.items()):
            if values is not None:
                self.add(name, "data", dataIdx=index, dims=values)

    def add(self, name: str, kind: str, inputs: str = "", params: dict[str, Any] | None = None, **keys: Any) -> "Net":
        """Add a layer of a ``type``, `kind`, on the layers below, whose names are parted by commas.

        `params` is what the layer-parameter file says about the layer, `keys` what the layer-definition file says
        besides.
        """
        self.layers[name] = {"type": kind} | ({"inputs": inputs} if inputs else {}) | keys
        if params:
            self.params[name] = params
        return self

    def softmax_cost(self, inputs: str, cost: str = "logprob", **params: Any) -> "Net":
        """Add a softmax, ``probs``, of a layer, and its cost.logreg against ``labels``, with parameters of the cost."""
        return self.add("probs", "softmax", inputs).add(cost, "cost.logreg", "labels,probs", params)

    def files(self) -> tuple[str, str]:
        """Texts of the two layer files: the definition, the parameters."""
        return sections(self.layers), sections(self.params)


def sections(layers: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of a layer file, from keys and values by layer."""
    return "".join(f"\n[{name}]\n{lines(keys)}" for name, keys in layers.items())


def lines(keys: Mapping[str, Any]) -> str:
    """The lines of a section, from keys and values."""
    return "".join(f"{key}={value}\n" for key, value in keys.items())
