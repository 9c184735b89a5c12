"""Where batches come from: CIFAR, IDX files, folders of pictures, historical folders, and the shipped photographs."""

import gzip
import re
import struct
import zlib
from collections.abc import Callable, Sequence, Set
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInput, meant
from ..values import photographs
from ..values.noise import generator
from . import pickles
from .batches import DataSet, decoded, historical, in_colours, natural, need, opened, shape_of

if TYPE_CHECKING:
    from PIL.Image import Image

FASHION = Path("/usr/share/datasets/fashion-mnist")
NAMED = ("photos", "fashion")
BATCH = 10_000
"""Cases of a batch, where the source is one file of them all: as in CIFAR-10."""
SIDE, PICTURES, TRAIN = 32, 1000, 5
"""Of ``photos``: pixels of a side, crops of a batch, batches to learn from; one more is for tests."""
TILES, HELD_OUT = 4, ((0, 1), (1, 3), (2, 0), (3, 2))
"""A photograph is cut into 4 × 4 tiles; crops for tests come from these (row, column), the others from the rest."""
SUFFIXES = (".jpg", ".jpeg", ".png")
LARGEST = 1 << 32
FASHION_NAMES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def open_data(source: str | Path, size: int | None = None) -> DataSet:
    """Open a data set. Raises BadInput: there is no such folder, or it is none of these.

    The source is ``photos``, crops of the photographs that come with the package, which takes no file; ``fashion``,
    Fashion-MNIST where Debian's package puts it; else a folder: of historical batches (2011, 2012, 2014), CIFAR-10 or
    CIFAR-100 (python or binary version), IDX files (MNIST), or of folders of pictures, one for each class. `size` is
    the pixels of a side, for the photographs (32) and for folders of pictures (256).
    """
    if source == "photos":
        return photos(size or SIDE)
    folder = FASHION if source == "fashion" else Path(source)
    if source == "fashion" and not folder.is_dir():
        raise BadInput(
            f"{folder} is missing", hint="apt-get install dataset-fashion-mnist, or name a folder of IDX files"
        )
    if not folder.is_dir():
        raise BadInput(
            f"there is no folder {str(source)!r} of data", hint=meant(source, NAMED, f"{', '.join(NAMED)} are names")
        )
    names = {path.name for path in folder.iterdir()}
    idx = [name for name in names if IDX.fullmatch(name)]
    if "batches.meta" in names:
        return historical(folder)
    if "batches.meta.txt" in names:
        return _cifar_10(folder, names)
    if {"train.bin", "test.bin"} <= names or ({"meta", "train", "test"} <= names and (folder / "meta").is_file()):
        return _cifar_100(folder, binary="train.bin" in names)
    if idx:
        return _idx(folder, names)
    return _pictures(folder, size or 256)


# --- Shipped photographs -------------------------------------------------------------------------------------------


