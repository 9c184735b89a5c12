"""`rosetta show`: what a network learned, as pictures and one page that opens offline."""

from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from .. import files
from ..data import DataSet
from ..errors import BadInput, RosettaError, writing
from ..network.load import LayerSpec, Network
from ..reporting.report import charts, filled
from ..values.noise import generator
from . import curves, pictures
from .learner import feeds
from .trained import Trained

SHOWN = 8
"""Pictures with their answers."""


class Page:
    """The pictures of a stored network, tested on the data batches of `test_range`.

    `case` is the one of the first of them that is followed through the layers; `wrong`: show cases with a wrong answer
    only.
    """

    def __init__(self, trained: Trained, test_range: str | None = None, case: int = 0, wrong: bool = False) -> None:
        self.trained, self.test_range, self.case, self.wrong = trained, test_range, case, wrong
        self.files: dict[str, bytes] = {}  # pictures by name of file, SVG and PNG
        self.notes: list[str] = []  # what is not shown, and why
        self.facts: dict[str, Any] = {
            "filters": [],
            "curves": "",
            "predictions": "",
            "confusion": "",
            "layers": [],
            "error": None,
        }
        self._curves()
        self._filters()
        try:
            data = trained.data
        except RosettaError as error:
            self.notes.append(f"no answers and no outputs of layers: {error}")
            return
        if trained.learner.answers is not None:
            self._answers()
        self._layers(data)

    def write(self, folder: str | Path) -> Path:
        """Write the page ``show.html`` and the pictures into a folder; gives the Path of the page."""
        with writing(folder, "--out takes a folder"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            for name, data in self.files.items():
                files.write(Path(folder, name), data)
            files.write(Path(folder, "show.html"), self.html().encode("utf-8", "backslashreplace"))
        return Path(folder, "show.html")

    def html(self) -> str:
        """The page."""
        about = self.trained.checkpoint.about
        return filled(
            "show.html", Path(__file__).parent, **self.facts, notes=self.notes, network=self.trained.network,
            engine=about["engine"], state=about["state"], settings=about["settings"], names=self.trained.names,
            checkpoint=self.trained.checkpoint.path.name,
            last=curves.in_figures(about["log"]),
        )  # fmt: skip

    def _svg(self, name: str, text: str, label: str) -> Markup:
        """Keep an SVG as a file; gives it for the page, with what it shows in words."""
        self.files[f"{name}.svg"] = text.replace("currentColor", "#444").encode()
        return Markup(charts.labelled(text, label))

    def _png(self, name: str, picture: np.ndarray) -> str:
        """Keep a picture as a file; gives its address for the page."""
        self.files[f"{name}.png"] = pictures.png(picture, 600)
        return pictures.address(pictures.png(picture))

    def _curves(self) -> None:
        log = self.trained.checkpoint.about["log"]
        if log:
            text = charts.svg(curves.drawer(log), "curves", curves.SIZE)
            self.facts["curves"] = self._svg("curves", text, f"Cost and error; {curves.in_figures(log)}")

    def _filters(self) -> None:
        """Filters of every convolution and local layer, and of fully connected layers that read the pictures."""
        checkpoint, images = self.trained.checkpoint, self.trained.learner.images
        shape = checkpoint.about["data"]["shape"]
        for layer in self.trained.network.layers:
            for i in range(len(layer.get("weightShapes", ()))):
                weights = checkpoint.tensors.get(f"{layer.name}.weights[{i}]")
                local = layer.type == "local"
                if layer.type in ("conv", "local"):
                    channels = layer["filterChannels"][i]
                elif layer.inputs[i] == images.name:
                    channels = shape[0]
                else:
                    continue
                if weights is None:  # another layer's
                    continue
                place = (layer["modules"], layer["modulesX"]) if local else (1, 0)
                picture = pictures.filters(weights, channels, *place)
                title = f"{layer.name}, input {layer.inputs[i]}: {weights.shape[1]} filters of {channels} channels"
                self.facts["filters"].append((title, self._png(f"filters-{layer.name}-{i}", picture), channels))

    def _answers(self) -> None:
        """Pictures with their best five answers, and the confusion matrix of the test batches."""
        trained = self.trained
        _, cases, counts = trained.test(self.test_range)
        if counts is None:
            return
        self.facts["error"] = 1 - np.trace(counts) / cases
        names = [*trained.names, *map(str, range(len(trained.names), len(counts)))]
        words = f"{self.facts['error']:.2%} of {cases:,} cases have another best answer than their class"
        self.facts["confusion"] = self._svg("confusion", pictures.confusion(counts, names), words)
        self.facts["cases"] = cases
        batch = trained.data.read(self._first_batch())
        random, found = generator(trained.learner.seed, "show"), []
        for k in random.permutation(batch.labels.shape[1])[: 2000 if self.wrong else SHOWN]:
            said = trained.probabilities(batch.pixels[:, k : k + 1])
            label = int(batch.labels[0, k])
            if not self.wrong or said.argmax() != label:
                found.append((pictures.as_picture(batch.pixels[:, k], trained.data.shape), said, label))
            if len(found) == SHOWN:
                break
        if found:
            words = "; ".join(f"{names[label]}: {names[said.argmax()]}" for _, said, label in found)
            self.facts["predictions"] = self._svg("predictions", pictures.predictions(found, names), words)

    def _first_batch(self) -> int:
        from .run import parsed

        data = self.trained.data
        return parsed(self.test_range, data.test, data, "--test-range")[0]

    def _layers(self, data: DataSet) -> None:
        """Outputs and their gradients of one case, layer by layer."""
        trained, batch = self.trained, data.read(self._first_batch())
        learner, network = trained.learner, trained.network
        if not 0 <= self.case < batch.labels.shape[1]:
            raise BadInput("there is no such case", expected=f"0 to {batch.labels.shape[1] - 1}", actual=self.case)
        pixels, label = batch.pixels[:, [self.case]], batch.labels[:, [self.case]]
        learner.forward(trained.as_data(pixels), label, "gc")
        drawn = [layer for layer in network.layers if layer.outputs and layer.name not in feeds(network)[1]]
        acts = {layer.name: np.array(learner.acts(layer.name)[:, 0]) for layer in drawn}
        learner.backward()
        self.facts["picture"] = self._png("case", pictures.as_picture(pixels[:, 0], data.shape))
        self.facts["label"] = trained.names[int(label[0, 0])] if trained.names else str(int(label[0, 0]))
        for layer in drawn:
            channels = map_count(network, layer, data.shape[0])
            line: dict[str, Any] = {
                "name": layer.name,
                "type": layer.type,
                "acts": self._map(layer.name, "acts", acts[layer.name], channels),
            }
            try:
                grads = np.array(learner.session.read(layer.name, "acts_grad")[:, 0])
                line["grads"] = self._map(layer.name, "acts_grad", grads, channels)
            except KeyError:
                line["grads"] = None  # nothing below it learns, or its cost goes backward with it
            self.facts["layers"].append(line)

    def _map(self, layer: str, tensor: str, values: np.ndarray, channels: int) -> tuple[str, float, float]:
        """(address, smallest, largest value) of the maps of a layer."""
        address = self._png(f"{tensor}-{layer}", pictures.maps(values, channels))
        return address, float(values.min()), float(values.max())


def map_count(network: Network, layer: LayerSpec, channels: int) -> int:
    """How many maps the output of a layer is; as many as it has values where it is no picture."""
    if layer.type == "data":
        return channels
    if layer.type in ("conv", "local"):
        return layer["filters"]
    own = layer.get("outputChannels") or layer.get("channels")
    if own:
        return own if isinstance(own, int) else own[0]
    if layer.type in ("fc", "treefc", "softmax"):
        return layer.outputs
    return map_count(network, network.graph.layers[layer.inputs[0]], channels) if layer.inputs else layer.outputs
