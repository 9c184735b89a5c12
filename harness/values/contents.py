"""What a file is that should have been an npz file, told from its first bytes, and what can be done with it."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

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
