"""Reads npz files that others made: names and headers first, arrays when they are known to be what is wanted."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy

from ..errors import BadInput


@dataclass(frozen=True)
class Header:
    """What an archive says about an array before the array is read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self.dtype.itemsize * prod(self.shape)


class Archive:
    """The arrays of an npz file; nothing is unpacked but what is asked for, and nothing of it is run.

    `hint` is what the file should have been, for errors. Raises BadInput: no such file, or no npz file that can be
    read.
    """

    def __init__(self, path: str | Path, hint: str) -> None:
        self.path, self.hint = path, hint
        self.headers: dict[str, Header] = {}
        self._members: dict[str, ZipInfo] = {}
        with self._reading():
            found = recognised(Path(path))
            if found is not None:
                raise BadInput(f"{path} is {found[0]}, and no npz file", hint=found[1])
        with self._reading(), ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name in self.headers:
                    raise ValueError(f"two arrays {name!r}")
                if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                    raise ValueError(f"array {name!r} is compressed in an unknown way")
                with archive.open(info) as member:
                    header = _header(member)
                    if member.tell() + header.nbytes != info.file_size:
                        raise ValueError(f"array {name!r} has another length than it says")
                self.headers[name], self._members[name] = header, info

    def load(self, names: Iterable[str], largest: int) -> dict[str, np.ndarray]:
        """Read some arrays.

        ``largest``: bytes that all of them may have.
        """
        names = list(names)
        total = sum(self.headers[name].nbytes for name in names)
        if total > largest:
            raise BadInput(f"{self.path}: the arrays are too large", expected=f"at most {largest:,} bytes",
                           actual=f"{total:,}", hint=self.hint)  # fmt: skip
        with self._reading(), ZipFile(self.path) as archive:
            return {name: self._load(archive, name) for name in names}

    def _load(self, archive: ZipFile, name: str) -> np.ndarray:
        with archive.open(self._members[name]) as member:
            array = npy.read_array(member, allow_pickle=False)
            member.read(1)  # the end, where the checksum is looked at
            return array

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except BadInput:
            raise
        except Exception as error:  # what a damaged file does to zipfile, zlib and numpy is not for us to list
            reason = "no such file" if isinstance(error, FileNotFoundError) else f"not a readable npz file ({error})"
            raise BadInput(f"{self.path}: {reason}", hint=self.hint) from error


def _header(member: IO[bytes]) -> Header:
    """The Header at the beginning of an npy file."""
    version = npy.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy version {version}")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if dtype.hasobject or dtype.fields or any(length < 0 for length in shape):
        raise ValueError("not an array of plain numbers")
    return Header(shape, dtype, fortran)


NAMED = "numpy.savez('FILE.npz', NAME=ARRAY)"
PIXELS = f"store its pixels as an array, rows channel, y, x, a column a case, float32: {NAMED}"
ARRAYS = "in Python, store its arrays by name: numpy.savez('FILE.npz', **arrays)"
CHECKPOINT = f"it is not read, since that can run programs; {ARRAYS}"

BEGINNINGS = (
    (b"\x89PNG\r\n", "a PNG picture", PIXELS),
    (b"\xff\xd8\xff", "a JPEG picture", PIXELS),
    (b"GIF8", "a GIF picture", PIXELS),
    (b"BM", "a BMP picture", PIXELS),
    (b"\x93NUMPY", "an npy file, one array without a name", f"name it: {NAMED}"),
    (b"\x89HDF", "an HDF5 file", ARRAYS),
    (b"\x80", "a pickle, perhaps a checkpoint", CHECKPOINT),
)


def recognised(path: Path) -> tuple[str, str] | None:
    """(what it is, what to do) of a file that is no npz file; None where nothing is known about it.

    ``path``: a file, or a folder.
    """
    if path.is_dir():
        return "a folder", f"store what is in it as arrays: {NAMED}"
    with open(path, "rb") as file:
        start = file.read(16)
    if start[8:10] == b'{"':
        return "a safetensors file", ARRAYS
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "a WebP picture", PIXELS
    if start[:2] == b"PK":
        return ("a PyTorch checkpoint", CHECKPOINT) if _holds_a_pickle(path) else None
    return next(((what, hint) for beginning, what, hint in BEGINNINGS if start.startswith(beginning)), None)


def _holds_a_pickle(path: Path) -> bool:
    try:
        with ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (BadZipFile, OSError, ValueError):
        return False
