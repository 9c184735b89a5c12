"""Two functions that should compute the same thing, judged by their results; and the row of any pair of arrays."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .. import files, machine
from ..comparison import Comparison
from ..errors import BadInput, told
from ..judging.finding import Finding, finding_of
from ..judging.row import Row
from ..judging.verdict import differing_bits
from ..reporting import formats, report
from ..reporting.record import Writer
from . import expected as models
from .cause import Variant
from .expected import Array, Expected, Function

WORDS = ((0.5, "more accurate"), (2.0, "as accurate"), (10.0, "less accurate"), (np.inf, "much less accurate"))
"""What an accuracy ratio below a number is called."""
Model = tuple[Any, Any] | Callable[..., tuple[Any, Any]] | None


class Pair(Comparison):
    """What was found about a pair: a `Comparison` whose rows are arrays."""

    @property
    def accuracy(self) -> dict[str, str]:
        """By array, the error of the second over that of the first, in norm and against the reference, with a word."""
        several = len({row.layer for row in self.table}) > 1
        found = {(f"{row.layer} " if several else "") + row.tensor: accuracy(row) for row in self.table}
        return {name: text for name, text in found.items() if text}

    def write(self, out: str | Path, title: str = "pair", command: str = "") -> Path:
        """Write a record with report.html, results.csv and record.json, and report.md and junit.xml, into a folder."""
        names = list(dict.fromkeys(name for row in self.table for name in row.findings))
        facts = {f"accuracy of {name}": text for name, text in self.accuracy.items()}
        created = datetime.now(UTC).isoformat(timespec="seconds")
        about: dict[str, Any] = {
            "created": created,
            "status": "complete",
            "sentence": self.sentence,
            "options": {"mode": "isolated", "passes": [], "command": command},
            "introduction": [f"{name}: {text}." for name, text in facts.items()],
            "network": {"name": title, "parameters": 0, "files": [], "layers": [], "warnings": []},
            "engines": dict.fromkeys(names, "one of a pair"),
            "quirks": {},
            "environment": machine.environment(1),
            "inputs": {},
            "captions": [],
            "costs": {},
            "seconds": 0.0,
        }
        writer = Writer(out)
        try:
            writer.begin(about)
            for row in self.table:
                writer.add(row)
            folder = writer.finish(about, self.table, {})
        finally:
            writer.discard()
        report.write(folder)
        files.write(folder / "report.md", formats.markdown(title, self.table, facts=facts))
        files.write(folder / "junit.xml", formats.junit(title, self.table, facts=facts, created=created))
        self.record, self.report = folder, folder / "report.html"
        return folder


def compare_functions(
    legacy: Function,
    port: Function,
    inputs: Mapping[str, Any] | Sequence[Any],
    *,
    reference: Any,
    model: Model = None,
    name: str = "",
    axes: Sequence[str] = (),
) -> Pair:
    """Judge two functions by what they make of the same inputs.

    Parameters
    ----------
    legacy, port : callable
        Of the inputs; each gives an array, a list of arrays, or a dict of arrays. Each gets copies of its own.
    inputs : dict or sequence
        Arguments by name, or in order; a single array counts as one argument.
    reference : callable or array
        The same from arguments in 64 bits (long double, where they have 64 bits already), or its results.
    model : (n, M), or callable, optional
        How many operations, and the magnitude of what they add up; or a function of the inputs that gives both. A dict
        by result where there are several. Left out: derived, or else estimated; the column ``type`` says which.
    name : str
        What the pair is called; by default as the port is.
    axes : sequence of str
        Names of the axes of the results, for places and causes.

    Returns
    -------
    Pair
        ``sentence``, ``exit_code``, ``rows``, ``accuracy``, and ``write(folder)``.

    Raises
    ------
    BadInput
        The reference fails, or does not give what a reference is.
    """
    by_name = isinstance(inputs, Mapping)
    given = [inputs] if isinstance(inputs, np.ndarray) else [*(inputs.values() if by_name else inputs)]  # type: ignore[union-attr]
    keys = [*inputs] if isinstance(inputs, Mapping) else []
    call = lambda function, arguments: (  # noqa: E731
        function(**dict(zip(keys, arguments, strict=True))) if by_name else function(*arguments)
    )
    name = name or getattr(port, "__name__", "pair")
    found = {"legacy": _ran(legacy, call, given), "port": _ran(port, call, given)}
    exact = [models.wide(np.asarray(x) if isinstance(x, np.ndarray) else x) for x in given]
    try:
        values = _results(call(reference, exact) if callable(reference) else reference)
        model = call(model, exact) if callable(model) else model
    except Exception as error:
        raise BadInput(f"{name}: the reference cannot be evaluated: {told(error)}") from error
    rows = []
    for key, value in values.items():
        formula = (lambda *x, key=key: _results(call(reference, x))[key]) if callable(reference) else None
        own = model[key] if isinstance(model, Mapping) else model
        expected = expecting(value, own, formula, exact)
        results = {who: one if isinstance(one, Finding) else one.get(key) for who, one in found.items()}
        more = (lambda bad, formula=formula: models.variants(formula, exact, bad)) if formula else None
        rows.append(examined(name, key, expected, results, axes=axes, variants=more))
    for key in dict.fromkeys(key for one in found.values() if isinstance(one, dict) for key in one):
        if key not in values:
            extra = Finding("missing", reason=f"the reference has no result {key}")
            whose = [who for who, one in found.items() if isinstance(one, dict) and key in one]
            rows.append(Row(name, "", "pair", key, (), dict.fromkeys(whose, extra)))
    return Pair(rows)


def expecting(
    value: Any, model: Any, formula: Function | None = None, arguments: Sequence[Any] = (), what: str = "the model"
) -> Expected:
    """A reference value with its model: the given one, else what follows from the formula; without both, the bits."""
    value = np.asarray(value)
    if model is not None:
        terms, magnitude = model
        try:
            for part in (terms, magnitude):
                np.broadcast_to(np.asarray(part, np.float64), value.shape)
        except (ValueError, TypeError) as error:
            raise BadInput(f"{what} does not fit", expected=f"n and M of shape {value.shape}, or numbers",
                           actual=f"{np.shape(terms)} and {np.shape(magnitude)}") from error  # fmt: skip
        return Expected(value, magnitude, terms)
    return Expected(value) if formula is None else models.derived(formula, arguments, value)


def examined(
    name: str,
    tensor: str,
    expected: Expected,
    found: Mapping[str, Any],
    *,
    axes: Sequence[str] = (),
    dtypes: Mapping[str, Any] | None = None,
    variants: Callable[[Array], Iterator[Variant]] | None = None,
) -> Row:
    """The row of an array: what is found about each of the pair, how far each is from the reference, likely causes.

    `found` has arrays by engine; a Finding says why there is no array. `dtypes` is what each should be of. `variants`
    gives mistakes inside the operation for an array that is wrong.
    """
    shape = np.shape(expected.value)
    lie = {axes[i] if i < len(axes) else f"axis {i}": length for i, length in enumerate(shape)}
    row = Row(name, expected.basis, "pair", tensor, shape, {}, axes=lie)
    arrays = {who: np.asarray(x) for who, x in found.items() if not isinstance(x, Finding) and x is not None}
    coarsest = max(arrays.values(), key=lambda x: models.PRECISIONS.get(x.real.dtype.name, (0,))[0], default=None)
    own = expected if coarsest is None else expected.of(coarsest.dtype)
    for who, one in found.items():
        if who not in arrays:
            row.findings[who] = (
                one if isinstance(one, Finding) else Finding("missing", reason="there is no such result")
            )
            continue
        finding = models.judged(own, arrays[who], (dtypes or {}).get(who))
        if finding.fails:
            mistakes = variants(arrays[who]) if variants else iter(())
            told_ = "" if finding.status == "dtype" else f"; {models.cause_of(own, arrays[who], axes, mistakes)}"
            finding = replace(finding, reason=f"{described(finding)}{told_}")
        elif finding.elements:
            with np.errstate(invalid="ignore"):
                error = np.abs(np.asarray(arrays[who], expected.value.dtype) - expected.value)
            error = np.where(np.isfinite(error), error, 0)
            scale = float(np.linalg.norm(np.nan_to_num(expected.value, posinf=0, neginf=0).ravel())) or 1.0
            row.distances[who] = {"norm": float(np.linalg.norm(error.ravel())) / scale, "largest": float(error.max())}
        row.findings[who] = finding
    if len(arrays) == 2 and len({(x.shape, x.dtype) for x in arrays.values()}) == 1:
        row.bitwise = {" = ".join(arrays): differing_bits(*arrays.values())}
    return row


def described(finding: Finding) -> str:
    """How far off an array is, in words: worst element, bound, share."""
    worst = finding.worst
    if worst is None:
        return finding.reason or finding.status
    at = ", ".join(map(str, worst.index))
    used = (
        "the same bits were asked for" if worst.bound == 0 else f"{finding.share:.3g} times the bound {worst.bound:.3g}"
    )
    return (
        f"{finding.outside} of {finding.elements} elements outside the bound; worst at [{at}]: {worst.actual:.9g} in "
        f"place of {worst.reference:.9g}, {used}"
    )


def accuracy(row: Row) -> str:
    """``0.8: as accurate``: the accuracy ratio of a row with two arrays that were judged; "" of others."""
    if len(row.distances) != 2:
        return ""
    first, second = (one["norm"] for one in row.distances.values())
    if first == second:
        return "1: as accurate"
    ratio = second / first if first else np.inf
    return f"{ratio:.2g}: {next(word for limit, word in WORDS if ratio <= limit)}"


def _ran(
    function: Function, call: Callable[[Function, Sequence[Any]], Any], given: Sequence[Any]
) -> dict[str, Array] | Finding:
    """The results of a function, run twice: what it makes of the same inputs must be the same, and stay so."""
    own, again = ([x.copy() if isinstance(x, np.ndarray) else x for x in given] for _ in range(2))
    try:
        held = _results(call(function, own))
        kept = {name: np.array(x) for name, x in held.items()}
        second = _results(call(function, again))
    except Exception as error:
        return finding_of(error, getattr(function, "__name__", "the function"))
    for i, (before, after) in enumerate(zip(given, own, strict=True)):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=before.dtype.kind in "fc"):
            return Finding("failed", reason=f"argument {i} was changed")
    for name, x in kept.items():
        others = [other for other in held if other != name and np.shares_memory(held[other], held[name])]
        if others:
            return Finding("failed", reason=f"{name} and {others[0]} lie in one buffer")
        if not _same(held[name], x):
            return Finding("failed", reason=f"{name} was changed by the next call after it had been handed over")
        if name not in second or not _same(second[name], x):
            return Finding("failed", reason=f"{name} is another one in a second call with the same arguments")
    return kept


def _same(a: Array, b: Array) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _results(value: Any) -> dict[str, Array]:
    if isinstance(value, Mapping):
        return {str(name): np.asarray(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return {f"result[{i}]": np.asarray(x) for i, x in enumerate(value)}
    return {"result": np.asarray(value)}
