"""The concordance: where the same computation stands in the engine of 2012, in the port and in the reference.

The data are in concordance.toml, which explains its own fields. ``python -m alexnet_rosetta.harness.concordance``
prints docs/concordance.md.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HEAD = """# Concordance

Where the same computation stands in the three rooms: the kernels of `legacy/kernels`, the functions of `legacy/host`
that launch them, the functions of `port/`, and the formulas of `harness/reference/`. `sgemm` is the matrix product of
the machine's library. The functions of `port/` check their operands and hand the heavy work on: convolutions to
`port/_conv.h`, matrix products to `port/_gemm.pyx`, loops over images to `port/_loops.h`.

Below each table stand the parameters, whose names differ: the name of 2012, the name in the port, and the key of a
[layer file](layer-file.md) that the value comes from. `rosetta study NET LAYER` shows both for one
layer. This page is written by `python -m alexnet_rosetta.harness.concordance` from `harness/concordance.toml`.
"""


@dataclass(frozen=True)
class Operation:
    """One computation."""

    what: str  # in words
    step: str  # the pass of a layer that runs it: forward, backward or update; "" where no layer type does
    # kernels, host, port, reference: names: of kernels, of host functions or classes, ``module.function`` of the port,
    # ``module.function`` or ``module.class.method`` of the reference
    kernels: tuple[str, ...]
    host: tuple[str, ...]
    port: tuple[str, ...]
    reference: tuple[str, ...]
    release: tuple[str, ...]  # ``class::method`` of the release's own host code


@dataclass(frozen=True)
class Parameter:
    """One parameter of kernels or host functions: its name there and in the port, its key in a layer file, a remark.

    ``also`` are other names of the same quantity, in the reference and inside functions.
    """

    legacy: str
    port: str
    key: str
    remark: str
    also: str = ""


@dataclass(frozen=True)
class Part:
    """One piece of an operation, that stands in all rooms: what it does, and `study.source.pieces` of each room."""

    of: str
    what: str
    host: str = ""
    kernels: str = ""
    port: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Family:
    """The operations and the parameters of related layer types, and the pieces that long operations come in."""

    name: str
    layers: tuple[str, ...]
    operations: tuple[Operation, ...]
    parameters: tuple[Parameter, ...]
    parts: tuple[Part, ...]


@cache
def families() -> tuple[Family, ...]:
    """All families, in the order of the file."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return tuple(
        Family(
            family["name"],
            tuple(family["layers"]),
            tuple(_operation(row) for row in family["operations"]),
            tuple(Parameter(name, *more) for name, more in family["parameters"].items()),
            tuple(Part(**row) for row in family.get("parts", ())),
        )
        for family in tomllib.loads(text)["family"]
    )


KNOWN = {
    "recorded": "its outputs are held against those recorded from the historical kernel",
    "specified": "rebuilt from the specification, which read the historical source; no recording",
    "inferred": "the historical source was not seen; the specification says what it must have done",
    "added": "no historical kernel; added for a switch",
}
"""The labels of `provenance`, explained."""


@cache
def provenance() -> dict[str, str]:
    """The label of each kernel, of `KNOWN`."""
    found = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["provenance"]
    return {name: label for label, names in found.items() for name in names.split()}


def _operation(row: dict[str, str]) -> Operation:
    names = (tuple(row.get(room, "").split()) for room in ("kernels", "host", "port", "reference", "release"))
    return Operation(row["what"], row.get("step", ""), *names)


@cache
def port_functions() -> frozenset[str]:
    """The functions of the port that compute something, ``module.function``."""
    return frozenset(name for family in families() for operation in family.operations for name in operation.port)


def of_launch(layer_type: str, step: str, kernel: str) -> list[Operation]:
    """The operations for which a layer of that type launches that kernel in that pass."""
    mine = [operation for family in families() if layer_type in family.layers for operation in family.operations]
    return [operation for operation in mine if operation.step == step and kernel in operation.kernels]


def renamed(layer_type: str) -> dict[str, str]:
    """The parameters of a layer type that have another name in the port: historical name to the port's."""
    mine = [parameter for family in families() if layer_type in family.layers for parameter in family.parameters]
    return {row.legacy: row.port for row in mine if row.port and row.port != row.legacy}


def page() -> str:
    """The page of the guide, Markdown."""
    return HEAD + "".join(_section(family) for family in families())


def _section(family: Family) -> str:
    layers = f"Layer types: {_code(family.layers)}.\n\n" if family.layers else ""
    operations = [
        [row.what, row.step, *map(_code, (row.kernels, row.host, row.port, row.reference))] for row in family.operations
    ]
    parameters = [
        [_code([row.legacy]), _code([row.port] if row.port else []), _code([row.key] if row.key else []), row.remark]
        for row in family.parameters
    ]
    return (
        f"\n## {family.name}\n\n{layers}"
        f"{_table(('computation', 'pass', 'kernels', 'host', 'port', 'reference'), operations)}\n"
        f"{_table(('2012', 'port', 'layer file', ''), parameters)}"
    )


def _code(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
