"""Which layer-definition file of a folder goes with which layer-parameter file.

A record ``expected.json.gz`` in the folder names its pairs. All other files are paired by their names: ``layers-X.cfg``
with ``layer-params-X.cfg``, ``X.cfg`` with ``X-params.cfg``; a parameter file that has no definition of its own name
goes with the definition whose name begins like its own (``layer-params-X-anything.cfg``), or with the one that its
comments name ("def file X"; config-format 17).
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BadInput
from ...network.implied import DataSet, flat_tree
from ...network.load import Network

RECORD = "expected.json.gz"
_NAMED = re.compile(r"\bdef(?:inition)?\s+file\s+#?([\w.-]*\w)", re.IGNORECASE)
_HEAD = 64 * 2**10


@dataclass(frozen=True)
class DefinitionPair:
    """A definition file and what belongs to it."""

    # ``definition + parameters``, the first relative to the folder; the definition where there are no parameters
    name: str
    # definition, params: ``params`` may be None
    definition: Path
    params: Path | None
    data: DataSet | None = None  # what the record says about the data set
    layers: Mapping[str, Mapping[str, Any]] | None = None  # the record's derived values, by layer and key


def find(folder: str | Path, only: Sequence[str] = ()) -> tuple[list[DefinitionPair], list[Path]]:
    """The pairs of a folder and its subfolders in the order of their names, and parameter files without a definition.

    `only` are parts of names; by default all pairs. Raises BadInput: no such folder, no layer files, a damaged record,
    nothing of that name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder", hint="DIR is a folder with layer files, such as layers-X.cfg")
    pairs = recorded(folder)
    used = {path for pair in pairs for path in (pair.definition, pair.params)}
    files = [path for path in sorted(folder.rglob("*.cfg")) if path not in used and path.is_file()]
    more, alone = _by_name(folder, files, {pair.definition for pair in pairs})
    pairs = sorted([*pairs, *more], key=lambda pair: pair.name)
    if not pairs and not alone:
        raise BadInput(f"{folder} holds no layer files", hint="their names end in .cfg")
    chosen = [pair for pair in pairs if not only or any(part in pair.name for part in only)]
    if only and not chosen:
        raise BadInput(f"no pair has {' or '.join(map(repr, only))} in its name", hint=f"pairs: {_some(pairs)}")
    return chosen, [] if only else alone


def recorded(folder: str | Path) -> list[DefinitionPair]:
    """The pairs of the record in a folder, with their data set and derived values; none without a record.

    Raises BadInput: the record cannot be read, or names a file that is not in the folder.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        return []
    try:
        record = json.loads(gzip.decompress(path.read_bytes()))
        return [_recorded(Path(folder), name, facts) for name, facts in record.items()]
    except (OSError, EOFError, ValueError, zlib.error, AttributeError, KeyError, TypeError) as error:
        if isinstance(error, BadInput):
            raise
        hint = "it maps 'definition + parameters' to dims, classes and layers, as JSON, gzipped"
        raise BadInput(f"{path} cannot be used ({type(error).__name__}: {error})", hint=hint) from error


def _recorded(folder: Path, name: str, facts: Mapping[str, Any]) -> DefinitionPair:
    files = [folder / part for part in name.split(" + ")]
    inside = all(path.resolve().is_relative_to(folder.resolve()) and path.is_file() for path in files)
    if len(files) != 2 or not inside:
        raise BadInput(f"{folder / RECORD}: {name!r} does not name two files of the folder")
    layers = facts["layers"]
    tree = next((layer for layer in layers.values() if layer.get("type") == "treefc"), None)
    data = DataSet(
        dict(enumerate(facts["dims"])), facts["classes"], tree and flat_tree(tree["outputs"], tree["rootLabel"])
    )
    definition, params = files
    short = params.name if params.parent == definition.parent else params.relative_to(folder)
    return DefinitionPair(f"{definition.relative_to(folder)} + {short}", definition, params, data, layers)


def _by_name(folder: Path, files: Sequence[Path], known: set[Path]) -> tuple[list[DefinitionPair], list[Path]]:
    """Pairs of the other files, and what is left over; definitions that are ``known`` already may serve again."""
    definitions = {path for path in files if not _is_params(path)} | known
    pairs, alone, served = [], [], set(known)
    for path in files:
        if _is_params(path):
            own = _definition_of(path, [other for other in definitions if other.parent == path.parent])
            if own is None:
                alone.append(path)
            else:
                served.add(own)
                pairs.append(DefinitionPair(f"{own.relative_to(folder)} + {path.name}", own, path))
    rest = sorted(definitions - served)
    return pairs + [DefinitionPair(str(path.relative_to(folder)), path, None) for path in rest], alone


def _is_params(path: Path) -> bool:
    return path.stem.startswith("layer-params") or path.stem.endswith("-params")


def _key(path: Path) -> str:
    """What two file names of a pair have in common."""
    name = path.stem
    for prefix in ("layer-params", "layers"):
        if name.startswith(prefix):
            return name.removeprefix(prefix).lstrip("-._")
    return name.removesuffix("-params")


def _definition_of(params: Path, definitions: Iterable[Path]) -> Path | None:
    key, keys = _key(params), {_key(path): path for path in definitions}
    begins = [own for own in keys if own and key.startswith(f"{own}-")]
    if key in keys:
        return keys[key]
    if begins:
        return keys[max(begins, key=len)]
    with params.open(encoding="latin-1") as text:
        named = _NAMED.search(text.read(_HEAD))
    return keys.get(named[1]) if named else None


def _some(pairs: Sequence[DefinitionPair]) -> str:
    names = [pair.name for pair in pairs]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def complaints(network: Network, layers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is not as recorded, ``layer key: expected …, actual …``; nothing if every value of every layer is the same.

    `layers` are the recorded values by layer and key.
    """
    found = {layer.name: layer.to_dict() for layer in network.layers}
    for name in sorted(found.keys() ^ layers.keys()):
        yield f"[{name}] " + ("is not in the record" if name in found else "is missing")
    for name, expected in layers.items():
        own = found.get(name, expected)
        for key in sorted(own.keys() ^ expected.keys()):
            yield f"[{name}] {key}: " + ("is not in the record" if key in own else "is missing")
        for key, value in expected.items():
            if key in own and own[key] != value:
                yield f"[{name}] {key}: expected {value!r}, actual {own[key]!r}"


def count(layers: Mapping[str, Mapping[str, Any]]) -> int:
    """Number of recorded values."""
    return sum(map(len, layers.values()))
