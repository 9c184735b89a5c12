"""What can be asked of a stored network: tests, the answer to a picture, the outputs of a layer."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from .. import engines, files, machine
from ..data import Batch, DataSet, checkpoints, open_data, pickles, views
from ..errors import BadInput, meant, writing
from ..reporting.lines import printable
from . import run
from .learner import Learner


class Trained:
    """A stored network in an engine.

    `path` is a checkpoint, of a training or historical, or a folder of some (`checkpoints.find`). `data` is what
    `data.open_data` takes, by default what it was trained with. The engine is by default the one that trained it; the
    port for a historical checkpoint. `names` are those of the classes, control characters as escapes.
    """

    def __init__(
        self, path: str | Path, data: str | None = None, engine: str | None = None, threads: int | None = None
    ) -> None:
        self.checkpoint = checkpoints.as_training(checkpoints.load(path))
        about = self.checkpoint.about
        self.network = self.checkpoint.network()
        by = "port" if about["engine"] == checkpoints.OF_2012 else about["engine"]
        (chosen,) = engines.available([engine or by])
        self.source = data or about["settings"]["data"]
        if self.checkpoint.mean is None:
            self._complete()
        self.batch = about["settings"]["batch"]
        self.names = tuple(printable(str(name)) for name in about["data"]["label_names"])
        self.network = replace(self.network, minibatch=self.batch)
        values = self.checkpoint.values_for(self.network)
        self.threads = machine.threads(threads)
        self.learner = Learner(self.network, chosen, self.threads, about["settings"]["seed"], values)

    def _complete(self) -> None:
        """Take from the data set what a historical checkpoint does not say: mean, shape, names of the classes."""
        if self.source is None:
            raise BadInput(f"{self.checkpoint.path} does not say on what pictures it was trained", hint="--data PATH")
        found = open_data(self.source)
        self.checkpoint.mean = found.mean
        self.checkpoint.about["data"] = {"shape": found.shape, "label_names": found.label_names}

    @property
    def data(self) -> DataSet:
        """The data set; BadInput if it cannot be opened, or does not fit the network."""
        found = replace(open_data(self.source), stored_mean=self.checkpoint.mean)
        run.fitting(self.network, found)
        return found

    def test(
        self, test_range: str | None = None, count: int = 1, batch: int | None = None
    ) -> tuple[dict[str, list[float]], int, np.ndarray | None]:
        """({cost: numbers per case}, cases, confusion) of a test on data batches.

        `test_range` is ``A-B`` or one number; by default the batches that the data set means for it. `count` and
        confusion are those of `run.measured`.
        """
        data = self.data
        numbers = run.parsed(test_range, data.test, data, "--test-range")
        sums, cases, confusion = run.measured(self.learner, data, numbers, batch or self.batch, count)
        return {cost: (values / cases).tolist() for cost, values in sums.items()}, cases, confusion

    def predict(self, paths: Iterable[Path]) -> Iterator[tuple[Path, np.ndarray]]:
        """Yield (path, probabilities of the classes) of picture files."""
        stored = tuple(self.checkpoint.about["data"]["shape"])
        for path in paths:
            pixels = picture(path, stored).reshape(-1, 1)
            yield path, self.probabilities(pixels)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """What the last softmax says of one stored picture, (features, 1) of uint8: float32 (classes,)."""
        data = self.as_data(pixels)
        _, found = self.learner.test([data], np.zeros((1, data.shape[1]), np.float32))
        if found is None:
            raise BadInput(
                f"{self.network.name} has no softmax layer", hint="'rosetta features' gives any layer's output"
            )
        return found[:, 0]

    def as_data(self, pixels: np.ndarray) -> np.ndarray:
        """Stored pictures, (features, N), as the network sees them in a test."""
        shape = tuple(self.checkpoint.about["data"]["shape"])
        labels = np.zeros((1, pixels.shape[1]), np.float32)
        held = DataSet("pictures", "", shape, self.names, (1,), (1,), lambda number: (), self.checkpoint.mean)
        return views.for_test(held, Batch(pixels, labels), self.size).data

    @property
    def size(self) -> int:
        """The side of the pictures that the network sees."""
        return isqrt(self.learner.images.outputs // self.checkpoint.about["data"]["shape"][0])

    def features(
        self, layer: str, test_range: str | None = None, batch: int | None = None
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield (number, outputs, labels) of data batches, in feature mode: without training's noise (7.4).

        Outputs are float32, (N, outputs of the layer), labels (1, N).
        """
        self._require(layer)
        data = self.data
        for number in run.parsed(test_range, data.test, data, "--test-range"):
            steps = run.answers(self.learner, data, [number], batch or self.batch)
            found = [(self.learner.acts(layer).T.copy(), labels) for *_, labels in steps]
            yield number, np.concatenate([acts for acts, _ in found]), np.concatenate([own for _, own in found], axis=1)

    def _require(self, layer: str) -> None:
        """BadInput unless there is a layer of that name that has outputs."""
        names = [each.name for each in self.network.layers if each.outputs]
        if layer not in names:
            raise BadInput(
                f"{self.network.name} has no layer {layer} with outputs", hint=meant(layer, names, ", ".join(names))
            )

    def write_features(self, layer: str, folder: str | Path, test_range: str | None = None) -> Iterator[Path]:
        """Write `features` as batches of 2012 and as npz files into a new or empty folder; yields the paths.

        ``batches.meta`` comes last and says that the folder is whole.
        """
        folder = Path(folder)
        self._require(layer)
        if folder.is_dir() and any(folder.iterdir()):
            raise BadInput(f"{folder} is not empty", hint="--out takes a new or empty folder")
        with writing(folder, "make room, or another --out"):
            folder.mkdir(parents=True, exist_ok=True)
            for number, outputs, labels in self.features(layer, test_range):
                arrays: dict[str, Any] = {"data": outputs, "labels": labels}
                npz = io.BytesIO()
                np.savez(npz, **arrays)
                for name, content in ((f"data_batch_{number}", pickles.dumps(arrays)),
                                      (f"data_batch_{number}.npz", npz.getvalue())):  # fmt: skip
                    files.write(folder / name, content)
                    yield folder / name
            meta = {"source_model": str(self.checkpoint.path), "num_vis": outputs.shape[1]}
            files.write(folder / "batches.meta", pickles.dumps(meta))
        yield folder / "batches.meta"


def picture(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A picture file as it would stand in a data set: the centre, scaled; uint8 (channels, side, side).

    Raises BadInput: it is no picture that can be read.
    """
    from PIL import Image, ImageOps

    channels, side, _ = shape
    try:
        with Image.open(path) as image:
            found = ImageOps.fit(image.convert("RGB" if channels == 3 else "L"), (side, side), Image.Resampling.BICUBIC)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path} is no picture that can be read ({error})", hint="JPEG, PNG and the like") from error
    return np.asarray(found).reshape(side, side, channels).transpose(2, 0, 1)
