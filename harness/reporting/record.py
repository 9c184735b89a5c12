"""Comparison records: a folder that says, without any program of ours, what was compared and what was found.

``record.json`` holds everything but arrays: options, network, engines, environment, hashes, rows. ``arrays.npz`` holds
the pictures, the first layer's filters and the dropout masks; ``tensors/`` holds whole tensors where they were asked
for, numbered, with ``index.jsonl`` to say which is which; ``results.csv`` (and ``results.parquet`` where pyarrow is
installed) repeat the rows for other programs. There is no pickle anywhere.

A record appears whole: it is written beside its place and renamed. Until then ``rows.jsonl`` in the draft gets every
row when it is there, so that a run that was killed can be reported: `recover` brings its draft in place.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .. import files
from ..errors import BadInput, RecordError
from ..judging.row import Row, sentence, total_seconds
from ..values.archive import Archive
from .formats import as_csv, as_json, as_parquet, plain

FORMAT = "alexnet-rosetta record"
VERSION = 1
"""Counts up when a key goes or changes its meaning; `read` takes every version so far (docs/record.md)."""
ROWS = "rows.jsonl"
AGAIN = "run the comparison again"
LARGEST = 2**28
"""Bytes of a record.json, rows.jsonl or arrays.npz, unpacked, that are read: a hundred times what AlexNet's have."""
SHOWN = ("filters.", "filters_grad.", "mask.", "pictures")
"""How the names of arrays begin."""

_OURS = re.compile(
    r"record\.json|rows\.jsonl|arrays\.npz|results\.(csv|parquet)|report\.(html|md|json)|junit\.xml|\.[\w.]+\.\d+\.part"
    r"|tensors/(\d+\.npy|index\.jsonl)"
)


@dataclass
class Record:
    """A record that was read back."""

    about: dict[str, Any]  # all of record.json but the rows
    rows: list[Row]
    arrays: dict[str, np.ndarray]


