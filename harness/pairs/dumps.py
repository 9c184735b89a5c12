"""`rosetta judge A.npz B.npz`: numbers that two programs left, wherever they ran (docs/dumps.md)."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from .functions import Pair, accuracy, examined, expecting

OPERATIONS = {
    **{name: getattr(np, name) for name in ("matmul", "add", "subtract", "multiply", "divide", "sum", "mean")},
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "tanh", "maximum")},
    "fft": np.fft.fft,
}
"""What a model file may call by a name; a layer has keys instead."""
Given = Path | None
OPERANDS = ("inputs", "weights", "biases", "acts_grad")
KEYS = ("terms", "magnitude", "op", "axes", *OPERANDS)


def judge_dumps(
    first: Path, second: Given = None, reference: Given = None, model: Given = None, mapping: Given = None
) -> Pair:
    """Judge two dumps, npz files, array by array, or one against what the reference holds and what the model says.

    What the reference lacks is not decided, unless the model, a TOML file with a table for each array (docs/dumps.md),
    says how it follows. The mapping is a TOML file: names of the first dump, and those of the same arrays in the
    second. Raises BadInput: a file cannot be read, does not fit, or is too large for this machine.
    """
    one, other, exact = (
        Archive(path, "a dump is an npz file") if path else None for path in (first, second, reference)
    )
    assert one is not None
    facts, pairs = _facts(model), _pairs(one, other or one, _toml(mapping))
    ours, theirs = list(one.headers), [pairs.get(name, name) for name in (other.headers if other else ())]
    known = dict.fromkeys([*ours, *(exact.headers if exact else ()), *theirs])
    for name in facts:
        if name not in known:
            raise BadInput(f"{model}: there is no array {name!r}", hint=meant(name, known, "names are those of A"))
    dumps = {first.stem: (one, dict(zip(ours, ours, strict=True)))}
    if other and second:
        names = (first.stem, second.stem) if first.stem != second.stem else ("first", "second")
        dumps = {names[0]: dumps[first.stem], names[1]: (other, dict(zip(theirs, other.headers, strict=True)))}
    else:  # what an operation of the model only reads is not judged
        only = {name for fact in facts.values() for key in OPERANDS for name in fact.get(key, ())} - facts.keys()
        known = {name: None for name in known if name not in only or (exact and name in exact.headers)}
    rows = [_judged(name, dumps, exact, facts.get(name, {})) for name in known]
    return Pair([*rows, *_order(ours, theirs, list(dumps)[-1])])


def told(pair: Pair) -> Iterator[str]:
    """A line for each array, and more where something is wrong."""
    width = max((len(row.tensor) for row in pair.table), default=0)
    for row in pair.table:
        used, ratio = lines.share(row.telling()[1]), accuracy(row)
        yield f"{lines.mark(row)} {row.tensor:<{width}}  {row.status():<12} {used:>8}  {row.type:<9} {ratio}".rstrip()
        yield from lines.explanations(row)


def _judged(name: str, dumps: Mapping[str, Any], exact: Archive | None, model: Mapping[str, Any]) -> Row:
    """``dumps``: by engine, an archive and the names of its arrays by the names of the first dump."""
    absent = Finding("missing", reason=f"there is no array {name!r}")
    found: dict[str, Any] = {
        who: _load(one, names[name]) if name in names else absent for who, (one, names) in dumps.items()
    }
    yardstick = next((who for who, x in found.items() if not isinstance(x, Finding)), None)
    first = np.zeros(0) if yardstick is None else found[yardstick]
    read = lambda key: _load_any(key, [exact, *(archive for archive, _ in dumps.values())])  # noqa: E731
    value, op = _load(exact, name) if exact and name in exact.headers else None, model.get("op")
    if value is None and op is None and yardstick:
        del found[yardstick]  # it is held against nothing
        if len(dumps) == 1:
            found[yardstick] = Finding("unsupported", reason="neither a reference nor an op says what is right")
    expected = _expected(name, first if value is None else value, value is not None, model, read)
    dtypes, mistakes = dict.fromkeys(found, first.dtype), None
    if isinstance(op, Mapping):
        mistakes = lambda bad: models.layer_mistakes(op, _operands(model, read), bad.shape)  # noqa: E731
    row = examined("dump", name, expected, found, axes=model.get("axes", ()), dtypes=dtypes, variants=mistakes)
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
        found = models.shaped(_of_operation(name, model, read), value.shape)
        return replace(found, value=value) if is_exact and found.value.shape == value.shape else found
    if not model:
        return Expected(value)
    if not {"terms", "magnitude"} <= model.keys():
        raise BadInput(f"model of {name!r}", expected="terms and magnitude, or op and inputs", actual=", ".join(model))
    terms, magnitude = (read(x) if isinstance(x, str) else x for x in (model["terms"], model["magnitude"]))
    return expecting(value, (terms, magnitude), what=f"model of {name!r}")


def _of_operation(name: str, model: Mapping[str, Any], read: Any) -> Any:
    op, operands = model["op"], _operands(model, read)
    try:
        if isinstance(op, Mapping):
            return models.layer_formula(op, operands)
        if op not in OPERATIONS:
            raise BadInput(f"no operation {op!r}", hint=meant(op, OPERATIONS, ", ".join(OPERATIONS)))
        exact = [models.wide(x) for x in operands["inputs"]]
        return models.derived(OPERATIONS[op], exact, np.asarray(OPERATIONS[op](*exact)))
    except Exception as error:
        raise BadInput(f"model of {name!r}: {error}") from error


def _operands(model: Mapping[str, Any], read: Any) -> dict[str, Any]:
    """What an operation reads; of biases and gradients there is one."""
    found = {key: [read(name) for name in model.get(key, ())] for key in OPERANDS}
    return found | {key: next(iter(found[key]), None) for key in OPERANDS[2:]}


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
        if not isinstance(theirs, str):
            raise BadInput(f"mapping: {mine!r} has no name", actual=repr(theirs)[:60], hint='NAME-IN-A = "NAME-IN-B"')
        for name, archive in ((mine, one), (theirs, other)):
            if name not in archive.headers:
                hint = meant(name, archive.headers, 'lines are NAME-IN-A = "NAME-IN-B"')
                raise BadInput(f"mapping: {archive.path} has no array {name!r}", hint=hint)
    if len(set(mapping.values())) < len(mapping):
        raise BadInput("mapping: a name of the second dump stands twice")
    return {theirs: mine for mine, theirs in mapping.items()}


def _facts(path: Path | None) -> dict[str, dict[str, Any]]:
    """The tables of a model; what is read is a list of names, of one where a name stands alone."""
    for name, fact in (found := _toml(path)).items():
        if not isinstance(fact, dict):
            raise BadInput(f"{path}: {name!r} is no table", hint=f"a line [{name}] begins one")
        fact |= {key: [x] for key, x in fact.items() if key in OPERANDS and isinstance(x, str)}
        for key in fact.keys() & set(OPERANDS):
            if not isinstance(fact[key], list) or not all(isinstance(x, str) for x in fact[key]):
                raise BadInput(f"{path}: {key} of {name!r} are no names of arrays", actual=repr(fact[key])[:60])
    return found


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
