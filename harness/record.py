"""Comparison records: a folder that says, without any program of ours, what was compared and what was found.

``record.json`` holds everything but arrays: options, network, engines, environment, hashes, rows. ``arrays.npz`` holds
the pictures, the first layer's filters and the dropout masks; ``tensors/`` holds whole tensors where they were asked
for; ``results.csv`` (and ``results.parquet`` where pyarrow is installed) repeat the rows for other programs. There is
no pickle anywhere.

A record appears whole or not at all: it is written beside its place and renamed.
"""

import csv
import json
import os
import shutil
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from .errors import BadInput, RecordError
from .table import Row

FORMAT = "alexnet-rosetta record"
VERSION = 1


@dataclass
class Record:
    """A record that was read back.

    Attributes
    ----------
    about : dict
        All of record.json but the rows.
    rows : list of Row
    arrays : dict of str to ndarray
    """

    about: dict
    rows: list
    arrays: dict


class Writer:
    """Writes a record into a folder that does not appear before `finish`.

    Parameters
    ----------
    folder : path
        Must not exist, or be empty, or hold an earlier record, which is then replaced.

    Raises
    ------
    BadInput
        The folder is in use for something else, or cannot be written.
    """

    def __init__(self, folder):
        self.folder = Path(folder).absolute()
        self._refuse_foreign_folder()
        self._draft = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.part")
        try:
            self._draft.mkdir(parents=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def keep(self, name, array):
        """Store a whole tensor under ``tensors/``."""
        folder = self._draft / "tensors"
        folder.mkdir(exist_ok=True)
        np.save(folder / f"{name}.npy", array, allow_pickle=False)

    def finish(self, about, rows, arrays):
        """Write everything and put the folder in its place.

        Parameters
        ----------
        about : dict
            Plain values.
        rows : list of Row
        arrays : dict of str to ndarray
        """
        try:
            self._write(about, rows, arrays)
            self._move()
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        finally:
            self.discard()
        return self.folder

    def discard(self):
        """Remove what was written so far."""
        shutil.rmtree(self._draft, ignore_errors=True)

    def _write(self, about, rows, arrays):
        whole = {"format": FORMAT, "version": VERSION, **about, "rows": [row.to_dict() for row in rows]}
        with open(self._draft / "record.json", "w", encoding="utf-8") as file:
            json.dump(_plain(whole), file, indent=1, allow_nan=False, ensure_ascii=False)
        np.savez_compressed(self._draft / "arrays.npz", **arrays)
        lines = [line for row in rows for line in row.flat()]
        with open(self._draft / "results.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, fieldnames=list(lines[0]) if lines else ["layer"])
            table.writeheader()
            table.writerows(lines)
        _write_parquet(self._draft / "results.parquet", lines)

    def _move(self):
        replaced = self._draft.with_suffix(".old")
        if self.folder.exists():
            os.replace(self.folder, replaced)
        os.replace(self._draft, self.folder)
        shutil.rmtree(replaced, ignore_errors=True)

    def _refuse_foreign_folder(self):
        try:
            foreign = self.folder.exists() and (
                not self.folder.is_dir() or (any(self.folder.iterdir()) and not (self.folder / "record.json").is_file())
            )
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        if foreign:
            raise BadInput(
                f"{self.folder} exists and is no record", hint="--out takes a new folder, or an earlier record"
            )


def read(folder):
    """Read a record.

    Raises
    ------
    RecordError
        There is none, or it is of another version.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        with np.load(folder / "arrays.npz", allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{folder} cannot be read as a record: {error}", hint="give the folder that 'rosetta compare' wrote"
        ) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise RecordError(f"{folder / 'record.json'} is no comparison record", expected=f"format {FORMAT!r}")
    if about.get("version") != VERSION:
        raise RecordError(
            f"{folder} is a record of another version",
            expected=VERSION,
            actual=about.get("version"),
            hint="run the comparison again",
        )
    return Record(about, [Row.from_dict(row) for row in about.pop("rows")], arrays)


def _write_parquet(path, lines):
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return
    parquet.write_table(pyarrow.Table.from_pylist(lines), path)


def _plain(value):
    """Numbers of NumPy and numbers that JSON has no word for, as plain values."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _unwritable(folder, error):
    reason = error.strerror or type(error).__name__
    return BadInput(f"{folder} cannot be written: {reason}", hint="choose another folder with --out")
