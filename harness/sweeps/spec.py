"""The specification of a sweep, a TOML file, and the parts that it stands for."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from ..checks.faults.catalogue import FAULTS
from ..checks.faults.random_nets import random_net
from ..checks.layers import pairs
from ..checks.mutants.check import ROOT, files
from ..errors import BadInput, meant
from ..network.load import shipped
from ..running.prepare import Options
from ..values.inputs import KINDS

GRID = {"inputs": "input", "seeds": "seed", "batches": "batch", "modes": "mode", "instructions": "instructions"}
GRID |= {"levels": "level"} | {name: name for name in ("engines", "quirks", "threads", "passes", "allow", "rules")}
"""What a grid may list besides networks, and the option that each value is for."""
LISTED = ("engines", "quirks", "passes", "allow", "rules")
"""Options that hold several values: those of one part stand in one text, with commas between them."""
NUMBERS = ("seed", "batch", "threads")
"""Options that are whole numbers: ``"0-9"`` stands for ten of them."""
CHECKS = {"compare": ("networks",), "layers": ("folder", "only"), "faults": ("parts",), "grads": ("networks",)}
CHECKS["mutants"] = ("parts",)
"""What can be split into parts, and what each takes besides a grid."""
MOST = 100_000


@dataclass(frozen=True)
class Part:
    """One part of a sweep: a comparison, or a piece of a check."""

    check: str  # one of `CHECKS`
    network: str  # what people call it: a shipped network, a file or pair of files, a random net, some of the faults
    # fields of `Options` but ``net`` and ``params``; and ``instructions``, where one set is asked for
    options: dict[str, Any]
    # the two layer files of a network that is not shipped: a part goes to machines without them
    texts: tuple[str | None, ...] = ()
    data: Any = None  # what is known of the data set behind the files
    names: tuple[str, ...] = ()  # of a check: the faults, or the pair in ``folder``
    folder: str = field(default="", compare=False)

    @cached_property
    def key(self) -> str:
        """A name for files, made from all that the part is: the same part has the same key in every sweep."""
        values = (self.check, self.network, sorted(self.options.items()), self.texts, self.data, self.names)
        return sha256(repr(values).encode()).hexdigest()[:16]

    @property
    def home(self) -> str:
        """What the network is called in options: its name, or its layer-definition file in the folder of the sweep."""
        return f"networks/{sha256(repr(self.texts).encode()).hexdigest()[:8]}.cfg" if self.texts else self.network

    def run_options(self) -> Options:
        """The options of a comparison."""
        return Options(self.home, **{name: value for name, value in self.options.items() if name != "instructions"})

    def columns(self) -> dict[str, Any]:
        """What the part is, as columns of a table."""
        own, found = self.run_options(), {"part": self.key, "check": self.check, "network": self.network}
        for name in ("engines", "input", "batch", "seed", "mode", "quirks", "level", "threads"):
            value = getattr(own, name)
            found[f"of_{name}" if name == "mode" else name] = ",".join(value) if isinstance(value, tuple) else value
        return found | {"instructions": self.options.get("instructions", "")}


def read(path: Path) -> tuple[str, list[Part]]:
    """The title of a specification, and its parts, each once; BadInput where it asks for what there is not."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{path} cannot be read: {reason}", hint="see 'Many comparisons' in the guide") from error
    title = told.pop("title", path.stem)
    _require_known(told, ("compare", "check"), str(path))
    _require_known(told.get("check", {}), list(CHECKS)[1:], f"{path}: check")
    grids = {"compare": told.get("compare", [])} | told.get("check", {})
    found = [part for check, own in grids.items() for grid in _several(own) for part in _parts(path, check, grid)]
    if not found:
        raise BadInput(f"{path} asks for nothing", hint="[compare] with networks = [...], or [check.layers]")
    return str(title), list({part.key: part for part in found}.values())


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _require_known(table: Any, known: Any, where: str) -> None:
    """BadInput unless all names of a table are known."""
    for name in table if isinstance(table, dict) else [table]:
        if name not in known:
            raise BadInput(f"{where}: there is no {name!r}", hint=meant(name, known, f"there are {', '.join(known)}"))


