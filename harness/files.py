"""Files and folders that appear whole or not at all, whatever ends the process that makes them.

What is being made stands beside its place under a hidden name, ``.NAME.PID.part``, until one rename puts it there. A
draft that a dead process left is known by its lock, which ends with the process.
"""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, ENOTEMPTY
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

AT_FDCWD, RENAME_EXCHANGE = -100, 2
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end."""


def write(path: str | Path, data: bytes) -> None:
    """Write a file beside its place and rename it; what was there before stays until then.

    ``path``: a link is followed. What is no plain file, such as a pipe, is written to as it is.
    Raises OSError: the file cannot be written; the earlier one is as it was.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    for old in drafts(path):
        if not alive(old):
            old.unlink(missing_ok=True)
    draft = draft_of(path)
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def draft_of(path: Path) -> Path:
    """Where this process makes what shall stand at ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def drafts(path: Path, kind: str = "part") -> list[Path]:
    """What processes made, or are making, for ``path``, the newest first."""
    name = re.compile(rf"\.{re.escape(path.name)}\.\d+\.{kind}")
    with suppress(OSError):
        found = [(entry.stat(follow_symlinks=False).st_mtime, Path(entry.path)) for entry in os.scandir(path.parent)
                 if name.fullmatch(entry.name)]  # fmt: skip
        return [draft for _, draft in sorted(found, reverse=True)]
    return []


def alive(draft: Path) -> bool:
    """Whether the process that a draft is named after is there, another one than this."""
    pid = int(draft.name.split(".")[-2])
    try:
        os.kill(pid, 0)
    except OverflowError:
        return False
    except OSError as error:
        return isinstance(error, PermissionError)
    return pid != os.getpid()


def lock(file: IO[bytes], wait: bool = False) -> bool:
    """Lock an open file as long as it is open; False if somebody else has it locked, or it cannot be known."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def place(draft: Path, folder: Path) -> Path | None:
    """Put a finished folder in its place, in the place of another one if there is one.

    There is no moment without a folder of that name, where the system can exchange two names in one step (Linux, on
    most file systems); elsewhere the earlier one is ``.NAME.PID.old`` for a moment.

    Returns: where the earlier folder is now.
    """
    try:
        os.rename(draft, folder)  # also over an empty folder
    except OSError as error:
        if error.errno not in (ENOTEMPTY, EEXIST):
            raise
        if exchange(draft, folder):
            return draft
        aside = draft.with_suffix(".old")
        os.rename(folder, aside)
        try:
            os.rename(draft, folder)
        except OSError:
            os.rename(aside, folder)
            raise
        return aside
    return None


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0


def try_folder(folder: Path) -> None:
    """OSError unless a folder is there or can be made, and files in it; nothing is left behind."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    finally:
        for one in missing:
            with suppress(OSError):
                one.rmdir()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to be filled in the block, which then stands at its place, where there is none; else nothing is left."""
    draft = draft_of(folder)
    try:
        draft.mkdir(parents=True)
        yield draft
        os.rename(draft, folder)  # also over an empty folder
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and requests to end back until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    late: list[int] = []
    before: dict[int, Any] = {}
    try:
        for one in ENDING:
            before[one] = signal.signal(one, lambda number, frame: late.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in late:
            os.kill(os.getpid(), number)