def photos(size: int) -> DataSet:
    """Crops of the shipped photographs, a class for each; crops for tests share no pixel with the others."""
    need(12 * prod((3, size, size, PICTURES)), "photos")
    names, tiles = tuple(photographs.PHOTOGRAPHS), cache(_tiles)

    def load(number: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(PICTURES) % len(names)
        pixels = np.empty((3, size, size, PICTURES), np.uint8)
        for k, label in enumerate(labels):
            random = generator(0, "photos", number, k)
            found = tiles(names[label])[number > TRAIN]
            pixels[..., k] = photographs.square(found[random.integers(len(found))], size, random).transpose(2, 0, 1)
        return pixels.reshape(-1, PICTURES), labels

    return DataSet("photos", "crops of the shipped photographs", (3, size, size), names,
                   tuple(range(1, TRAIN + 1)), (TRAIN + 1,), load)  # fmt: skip


def _tiles(name: str) -> tuple[list["Image"], list["Image"]]:
    """(tiles to learn from, tiles for tests) of a photograph."""
    photograph = photographs.open_photograph(name)
    width, height = photograph.width // TILES, photograph.height // TILES
    found = {(row, column): photograph.crop((column * width, row * height, (column + 1) * width, (row + 1) * height))
             for row in range(TILES) for column in range(TILES)}  # fmt: skip
    return [tile for at, tile in found.items() if at not in HELD_OUT], [found[at] for at in HELD_OUT]


# --- CIFAR ---------------------------------------------------------------------------------------------------------


def _cifar_10(folder: Path, names: Set[str]) -> DataSet:
    """The binary version: files of records, a label and 3072 values each."""
    numbers = tuple(n for n in range(1, 6) if f"data_batch_{n}.bin" in names)
    files = {n: folder / f"data_batch_{n}.bin" for n in numbers} | {6: folder / "test_batch.bin"}
    if not numbers or "test_batch.bin" not in names:
        raise BadInput(f"{folder}: files of CIFAR-10 are missing", expected="data_batch_1.bin ... and test_batch.bin")
    return DataSet(str(folder), "CIFAR-10, binary version", (3, 32, 32), _lines(folder / "batches.meta.txt"), numbers,
                   (6,), lambda number: _records(files[number], 1))  # fmt: skip


def _cifar_100(folder: Path, binary: bool) -> DataSet:
    """Either version; the labels are the 100 fine ones, a batch 10,000 cases."""

    @cache
    def whole(name: str) -> tuple[np.ndarray, np.ndarray]:
        if binary:
            return _records(folder / f"{name}.bin", 2)
        found = pickles.load(folder / name)
        data, labels = (found.get(key) if type(found) is dict else None for key in ("data", "fine_labels"))
        if type(data) is not np.ndarray or type(labels) is not list or data.ndim != 2 or not _all_whole(labels):
            raise BadInput(f"{folder / name}: no data and fine_labels of CIFAR-100")
        return data.T, np.array(labels, np.int64)

    names: Any
    if binary:
        names = _lines(folder / "fine_label_names.txt")
    else:
        meta = pickles.load(folder / "meta")
        names = meta.get("fine_label_names") if type(meta) is dict else None
        if type(names) is not list or not all(type(name) is str for name in names):
            raise BadInput(f"{folder / 'meta'}: fine_label_names is missing")
    kind = f"CIFAR-100, {'binary' if binary else 'python'} version"
    return _in_batches(
        str(folder), kind, (3, 32, 32), tuple(names), whole("train")[1].size, whole("test")[1].size, whole
    )


def _all_whole(labels: Sequence[Any]) -> bool:
    return all(type(label) is int and 0 <= label < 1 << 24 for label in labels)


def _records(path: Path, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """(pixels, labels) of records of so many labels, the last of which counts, and 3072 values."""
    data = np.frombuffer(_read(path), np.uint8)
    if data.size % (labels + 3072) or not data.size:
        raise BadInput(
            f"{path}: no whole records", expected=f"a multiple of {labels + 3072} bytes", actual=f"{data.size:,}"
        )
    records = data.reshape(-1, labels + 3072)
    return np.ascontiguousarray(records[:, labels:].T), records[:, labels - 1]


def _read(path: Path) -> bytes:
    """The bytes of a file that has to be there."""
    if not path.is_file():
        raise BadInput(f"there is no file {path}")
    need(2 * path.stat().st_size, str(path))
    return path.read_bytes()


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in _read(path).decode("utf-8", "replace").splitlines() if line.strip())


def _in_batches(
    source: str,
    kind: str,
    shape: tuple[int, int, int],
    names: tuple[str, ...],
    train: int,
    test: int,
    whole: Callable[[str], tuple[np.ndarray, np.ndarray]],
) -> DataSet:
    """A DataSet of the parts ``train`` and ``test``, cut into batches of equal size."""
    first, more = -(-train // BATCH), -(-test // BATCH)

    def load(number: int) -> tuple[np.ndarray, np.ndarray]:
        part, at = ("train", number - 1) if number <= first else ("test", number - 1 - first)
        cut = slice(at * BATCH, (at + 1) * BATCH)
        pixels, labels = whole(part)
        return np.ascontiguousarray(pixels[:, cut]), labels[cut]

    return DataSet(
        source, kind, shape, names, tuple(range(1, first + 1)), tuple(range(first + 1, first + more + 1)), load
    )


# --- IDX -----------------------------------------------------------------------------------------------------------

IDX = re.compile(r"(train|t10k)-(images-idx3|labels-idx1)-ubyte(\.gz)?")


def _idx(folder: Path, names: Set[str]) -> DataSet:
    """MNIST and what is stored like MNIST: images and labels in a file each."""

    def path(part: str, what: str) -> Path:
        base = f"{'train' if part == 'train' else 't10k'}-{what}-ubyte"
        return folder / (base if base in names else f"{base}.gz")

    @cache
    def whole(part: str) -> tuple[np.ndarray, np.ndarray]:
        images, labels = _idx_file(path(part, "images-idx3"), 3), _idx_file(path(part, "labels-idx1"), 1)
        if len(images) != len(labels):
            raise BadInput(
                f"{path(part, 'labels-idx1')}: not one label an image", expected=len(images), actual=len(labels)
            )
        return images.reshape(len(images), -1).T, labels

    (train, rows, columns), (test, *sides) = (_idx_file(path(part, "images-idx3"), 3, head=True)
                                              for part in ("train", "test"))  # fmt: skip
    if not rows == columns == sides[0] == sides[1] or not train or not test:
        raise BadInput(f"{folder}: images that are not square, or of two sizes", actual=f"{rows}x{columns}, {sides}")
    fashion = "fashion" in folder.resolve().name
    names_of = FASHION_NAMES if fashion else tuple(str(k) for k in range(10))
    kind = "IDX files" + (", Fashion-MNIST" if fashion else "")
    return _in_batches(str(folder), kind, shape_of(rows * columns), names_of, train, test, whole)


def _idx_file(path: Path, dimensions: int, head: bool = False) -> Any:
    """The array of an IDX file of bytes; with ``head`` the lengths that it says it has."""
    if not path.is_file():
        raise BadInput(f"there is no file {path}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            start = file.read(4)
            if start != bytes([0, 0, 8, dimensions]):
                raise BadInput(f"{path}: no IDX file of bytes in {dimensions} dimension(s)", actual=start.hex(" "))
            lengths = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            if head:
                return lengths
            need(2 * prod(lengths), str(path))
            data = file.read(min(prod(lengths), LARGEST) + 1)
    except struct.error as error:
        raise BadInput(f"{path}: cut off in its header") from error
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path} cannot be read ({error})") from error
    if len(data) != prod(lengths):
        raise BadInput(f"{path}: of another length than it says", expected=f"{prod(lengths):,} bytes",
                       actual=f"{len(data):,}")  # fmt: skip
    return np.frombuffer(data, np.uint8).reshape(lengths)


# --- Folders of pictures ---------------------------------------------------------------------------------------------


def _pictures(folder: Path, size: int) -> DataSet:
    """A folder for each class; folders ``train`` and ``test`` (or ``val``) of them, or each fifth picture is for tests.

    A picture is scaled so that its shorter side has `size` pixels, and the centre is cut out (2.6). Batches of at most
    1024 pictures as in 2012, in an order that chance gave once and for all.
    """
    test_folder = next((folder / name for name in ("test", "val") if (folder / name).is_dir()), None)
    roots = [folder / "train", test_folder] if test_folder and (folder / "train").is_dir() else [folder]
    classes = sorted({path.parent.name for path in roots[0].glob("*/*") if path.suffix.lower() in SUFFIXES})
    found = [_shuffled(root, classes) for root in roots]
    if len(roots) == 1:
        found = [[pair for k, pair in enumerate(found[0]) if k % 5], found[0][::5]]
    if not classes or not all(found):
        raise BadInput(f"{folder} is no data set", hint="batches.meta and data_batch_1 ..., CIFAR, IDX files, or a "
                       "folder of pictures (JPEG, PNG) for each class; photos and fashion are names")  # fmt: skip
    count = max(1, -(-len(found[0]) // 1024))
    parts = [found[0][k::count] for k in range(count)]
    tests = [found[1][k : k + 1024] for k in range(0, len(found[1]), 1024)]
    cut = dict(enumerate(parts + tests, 1))

    def load(number: int) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
        need(4 * len(cut[number]) * 3 * size * size, f"{folder}, batch {number}")
        pixels, unreadable = decoded(
            [path for path, _ in cut[number]], lambda path: _short_side(path, size), (3, size, size), None
        )
        return pixels, np.array([label for _, label in cut[number]]), unreadable

    return DataSet(str(folder), "pictures by class", (3, size, size), tuple(classes), tuple(range(1, count + 1)),
                   tuple(range(count + 1, len(cut) + 1)), load, named=lambda n, k: str(cut[n][k][0]))  # fmt: skip


def _shuffled(root: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    pairs = [(path, label) for label, name in enumerate(classes) if (root / name).is_dir()
             for path in sorted((root / name).iterdir(), key=natural) if path.suffix.lower() in SUFFIXES]  # fmt: skip
    return [pairs[k] for k in generator(0, "order").permutation(len(pairs))]


def _short_side(path: Path, size: int) -> np.ndarray:
    """The centre of a picture whose shorter side was made `size` pixels long."""
    from PIL import Image

    image = in_colours(opened(path.read_bytes()))
    scale = size / min(image.size)
    image = image.resize([max(size, round(length * scale)) for length in image.size], Image.Resampling.BICUBIC)
    x, y = ((length - size) // 2 for length in image.size)
    return np.asarray(image.crop((x, y, x + size, y + size)))
