"""The lines of the release's own host code, from the user's copy: read when a page is made, and kept nowhere else."""

import tomllib
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from ..errors import BadInput
from . import source
from .source import Piece

KNOWN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


class Release:
    """A user's copy of the release.

    Raises BadInput: the folder has none of the files, or one cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {}
        for name, digest in KNOWN["files"].items():
            try:
                found = [Path(folder, name), *sorted(Path(folder).glob(f"*/{name}"))]
                data = next((path.read_bytes() for path in found if path.is_file()), None)
            except OSError as error:
                raise BadInput(f"{folder}: {name} cannot be read: {error.strerror}") from error
            if data is not None:
                text = data.decode("utf-8", "replace").splitlines()
                self._files[name] = (tuple(text), sha256(data).hexdigest() == digest)
        if not self._files:
            wanted = f"{', '.join(KNOWN['files'])} of {KNOWN['release']}"
            raise BadInput(f"there is no release in {folder}", expected=wanted, actual="none of them",
                           hint=f"git clone {KNOWN['address']}")  # fmt: skip

    def pieces(self, names: Iterable[str]) -> list[tuple[Piece | None, str]]:
        """(Piece or None, remark) of functions, ``class::method``: by number in the known version, else by name."""
        return [self._piece(name) for name in names]

    def _piece(self, name: str) -> tuple[Piece | None, str]:
        file, first, last = KNOWN["functions"][name]
        if file not in self._files:
            return None, f"{name}: no file {file}"
        lines, known = self._files[file]
        if not known:
            scope, _, own = name.rpartition("::")
            span = source.in_cpp(lines, own, scope)
            if span is None:
                return None, f"{name}: not found in this version of {file}"
            first, last = span
        piece = source.Piece(f"release/{file}", first, lines[first - 1 : last], name)
        return piece, "" if known else f"another version of {file}: found by name"
