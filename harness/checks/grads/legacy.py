"""Rows of the historical check, and which quirks of the engine of 2012 explain the gradients that fail it."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...engines import find
from ...errors import Unsupported
from ...network.load import LayerSpec, Network
from ...quirks import LEDGER
from ...quirks.settings import open_session, switches
from ...reference import facts
from ...values import inputs
from .historical import CASES, THRESHOLD, Checker, Ratio, first_step, weighted
from .row import GradientRow
from .units import values

ENGINE = "legacy-cpu"
REDRAWS = 2


class Historical:
    """The historical check of a network.

    ``network``: all learning rates positive; of `historical.historical_network`.
    ``elements``: how many elements of each tensor are moved; 0: all.
    """

    def __init__(self, network: Network, seed: int, elements: int) -> None:
        self.network, self.seed, self.elements = network, seed, elements
        self.engine = find(ENGINE)
        self._others: list[Checker] | None = None
        self.data = inputs.make(network, "random", CASES, seed).data
        self.values = {
            layer: {
                name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in tensors.items()
            }
            for layer, tensors in values(network, seed).items()
        }

    def rows(self) -> Iterator[GradientRow]:
        """Yield the row of every weight matrix and bias; one row with the reason if the engine cannot run."""
        able, reason = self.engine.probe()
        try:
            if not able:
                raise Unsupported(reason)
            checker = self.checker({})
            for layer, tensor in weighted(self.network):
                yield self._row(checker, layer, tensor)
        except Unsupported as error:
            yield GradientRow(ENGINE, "", "", "", "unsupported", note=str(error))

    def _row(self, checker: Checker, layer: LayerSpec, tensor: str) -> GradientRow:
        ratio = checker.ratio(layer, tensor, self.elements)
        elsewhere = self._elsewhere(layer, tensor) if ratio.status != "agrees" else None
        ratio = elsewhere or ratio
        status, note, step = ratio.status, "", first_step(layer, tensor)
        above = checker.above(layer)
        approximate = [other.name for other in above if other.type == "neuron" and facts(other).approximates]
        if elsewhere:
            note = "with other values; with the first ones kinks or rounding hide it"
        elif status == "agrees" and ratio.step != step:
            note = f"the step of 2012, {step}, is too coarse here"
        elif status != "agrees" and approximate:
            status, note = "by design", f"lies below {', '.join(approximate)}"
        elif status == "different":
            status, note = self._explanation(layer, tensor, above)
        return GradientRow(ENGINE, layer.name, layer.type, tensor, status, ratio.error, THRESHOLD, ratio.step, note)

    def _elsewhere(self, layer: LayerSpec, tensor: str) -> Ratio | None:
        """The Ratio with other values and another minibatch, if there the gradient agrees: a wrong one never does."""
        if self._others is None:
            seeds = [self.seed + k for k in range(1, 1 + REDRAWS)]
            self._others = [Historical(self.network, seed, self.elements).checker({}) for seed in seeds]
        found = (other.ratio(layer, tensor, self.elements) for other in self._others)
        return next((ratio for ratio in found if ratio.status == "agrees"), None)

    def _explanation(self, layer: LayerSpec, tensor: str, above: Sequence[LayerSpec]) -> tuple[str, str]:
        """Status and note of a gradient that differs: do the defects that touch the layers above explain it?

        One of them does if the gradient agrees without it, all of them together if it takes that.
        """
        types = {other.type for other in above}
        defects = [name for name, on in switches(self.engine).items() if on and LEDGER[name].kind == "defect"]
        names = [name for name in defects if not types.isdisjoint(LEDGER[name].layers)]
        status = "different"
        for together in [*([name] for name in names), names] if names else []:
            status = self.checker(dict.fromkeys(together, False)).ratio(layer, tensor, self.elements).status
            if status == "agrees":
                return "explained", f"by quirk {' with '.join(together)}"
        return status, f"without {', '.join(names)}" if status == "inconclusive" else ""

    def checker(self, settings: Mapping[str, bool]) -> Checker:
        """A `historical.Checker` of a fresh session, with these positions of quirks."""
        session = open_session(self.engine, self.network, 1, settings)
        return Checker(self.network, session, self.values, self.data, self.seed)
