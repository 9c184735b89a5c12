"""`rosetta judge A.npz B.npz`: numbers that two programs left, wherever they ran (docs/dumps.md)."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput, meant
from ..judging.finding import Finding
from ..judging.row import Row
from ..machine import available_memory
from ..reporting import lines
from ..values.archive import Archive
from . import expected as models
from .expected import Array, Expected
from .functions import Pair, accuracy, examined

OPERATIONS = {
    **{name: getattr(np, name) for name in ("matmul", "add", "subtract", "multiply", "divide", "sum", "mean")},
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "tanh", "maximum")},
    "fft": np.fft.fft,
}
"""What a model file may call by a name; a layer has keys instead."""
KEYS = ("terms", "magnitude", "op", "inputs", "weights", "biases", "acts_grad", "axes")


def judge_dumps(
    first: Path, second: Path, reference: Path | None = None, model: Path | None = None, mapping: Path | None = None
) -> Pair:
    """Judge two dumps, npz files, array by array.

    What the reference lacks is not decided, unless the model, a TOML file with a table for each array (docs/dumps.md),
    says how it follows. The mapping is a TOML file: names of the first dump, and those of the same arrays in the
    second. Raises BadInput: a file cannot be read, does not fit, or is too large for this machine.
    """
    one, other, exact = (
        Archive(path, "a dump is an npz file") if path else None for path in (first, second, reference)
    )
    assert one is not None
    assert other is not None
    facts, pairs = _toml(model), _pairs(one, other, _toml(mapping))
    engines = (first.stem, second.stem) if first.stem != second.stem else ("first", "second")
    known = dict.fromkeys([*one.headers, *(exact.headers if exact else ()), *(pairs.get(n, n) for n in other.headers)])
    for name in facts:
        if name not in known:
            raise BadInput(f"{model}: there is no array {name!r}", hint=meant(name, known, "names are those of A"))
    rows = []
    there = {pairs.get(name, name): name for name in other.headers}
    for name in known:
        sources = dict(zip(engines, ((one, name), (other, there.get(name, name))), strict=True))
        rows.append(_judged(name, sources, exact, facts.get(name, {})))
    return Pair([*rows, *_order(list(one.headers), [pairs.get(n, n) for n in other.headers], engines[1])])


def told(pair: Pair) -> Iterator[str]:
    """A line for each array, and more where something is wrong."""
    width = max((len(row.tensor) for row in pair.table), default=0)
    for row in pair.table:
        used, ratio = lines.share(row.telling()[1]), accuracy(row)
        yield f"{lines.mark(row)} {row.tensor:<{width}}  {row.status():<12} {used:>8}  {row.type:<9} {ratio}".rstrip()
        yield from lines.explanations(row)


def _judged(
    name: str, sources: Mapping[str, tuple[Archive, str]], exact: Archive | None, model: Mapping[str, Any]
) -> Row:
    found: dict[str, Any] = {}
    for who, (archive, there) in sources.items():
        absent = Finding("missing", reason=f"there is no array {there!r}")
        found[who] = _load(archive, there) if there in archive.headers else absent
    yardstick = next((who for who, x in found.items() if not isinstance(x, Finding)), None)
    first = np.zeros(0) if yardstick is None else found[yardstick]
    read = lambda key: _load_any(key, [exact, *(archive for archive, _ in sources.values())])  # noqa: E731
    value = _load(exact, name) if exact and name in exact.headers else None
    if value is None and "op" not in model and yardstick:
        del found[yardstick]  # it is held against nothing
    expected = _expected(name, first if value is None else value, value is not None, model, read)
    dtypes = dict.fromkeys(found, first.dtype)
    row = examined("dump", name, expected, found, axes=model.get("axes", ()), dtypes=dtypes)
    if not model:
        for who, finding in row.findings.items():
            if finding.status == "different":
                reason = f"{finding.reason}; the model says nothing about n and M"
                row.findings[who] = Finding("unsupported", reason=reason)
    return row


def _expected(name: str, value: Array, is_exact: bool, model: Mapping[str, Any], read: Any) -> Expected:
    """The right value: of the reference, else what an operation gives, else the first of the two."""
    if unknown := [key for key in model if key not in KEYS]:
        raise BadInput(f"model of {name!r}: {unknown[0]!r} is no key", hint=meant(unknown[0], KEYS, ", ".join(KEYS)))
    if "op" in model:
        found = _of_operation(name, model, read)
        if found.value.size == value.size:
            parts = (np.broadcast_to(x, found.value.shape) for x in (found.value, found.magnitude, found.terms))
            own, magnitude, terms = (np.reshape(x, value.shape) for x in parts)
            return Expected(value if is_exact else own, magnitude, terms, basis=getattr(found, "basis", "derived"))
        return Expected(found.value, found.magnitude, found.terms, basis="derived")
    if not model:
        return Expected(value)
    if not {"terms", "magnitude"} <= model.keys():
        raise BadInput(f"model of {name!r}", expected="terms and magnitude, or op and inputs", actual=", ".join(model))
    terms, magnitude = (read(x) if isinstance(x, str) else x for x in (model["terms"], model["magnitude"]))
    try:
        for part in (terms, magnitude):
            np.broadcast_to(np.asarray(part, np.float64), value.shape)
    except ValueError as error:
        raise BadInput(f"model of {name!r}: terms and magnitude do not fit", expected=value.shape) from error
    return Expected(value, magnitude, terms)


def _of_operation(name: str, model: Mapping[str, Any], read: Any) -> Any:
    op, inputs = model["op"], [read(key) for key in model.get("inputs", ())]
    try:
        if isinstance(op, Mapping):
            given: dict[str, Any] = {"inputs": inputs, "weights": [read(key) for key in model.get("weights", ())]}
            given |= {key: read(model[key]) for key in ("biases", "acts_grad") if key in model}
            return models.layer_formula(op, given if given["weights"] else given | {"weights": []})
        if op not in OPERATIONS:
            raise BadInput(f"no operation {op!r}", hint=meant(op, OPERATIONS, ", ".join(OPERATIONS)))
        exact = [models.wide(x) for x in inputs]
        return models.derived(OPERATIONS[op], exact, np.asarray(OPERATIONS[op](*exact)))
    except Exception as error:
        raise BadInput(f"model of {name!r}: {error}") from error


def _order(first: Sequence[str], second: Sequence[str], who: str) -> Iterator[Row]:
    shared = [name for name in second if name in first]
    wanted = [name for name in first if name in shared]
    if shared != wanted:
        at = next(i for i, (a, b) in enumerate(zip(wanted, shared, strict=True)) if a != b)
        reason = f"recorded in another order: {shared[at]!r} comes before {wanted[at]!r}"
        yield Row("dump", "", "pair", "order", (), {who: Finding("inconclusive", reason=reason)})


def _pairs(one: Archive, other: Archive, mapping: Mapping[str, Any]) -> dict[str, str]:
    """Names of the first dump by those of the second; every name of the mapping must be there."""
    for mine, theirs in mapping.items():
        for name, archive in ((mine, one), (theirs, other)):
            if name not in archive.headers:
                hint = meant(name, archive.headers, 'lines are NAME-IN-A = "NAME-IN-B"')
                raise BadInput(f"mapping: {archive.path} has no array {name!r}", hint=hint)
    if len(set(mapping.values())) < len(mapping):
        raise BadInput("mapping: a name of the second dump stands twice")
    return {theirs: mine for mine, theirs in mapping.items()}


def _toml(path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as TOML: {error}") from error


def _load(archive: Archive, name: str) -> Array:
    return archive.load([name], (available_memory() or 2**33) // 8)[name]


def _load_any(name: str, archives: Sequence[Archive | None]) -> Array:
    archive = next((one for one in archives if one and name in one.headers), None)
    if archive is None:
        raise BadInput(f"model: no dump has an array {name!r}")
    return _load(archive, name)
