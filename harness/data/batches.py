"""A data set in numbered batches, and the folders of the programs of 2011, 2012 and 2014 (data-checkpoints-tools 2)."""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from math import isqrt, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import machine
from ..errors import BadInput, TooLarge
from . import pickles

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH = re.compile(r"data_batch_(\d+)")
CANVAS = 256
"""Side of the pictures of 2012 that are stored in other sizes (``no_crop``)."""
PICTURES = ("JPEG", "PNG")
MOST_PIXELS = 1 << 26
KEPT = 1 << 28
"""Bytes of batches that are kept."""


@dataclass
class Batch:
    """The cases of one batch."""

    pixels: np.ndarray  # ndarray of uint8 or float32, (features, cases). As stored; rows are channel, y, x.
    labels: np.ndarray  # ndarray of float32, (1, cases). Class indices.
    unreadable: tuple[int, ...] = ()  # cases whose picture cannot be decoded; the mean picture stands in their place

    @property
    def data(self) -> np.ndarray:
        """The values as float32, (features, cases); nothing is subtracted."""
        return np.ascontiguousarray(self.pixels, np.float32)


@dataclass
class DataSet:
    """Batches that are read when they are wanted; the latest are kept as long as they are small."""

    source: str  # the folder, or the name of what comes with the package
    kind: str  # what the files are, in words
    shape: tuple[int, int, int]  # (channels, rows, columns) of a case; (features, 1, 1) where a case is no picture
    label_names: tuple[str, ...]  # a name for each class; empty where the source does not say how many there are
    # train, test: numbers of the batches to learn from, and of the others
    train: tuple[int, ...]
    test: tuple[int, ...]
    load: Callable[[int], tuple[Any, ...]]  # from a number to (pixels, labels) or (pixels, labels, unreadable)
    # the mean that the source brings along; by default that of the batches to learn from
    stored_mean: np.ndarray | None = None
    # (stdevs (3,), vectors (3, 3) in columns) of the colours: the principal components of 2012
    colours: tuple[np.ndarray, np.ndarray] | None = None
    notes: tuple[str, ...] = ()  # what was found and is not used
    named: Callable[[int, int], str] = lambda _, case: f"case {case}"  # what a case of a batch is called
    _kept: dict[int, Batch] = field(default_factory=dict, repr=False)

    @property
    def features(self) -> int:
        """Values of a case."""
        channels, rows, columns = self.shape
        return channels * rows * columns

    @property
    def classes(self) -> int:
        """Number of classes; 0 where the source does not say."""
        return len(self.label_names)

    @property
    def batches(self) -> tuple[int, ...]:
        """Numbers of all batches, ascending."""
        return tuple(sorted({*self.train, *self.test}))

    @cached_property
    def mean(self) -> np.ndarray:
        """The mean case, float32 (features,)."""
        if self.stored_mean is not None:
            return self.stored_mean.astype(np.float32).ravel()
        total, cases = np.zeros(self.features), 0
        for number in self.train:
            pixels = self.read(number).pixels
            total, cases = total + pixels.sum(axis=1, dtype=np.float64), cases + pixels.shape[1]
        return (total / cases).astype(np.float32)

    def read(self, number: int) -> Batch:
        """One batch.

        Raises BadInput: there is no such batch, or what is stored under that number does not fit; names source and
        batch.
        """
        if number not in self.batches:
            raise BadInput(
                f"{self.source} has no batch {number}", expected=ranges(self.batches), hint="rosetta data info"
            )
        if number not in self._kept:
            batch = self._checked(number, *self.load(number))
            while self._kept and batch.pixels.nbytes + sum(kept.pixels.nbytes for kept in self._kept.values()) > KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = batch
        return self._kept[number]

    def _checked(self, number: int, pixels: np.ndarray, labels: Any, unreadable: Iterable[int] = ()) -> Batch:
        where = f"{self.source}, batch {number}"
        labels = np.asarray(labels)
        if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.float32) or pixels.shape[0] != self.features:
            raise BadInput(f"{where}: data of the wrong shape or kind", actual=f"{pixels.dtype} {pixels.shape}",
                           expected=f"uint8 or float32 ({self.features}, cases)")  # fmt: skip
        if labels.shape != pixels.shape[1:]:
            raise BadInput(f"{where}: not one label a case", expected=f"{pixels.shape[1]}", actual=f"{labels.shape}")
        if labels.size == 0:
            raise BadInput(f"{where}: no cases")
        if pixels.dtype == np.float32 and not np.isfinite(pixels).all():
            raise BadInput(f"{where}: NaN or infinity in the data", expected="finite numbers")
        wrong = np.flatnonzero((labels < 0) | (labels >= self.classes)) if self.classes else np.flatnonzero(labels < 0)
        if labels.dtype.kind not in "iu" or wrong.size:
            at = int(wrong[0]) if wrong.size else 0
            raise BadInput(f"{where}, case {at}: a label outside the classes",
                           expected=f"0 to {self.classes - 1}", actual=str(labels[at])[:20])  # fmt: skip
        pixels.flags.writeable = False
        return Batch(pixels, labels[None].astype(np.float32), tuple(unreadable))


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers as text: ``1-5, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parts)