class Writer:
    """Writes a record into a folder that does not appear before `finish`.

    The folder must not exist, or be empty, or hold an earlier record and nothing else, which is then renamed by its
    date. Drafts that dead processes left for the same folder are removed. Raises BadInput: the folder is in use for
    something else, or cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self.earlier: Path | None = None  # where the earlier record of that name is when this one is finished
        self.problem = ""  # why whole tensors are missing, if they are; else ""
        self._begin, self._count, self._kept = perf_counter(), 0, 0
        self._draft = files.draft_of(self.folder)
        try:
            _refuse_foreign(self.folder)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            _clear(self.folder)
            self._draft.mkdir()
            self._rows = open(self._draft / ROWS, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        files.lock(self._rows, wait=True)

    def begin(self, about: dict[str, Any]) -> None:
        """Note what the run is about: all of record.json that is known before there is a row."""
        self._append({"format": FORMAT, "version": VERSION, **about})

    def add(self, row: Row) -> None:
        """Note a row, so that it can be reported whatever happens to this process."""
        self._count += 1
        self._append({"elapsed": perf_counter() - self._begin, "row": row.to_dict()})

    def _append(self, values: dict[str, Any]) -> None:
        try:
            self._rows.write(json.dumps(plain(values), allow_nan=False).encode() + b"\n")
        except OSError:
            return  # a full disk; `finish` says so if it still is

    def keep(self, layer: str, step: str, tensor: str, whose: str, array: np.ndarray) -> None:
        """Store a whole tensor under ``tensors/``, whatever its layer is called; ``whose`` is the engine's name.

        Where the disk is too full, all of them are given up for the sake of the record, and `problem` says so.
        """
        if self.problem:
            return
        folder, name = self._draft / "tensors", f"{self._kept:05}.npy"
        entry = {"file": name, "layer": layer, "pass": step, "tensor": tensor, "of": whose}
        try:
            folder.mkdir(exist_ok=True)
            np.save(folder / name, array, allow_pickle=False)
            with open(folder / "index.jsonl", "a", encoding="ascii") as index:
                index.write(json.dumps(entry) + "\n")
            self._kept += 1
        except OSError as error:
            self.problem = f"whole tensors were not kept: {error.strerror or error}"
            _empty(folder, "tensors/")

    def finish(self, about: dict[str, Any], rows: Sequence[Row], arrays: Mapping[str, Any]) -> Path:
        """Write everything and put the folder in its place; nothing interrupts that.

        ``about``: plain values.
        Raises BadInput: it cannot be written; the rows that were noted remain in the draft.
        """
        try:
            with files.uninterrupted():
                self._write(about, rows, arrays)
                _refuse_foreign(self.folder)
                earlier = files.place(self._draft, self.folder)
                if earlier is not None:
                    self.earlier = _put_by(earlier, self.folder)
                (self.folder / ROWS).unlink()
                self._count = 0
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        finally:
            self.discard()
        return self.folder

    def discard(self) -> None:
        """End: remove a draft that nothing is lost with, and leave one that has rows which are nowhere else."""
        self._rows.close()
        if not self._count and self._draft.exists():
            _remove(self._draft)

    def _write(self, about: dict[str, Any], rows: Sequence[Row], arrays: Mapping[str, Any]) -> None:
        np.savez_compressed(self._draft / "arrays.npz", **arrays)
        files.write(self._draft / "results.csv", as_csv(rows))
        with suppress(BadInput):  # where pyarrow is not installed
            files.write(self._draft / "results.parquet", as_parquet(rows))
        whole = {"format": FORMAT, "version": VERSION, **about, "rows": [row.to_dict() for row in rows]}
        files.write(self._draft / "record.json", as_json(whole))


def recover(folder: str | Path) -> str:
    """Bring in place what a killed run left, where there is no record of that name, and say what was found.

    Returns a sentence, where there is something to say, else "".
    Raises RecordError: there is no record, but a run that is writing one, or one that ended before it noted anything.
    """
    folder = Path(folder).absolute()
    interrupted = f"the run that wrote {folder} was ended early: this is what it finished"
    if _is_unfinished(folder):
        return interrupted
    for draft in files.drafts(folder):
        if _foreign(draft) or not (draft / ROWS).exists():
            continue
        with _abandoned(draft) as dead:
            if folder.exists():
                return f"a later run was ended early: 'rosetta report {draft}' shows what it finished" if dead else ""
            if not dead:
                raise RecordError(f"{folder} is being written", hint="wait for the run to end")
            _require_a_beginning(draft, folder)
            os.rename(draft, folder)
            return interrupted
    return ""


def read(folder: str | Path) -> Record:
    """Read a record; of a run that was killed, what was finished, as ``interrupted``.

    Raises RecordError: there is none, or it is damaged or of another version.
    """
    folder = Path(folder)
    if not (folder / "record.json").is_file() and not _is_unfinished(folder):
        what = (
            f"there is no record in {folder}: no file record.json"
            if folder.is_dir()
            else f"there is no folder {folder}"
        )
        raise RecordError(what, hint="give the folder that 'rosetta compare' wrote")
    with reading(folder):
        about = _rows_alone(folder) if _is_unfinished(folder) else read_json(folder / "record.json")
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise RecordError(f"{folder / 'record.json'} is no comparison record", expected=f"format {FORMAT!r}")
        version = about.get("version")
        if type(version) is not int or not 1 <= version <= VERSION:
            newer = type(version) is int and version > VERSION
            raise RecordError(
                f"{folder} is a record of another version",
                expected=f"1 to {VERSION}",
                actual=repr(version),
                hint="a newer version of this program opens the record" if newer else AGAIN,
            )
        arrays = {} if _is_unfinished(folder) else _arrays(folder / "arrays.npz")
        return Record(about, [Row.from_dict(row) for row in about.pop("rows")], arrays)


@contextmanager
def reading(folder: str | Path, wanted: str = "the folder that 'rosetta compare' wrote") -> Iterator[None]:
    """Whatever goes wrong in the block is the fault of the record in that folder or file: RecordError."""
    try:
        yield
    except RecordError:
        raise
    except Exception as error:
        reason = error.what if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        raise RecordError(f"{folder} cannot be read as a record: {reason[:200]}", hint=f"give {wanted}") from error


def read_json(path: Path) -> Any:
    """What a JSON file holds; RecordError where the file is too large for one of ours."""
    if path.stat().st_size > LARGEST:
        raise RecordError(f"{path} is too large", expected=f"at most {LARGEST:,} bytes")
    return json.loads(path.read_text(encoding="utf-8"))


def _require_a_beginning(draft: Path, folder: Path) -> None:
    """RecordError unless the run that made a draft has noted what it is about."""
    with open(draft / ROWS, "rb") as rows:
        if not rows.readline(LARGEST).endswith(b"\n"):
            raise RecordError(f"the run that was to write {folder} ended before it had finished anything", hint=AGAIN)


def _rows_alone(folder: Path) -> dict[str, Any]:
    """What record.json would hold, from the rows that a killed run noted; the last one may be cut."""
    _require_a_beginning(folder, folder)
    if (folder / ROWS).stat().st_size > LARGEST:
        raise RecordError(f"{folder / ROWS} is too large", expected=f"at most {LARGEST:,} bytes")
    lines = (folder / ROWS).read_bytes().split(b"\n")
    about, *noted = [json.loads(line) for line in lines[:-1]]
    rows = [Row.from_dict(one["row"]) for one in noted]
    return {
        **about,
        "status": "interrupted",
        "sentence": sentence(rows, about.get("options", {}).get("level", "")),
        "seconds": noted[-1]["elapsed"] if noted else 0.0,
        "totals": total_seconds(rows),
        "costs": {},
        "kernels": {},
        "rows": [one["row"] for one in noted],
    }


def _arrays(path: Path) -> dict[str, np.ndarray]:
    archive = Archive(path, "give the folder that 'rosetta compare' wrote")
    return archive.load((name for name in archive.headers if name.startswith(SHOWN)), LARGEST)


def _is_unfinished(folder: Path) -> bool:
    return not (folder / "record.json").exists() and (folder / ROWS).exists()


@contextmanager
def _abandoned(draft: Path) -> Iterator[bool]:
    """Whether the process that made a draft is gone: its lock is free; or, without one, no process has its number."""
    try:
        rows = open(draft / ROWS, "rb")  # noqa: SIM115
    except FileNotFoundError:
        yield not files.alive(draft)
        return
    with rows:
        yield files.lock(rows)


def _clear(folder: Path) -> None:
    """Remove what dead processes left beside a folder; bring an earlier record back whose replacement was cut short."""
    for old in files.drafts(folder, "old"):
        if not files.alive(old) and not _foreign(old):
            if folder.exists():
                _put_by(old, folder)
            else:
                os.rename(old, folder)
    for draft in files.drafts(folder):
        if not _foreign(draft):
            with _abandoned(draft) as dead:
                if dead and (draft / "record.json").exists() and not (draft / ROWS).exists():
                    _put_by(draft, folder)  # the earlier record, which was exchanged for the one in its place
                elif dead:
                    _remove(draft)


def _foreign(folder: Path) -> str:
    """Why a folder is none that we made: what it is, or the first entry that is no part of a record; "" if it is."""
    if folder.is_symlink() or not folder.is_dir():
        return "is a link" if folder.is_symlink() else "is no folder"
    for prefix, path in (("", folder), ("tensors/", folder / "tensors")):
        for entry in list(os.scandir(path)) if path.is_dir() else ():
            inner = not prefix and entry.name == "tensors" and entry.is_dir(follow_symlinks=False)
            if not inner and not _is_ours(entry, prefix):
                return f"holds {prefix + entry.name!r}, which is no part of a record"
    return ""


def _is_ours(entry: os.DirEntry[str], folder: str) -> bool:
    return entry.is_file(follow_symlinks=False) and bool(_OURS.fullmatch(folder + entry.name))


def _refuse_foreign(folder: Path) -> None:
    """BadInput unless a folder may be replaced."""
    if not os.path.lexists(folder):
        return
    why = _foreign(folder)
    if not why and Path.cwd().is_relative_to(folder.resolve()):
        why = "is the working folder or holds it"
    elif not why and folder.is_mount():
        why = "is the top of a file system and cannot be replaced"
    elif not why and any(folder.iterdir()) and not _has_our_mark(folder):
        why = "its record.json is not ours"
    if why:
        raise BadInput(
            f"{folder} exists and is no record: {why}", hint="--out takes a new folder, or an earlier record"
        )


def _has_our_mark(folder: Path) -> bool:
    """Whether the folder's record.json, or rows.jsonl of a killed run, says that it is one."""
    try:
        if _is_unfinished(folder):
            with open(folder / ROWS, "rb") as rows:
                about = json.loads(rows.readline(LARGEST))
        else:
            about = read_json(folder / "record.json")
    except (OSError, ValueError, RecursionError, RecordError):
        return False
    return isinstance(about, dict) and about.get("format") == FORMAT


def _put_by(earlier: Path, folder: Path) -> Path:
    """Give an earlier record the name of its folder with the time of the record behind it; returns where it is."""
    files_of_it = (earlier / name for name in ("record.json", ROWS))
    written = next(path.stat().st_mtime for path in files_of_it if path.exists())
    name = f"{folder.name}-{datetime.fromtimestamp(written, UTC):%Y-%m-%d-%H%M%S}"
    place, others = folder.with_name(name), count(2)
    while os.path.lexists(place):
        place = folder.with_name(f"{name}-{next(others)}")
    os.rename(earlier, place)
    return place


def _remove(folder: Path) -> None:
    """Remove the files of a record, and the folder unless it holds anything else."""
    _empty(folder / "tensors", "tensors/")
    _empty(folder)


def _empty(folder: Path, prefix: str = "") -> None:
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _is_ours(entry, prefix):
                os.unlink(entry.path)
        os.rmdir(folder)


def _unwritable(folder: Path, error: OSError) -> BadInput:
    reason = error.strerror or str(error) or type(error).__name__
    return BadInput(f"{folder} cannot be written: {reason}", hint="choose another folder with --out")
