"""Two arrays in a test: held against the rule of the verdict, in place of tolerances."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import BadInput
from ..judging.finding import Finding
from ..judging.row import Row
from . import expected as models
from .expected import Expected
from .functions import examined


def assert_equivalent(
    actual: Any,
    desired: Any,
    *,
    op: Callable[..., Any] | Mapping[str, Any] | None = None,
    inputs: Any = (),
    terms: Any = None,
    magnitude: Any = None,
    axes: Sequence[str] = (),
    name: str = "actual",
) -> Finding:
    """Assert that an array is what it should be, but for rounding.

    Parameters
    ----------
    actual, desired : array_like
        In float16, float32, float64, complex, or integers. ``desired`` may come from another implementation.
    op : callable or dict, optional
        What the array was computed with: a function of the inputs, which is run on them in twice the precision; or a
        layer, ``{"type": "pool", "pool": "max", ...}`` with the keys of a layer file. Then the bound follows from
        ``op``, and ``desired`` has to be inside as well.
    inputs : sequence of ndarray, or dict
        The arguments of ``op``; of a layer a dict of ``inputs``, ``weights``, ``biases``, ``acts_grad``.
    terms, magnitude : array_like, optional
        n and M, without ``op``. Without all of these the bits have to be the same, after rounding to the type of
        ``actual``.
    axes : sequence of str
        Names of the axes, for the message.
    name : str
        What the message calls the array.

    Returns
    -------
    Finding

    Raises
    ------
    AssertionError
        The array is different, or nothing can be said about it; the message names worst element, bound, share, cause.
    """
    row = examine(actual, desired, op=op, inputs=inputs, terms=terms, magnitude=magnitude, axes=axes, name=name)
    asserted(row)
    return row.findings[name]


def examine(
    actual: Any,
    desired: Any,
    *,
    op: Any = None,
    inputs: Any = (),
    terms: Any = None,
    magnitude: Any = None,
    axes: Sequence[str] = (),
    name: str = "actual",
) -> Row:
    """The row of an array and of what it should be; see `assert_equivalent`."""
    if (terms is None) != (magnitude is None) or (op is not None and terms is not None):
        raise BadInput("assert_equivalent takes op with inputs, or terms with magnitude, or none of them")
    wanted, variants = np.asarray(desired), None
    if isinstance(op, Mapping):
        expected = models.shaped(models.layer_formula(op, inputs), wanted.shape)
        variants = lambda _: models.layer_mistakes(op, inputs, wanted.shape)  # noqa: E731
    elif op is not None:
        arguments = [models.wide(np.asarray(x) if hasattr(x, "dtype") else x) for x in inputs]
        expected = models.derived(op, arguments, np.asarray(op(*arguments)))
        variants = lambda bad: models.variants(op, arguments, bad)  # noqa: E731
    else:
        expected = Expected(wanted, 0.0 if magnitude is None else magnitude, 0 if terms is None else terms)
    given = {name: actual} if op is None else {"desired": wanted, name: actual}
    return examined("test", name, expected, given, axes=axes, variants=variants)


def asserted(row: Row) -> None:
    """AssertionError where an array of a row does not agree: verdict, worst element, bound, share, cause."""
    for who, finding in row.findings.items():
        if not finding.agrees:
            how = " (the bound is estimated)" if row.type == "estimated" else ""
            raise AssertionError(f"{who} is {finding.status}{how}: {finding.reason or 'the bound is too wide to tell'}")