def shape_of(features: int) -> tuple[int, int, int]:
    """(channels, rows, columns) of a case: a square in three colours or grey, else a column of values."""
    for channels in (3, 1):
        side = isqrt(features // channels)
        if channels * side * side == features:
            return channels, side, side
    return features, 1, 1


def split(numbers: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(train, test) of batch numbers: from 1000 on they are for tests, if smaller ones exist; else the last one is.

    So the programs of 2012 and 2014 numbered ImageNet, and that of 2011 CIFAR-10.
    """
    train = tuple(number for number in numbers if number < 1000) or numbers[:-1]
    return (train if len(train) < len(numbers) else numbers[:-1] or numbers), \
        tuple(number for number in numbers if number not in train) or numbers[-1:]  # fmt: skip


def need(size: int, what: str) -> None:
    """Refuse what takes more memory than there is."""
    free = machine.available_memory()
    if free is not None and size > free:
        raise TooLarge(f"{what}: too large for this machine", expected=f"at most {free:,} bytes", actual=f"{size:,}")


def historical(folder: Path) -> DataSet:
    """The DataSet in a folder of ``batches.meta`` and ``data_batch_N``, files or folders, of any generation.

    Raises BadInput: names the file and its field.
    """
    meta_file = folder / "batches.meta"
    meta = pickles.load(meta_file)
    if type(meta) is not dict:
        raise BadInput(f"{meta_file}: no dict", actual=type(meta).__name__)
    get = Fields(meta, meta_file)
    found, notes = {}, []
    for path in sorted(folder.iterdir()):
        match = BATCH.fullmatch(path.name)
        if match and len(match[1]) < 10:
            found[int(match[1])] = path
        elif path.name.startswith("data_batch_"):
            notes.append(f"{path.name} is not read: batches of several files are folders of them")
    if not found:
        raise BadInput(f"{folder} has no batches", expected="files data_batch_1, data_batch_2, ...")
    numbers = tuple(sorted(found))
    train, test = split(numbers)
    if (folder / "test_batch").is_file():
        found[numbers[-1] + 1] = folder / "test_batch"
        train, test = numbers, (numbers[-1] + 1,)
    names = get("label_names", list, [])
    if any(type(name) not in (str, int, float) for name in names):
        raise BadInput(f"{meta_file}: label_names holds what is no name")
    features = get("num_vis", int) or _features_of(found[train[0]])
    if not 0 < features < 1 << 28:
        raise BadInput(f"{meta_file}: num_vis is no number of values", actual=features)
    mean = get("data_mean", np.ndarray)
    if mean is not None and (mean.size != features or mean.dtype.kind not in "fiu" or not np.isfinite(mean).all()):
        raise BadInput(f"{meta_file}: data_mean does not fit", expected=f"{features} finite numbers",
                       actual=f"{mean.dtype} {mean.shape}")  # fmt: skip
    shape = shape_of(features)
    reader = _Reader(meta_file, shape, get("label_offset", int, 0), get("no_crop", (bool, int), False), mean)
    kinds = {"folders of JPEG pictures (2014)": any(path.is_dir() for path in found.values()),
             "CIFAR, python version": "test_batch" in {path.name for path in found.values()}}  # fmt: skip
    kind = next((kind for kind, so in kinds.items() if so), "historical batches")
    colours = _colours(get("color_pca", (tuple, list)), meta_file)
    return DataSet(str(folder), kind, shape, tuple(map(str, names)), train, test,
                   lambda number: reader.read(found[number]), mean, colours, tuple(notes))  # fmt: skip


class Fields:
    """Fields of a dict from a file, of the kind that is expected."""

    def __init__(self, fields: dict[Any, Any], path: Path) -> None:
        self.fields, self.path = fields, path

    def __call__(self, name: str, kind: type | tuple[type, ...], otherwise: object = None) -> Any:
        value = self.fields.get(name, otherwise)
        if value is not None and not isinstance(value, kind):
            raise BadInput(f"{self.path}: field {name} is of the wrong kind", actual=type(value).__name__)
        return value


def _colours(pair: Any, path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    if pair is None:
        return None
    parts = [part for part in pair if type(part) is np.ndarray and part.dtype.kind == "f" and np.isfinite(part).all()]
    if [part.size for part in parts] != [3, 9] or parts[1].shape != (3, 3):
        raise BadInput(f"{path}: color_pca is no pair of 3 deviations and 3x3 vectors")
    return parts[0].ravel().astype(np.float32), parts[1].astype(np.float32)


def _features_of(path: Path) -> int:
    """Values of a case, where the folder does not say."""
    pixels = pickles.load(path)
    data = pixels.get("data") if type(pixels) is dict else None
    if type(data) is not np.ndarray or data.ndim != 2:
        raise BadInput(f"{path.parent / 'batches.meta'}: num_vis is missing")
    return data.shape[0] if "batch_label" not in pixels else data.shape[1]


@dataclass
class _Reader:
    """Reads the batches of a historical folder, whatever their form is."""

    meta: Path
    shape: tuple[int, int, int]
    offset: int
    uncropped: bool
    mean: np.ndarray | None

    def read(self, path: Path) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
        """(pixels, labels, cases that cannot be decoded) of a batch."""
        if path.is_dir():
            parts = [self.read(part) for part in sorted(path.iterdir(), key=natural)]
            if not parts:
                raise BadInput(f"{path} holds no files")
            starts = np.cumsum([0, *(part[0].shape[1] for part in parts)])
            late = tuple(int(start) + k for start, part in zip(starts, parts, strict=False) for k in part[2])
            return np.concatenate([part[0] for part in parts], axis=1), \
                np.concatenate([part[1] for part in parts]), late  # fmt: skip
        data, given = self._parts(path, pickles.load(path))
        labels = np.array([self._label(path, k, label) for k, label in enumerate(given)], np.int64)
        if type(data) is np.ndarray:
            return data, labels, ()
        need(len(data) * prod(self.shape), str(path))
        pixels, unreadable = decoded(data, lambda text: self._picture(path, text), self.shape, self.mean)
        return pixels, labels, unreadable

    def _parts(self, path: Path, batch: Any) -> tuple[Any, list[Any]]:
        """(array with a column for each case or list of JPEG files, list of labels) of what a file holds."""
        if type(batch) is dict:
            data, labels = batch.get("data"), batch.get("labels", batch.get("fine_labels"))
        elif type(batch) in (list, tuple) and len(batch) == 3 and type(batch[1]) is type(batch[2]) is list:
            data, repacked = batch[0], bool(batch[1]) and type(batch[1][0]) is int  # (files, labels, ids)
            labels = batch[1] if repacked else batch[2]
        else:
            raise BadInput(f"{path}: no batch", expected="a dict or three lists", actual=type(batch).__name__)
        if type(labels) is np.ndarray and labels.dtype.kind in "iuf":
            labels = [int(label) if label == label // 1 else -1 for label in labels.ravel()[: 1 << 24].tolist()]
        if type(labels) is not list or not (
            type(data) is np.ndarray or (type(data) is list and len(data) == len(labels))
        ):
            raise BadInput(f"{path}: data or labels are missing, or not of the same length")
        if type(data) is np.ndarray and data.ndim == 2:
            rows = "batch_label" in batch or "filenames" in batch or data.shape[0] != prod(self.shape)
            data = np.ascontiguousarray(data.T) if rows and data.shape[1] == prod(self.shape) else data
            data = data if data.dtype == np.uint8 or data.dtype.kind not in "fiu" else data.astype(np.float32)
        return data, labels

    def _label(self, path: Path, case: int, label: Any) -> int:
        """The class of a case: a number, the first of a list of them (2014), or behind the synset's (2012)."""
        if type(label) is tuple and len(label) == 2 and label[1] is None:
            return 0
        if type(label) is tuple and len(label) == 2:
            label = label[1]
        if type(label) is list:
            label = label[0] if label else -1
        if type(label) is not int or not -1 <= label < 1 << 24:
            raise BadInput(f"{path}: labels[{case}] is no class", expected="a whole number",
                           actual=type(label).__name__)  # fmt: skip
        return label + self.offset

    def _picture(self, path: Path, text: Any) -> np.ndarray:
        """A picture as uint8 (side, side, 3); ValueError where the picture cannot be decoded."""
        if type(text) not in (str, bytes):
            raise BadInput(f"{path}: a picture of the kind {type(text).__name__}")
        side, image = self.shape[1], opened(text.encode("latin1") if type(text) is str else text)
        if self.uncropped and max(image.size) <= side == CANVAS:
            fill = 0 if self.mean is None else int(self.mean.mean())
            canvas = np.full((side, side, 3), fill, np.uint8)
            x, y = ((side - length) // 2 for length in image.size)
            canvas[y : y + image.height, x : x + image.width] = np.asarray(in_colours(image))
            return canvas
        if image.size != (side, side):
            raise BadInput(f"{path}: a picture of the wrong size", expected=f"{side}x{side}",
                           actual=f"{image.width}x{image.height}")  # fmt: skip
        return np.asarray(in_colours(image))


def opened(data: bytes) -> "Image":
    """A picture that is not decoded yet; ValueError where the bytes are none."""
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data), formats=PICTURES)
    except Exception as error:  # what damaged pictures do to the decoders is not for us to list
        raise ValueError("no picture") from error


def in_colours(image: "Image") -> "Image":
    """The picture decoded, in red, green and blue; ValueError where that cannot be."""
    if image.width * image.height > MOST_PIXELS:
        raise ValueError("a picture too large")
    try:
        return image.convert("RGB")
    except Exception as error:  # likewise
        raise ValueError("no picture") from error


def decoded(
    sources: Sequence[Any], decode: Callable[[Any], np.ndarray], shape: tuple[int, ...], mean: np.ndarray | None
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Decode pictures in threads: uint8 pixels, (features, cases), and the numbers of those that cannot be decoded.

    `decode` makes uint8 (rows, columns, 3) of a source, or raises ValueError where that cannot be; `shape` is (3, rows,
    columns). The mean stands in the place of pictures that cannot be decoded; grey if there is none.
    """

    def one(source: Any) -> np.ndarray | None:
        try:
            return decode(source)
        except BadInput:
            raise
        except ValueError:
            return None

    pixels, unreadable = np.empty((*shape, len(sources)), np.uint8), []
    blank = 128 if mean is None else np.round(mean).clip(0, 255).astype(np.uint8).reshape(shape)
    with ThreadPoolExecutor(machine.processors()) as threads:
        for k, picture in enumerate(threads.map(one, sources)):
            if picture is None:
                unreadable.append(k)
            pixels[..., k] = blank if picture is None else picture.transpose(2, 0, 1)
    return pixels.reshape(prod(shape), len(sources)), tuple(unreadable)


def natural(path: Path) -> list[int | str]:
    """Sorts 2 before 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
