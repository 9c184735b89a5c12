"""Dumps: arrays by name in one npz file, for `rosetta judge`; the format is on one page, docs/dumps.md."""

import os
from pathlib import Path
from types import TracebackType
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy

from .errors import BadInput, writing
from .files import draft_of


class Recorder:
    """Writes arrays by name, each at once and in the order in which they come; the file appears when all is written.

    Parameters
    ----------
    path : path
        An npz file; one that is there is replaced.

    Examples
    --------
    >>> with Recorder("/tmp/run.npz") as record:
    ...     record("conv1/out", np.ones((2, 3), np.float32))
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._draft = draft_of(self.path)
        with writing(self.path):
            self._file = ZipFile(self._draft, "w", ZIP_STORED)

    def __call__(self, name: str, array: Any) -> None:
        """Write an array of plain numbers as it is now; BadInput for another one, and for a name that was used."""
        array = np.asarray(array)
        if array.dtype.hasobject or array.dtype.fields:
            raise BadInput(f"{name}: not an array of plain numbers", actual=array.dtype)
        if not name or not name.isprintable() or f"{name}.npy" in self._file.NameToInfo:
            raise BadInput(f"recording: the name {name!r} cannot be used", expected="a new printable one")
        with self._file.open(f"{name}.npy", "w", force_zip64=True) as member:
            npy.write_array(member, array, version=(1, 0), allow_pickle=False)

    def close(self) -> None:
        """Put the file in its place."""
        self._file.close()
        os.replace(self._draft, self.path)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Put the file in its place; after an error there is none."""
        if kind is None:
            self.close()
        else:
            self._file.close()
            self._draft.unlink(missing_ok=True)