def _parts(path: Path, check: str, grid: Any) -> Iterator[Part]:
    _require_known(grid, (*CHECKS[check], *GRID), f"{path}: {check}")
    axes = {GRID[name]: list(_values(GRID[name], grid[name])) for name in GRID if name in grid}
    axes = {"threads": [1]} | ({"batch": [4]} if check == "grads" else {}) | axes
    subjects = list(_subjects(check, grid, path.parent))
    count = len(subjects) * prod(map(len, axes.values()))
    if count > MOST:
        raise BadInput(f"{path} asks for {count:,} parts", expected=f"at most {MOST:,}")
    for name, numbers in axes.items():
        if any(type(one) is int and one >= 2**63 for one in numbers):
            raise BadInput(f"{path}: no table of results holds such a {name}", expected="less than 2**63")
    for subject, values in product(subjects, product(*axes.values())):
        options = dict(zip(axes, values, strict=True))
        if options.get("input", KINDS[0]) not in KINDS:
            options["input"] = str((path.parent / str(options["input"])).resolve())
        part = Part(check, options=options, **subject)
        part.run_options()  # refuses what is no option
        yield part


def _values(name: str, given: Any) -> Iterator[Any]:
    """The values of an axis, which are those of a list, or one; as the option of that name takes them."""
    for one in _several(given):
        if name in NUMBERS and isinstance(one, str):
            yield from _numbers(one)
        elif name in LISTED and isinstance(one, str):
            yield tuple(word.strip() for word in one.split(",") if word.strip())
        else:
            yield str(one) if name == "level" and type(one) is int else one


def _numbers(text: str) -> Sequence[Any]:
    """The numbers of ``"0-9"`` or ``"7"``; another text is left for those who refuse what is no option."""
    ends = re.fullmatch(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?", text)
    if not ends:
        return [text]
    first, last = int(ends[1]), int(ends[2] or ends[1])
    if last < first:
        raise BadInput(f"the range {text!r} ends before it begins", expected=f"{last}-{first}")
    return range(first, min(last, first + MOST) + 1)


def _subjects(check: str, grid: Any, base: Path) -> Iterator[dict[str, Any]]:
    """What a part is about: its network with the layer files, its pair of a folder, its faults."""
    if check in ("faults", "mutants"):
        names, count = [fault.name for fault in FAULTS], grid.get("parts", 1)
        if check == "mutants":
            names = [path.relative_to(ROOT).as_posix() for path in files()]
        if type(count) is not int or count < 1:
            raise BadInput(f"check {check}: parts is no whole number from 1", actual=repr(count)[:60])
        count = min(count, len(names))
        yield from ({"network": f"{check} {k + 1} of {count}", "names": tuple(names[k::count])} for k in range(count))
    elif check == "layers":
        folder = base / str(grid.get("folder", "."))
        for pair in pairs.find(folder, _several(grid.get("only", [])))[0]:
            yield {"network": pair.name, "names": (pair.name,), "folder": str(folder.resolve())}
    else:
        for name in _several(grid.get("networks", [])):
            yield from _networks(str(name), base)


def _networks(name: str, base: Path) -> Iterator[dict[str, Any]]:
    path, seeds = base / name, re.fullmatch(r"random:(\d{1,9}(?:-\d{1,9})?)", name)
    if seeds:
        yield from ({"network": f"random:{k}", "texts": (random_net(k).text,) * 2} for k in _numbers(seeds[1]))
    elif name in shipped():
        yield {"network": name}
    elif path.is_dir():
        for pair in pairs.find(path)[0]:
            yield {"network": pair.name, "texts": _texts(pair.definition, pair.params), "data": pair.data}
    elif path.is_file():
        beside = path.with_name(f"{path.stem}-params.cfg")
        yield {"network": name, "texts": _texts(path, beside if beside.is_file() else None)}
    else:
        hint = meant(name, shipped(), f"networks: {', '.join(shipped())}, random:0-9, files and folders")
        raise BadInput(f"there is no network {name!r} and no file or folder of that name", hint=hint)


def _texts(*paths: Path | None) -> tuple[str | None, ...]:
    return tuple(path.read_text(encoding="latin-1") if path else None for path in paths)
