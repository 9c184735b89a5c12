"""The matrix primitives: values in every storage order, sums in the order of the 2011 code."""

import numpy as np
import pytest

from alexnet_rosetta.legacy import Refused, _call, isa, launch_log

ORDERS = [_call.row, _call.col]
SIZES = [(1, 1), (5, 7), (32, 64), (70, 33), (3, 1000)]


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    module = isa.load("strict")
    monkeypatch.setattr(_call, "_module", lambda: module)


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def given(order, name, array):
    return order(name, np.asfortranarray(array) if order is _call.col else np.ascontiguousarray(array))


def primitive(name, inputs, targets, **scalars):
    found = _call.call_all(f"NVMatrix::{name}", inputs, targets, scalars)
    return found if len(found) > 1 else found[0]


def kernels(log):
    return [r["kernel"] for r in log]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("target", ORDERS)
def test_unary_in_every_storage_order(shape, order, target):
    a = draw(1, *shape)
    old = given(target, "target", draw(2, *shape))
    assert np.array_equal(primitive("copyTo", [given(order, "a", a)], [old]), a)
    assert np.array_equal(primitive("scale", [given(order, "a", a)], [old], s=-0.3), a * np.float32(-0.3))
    assert np.array_equal(primitive("fill", [], [old], value=2.5), np.full(shape, 2.5, np.float32))


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("order_a", ORDERS)
@pytest.mark.parametrize("order_b", ORDERS)
@pytest.mark.parametrize("target", ORDERS)
def test_binary_in_every_storage_order(shape, order_a, order_b, target):
    a, b = draw(3, *shape), draw(4, *shape)
    operands = [given(order_a, "a", a), given(order_b, "b", b)]
    old = given(target, "target", draw(5, *shape))
    weighted = a * np.float32(0.7) + b * np.float32(-1.3)
    assert np.array_equal(primitive("add", operands, [old], scaleA=0.7, scaleB=-1.3), weighted)
    assert np.array_equal(primitive("add", operands, [old], scaleA=1, scaleB=1), a + b)
    assert np.array_equal(primitive("eltwiseMult", operands, [old]), a * b)
    assert np.array_equal(primitive("applyMax", operands, [old]), np.maximum(a, b))


def test_add_with_scale_zero_does_not_read_its_first_operand():
    nan, b = np.full((4, 5), np.nan, np.float32), draw(6, 4, 5)
    operands = [_call.row("a", nan), _call.row("b", b)]
    assert np.array_equal(primitive("add", operands, [_call.row("target", None)], scaleA=0, scaleB=2), 2 * b)


def test_ternary_accumulates_in_place():
    a, b, c = draw(7, 33, 40), draw(8, 33, 40), draw(9, 33, 40)
    result = primitive("eltwiseMultAdd", [_call.row("a", a), _call.row("b", b)], [_call.row("target", c)])
    assert np.array_equal(result, a * b + c)
    with pytest.raises(Refused, match="storage order"):
        primitive("eltwiseMultAdd", [_call.row("a", a), given(_call.col, "b", b)], [_call.row("target", c)])


@pytest.mark.parametrize("shape", [(2, 3), (70, 130), (3, 3)])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("axis", [0, 1])
def test_vectors_are_broadcast(shape, order, axis):
    a = draw(10, *shape)
    vec = draw(11, *((1, shape[1]) if axis == 0 else (shape[0], 1)))
    operands = [given(order, "a", a), _call.row("b", vec)]
    new = order("target", None)
    with launch_log() as log:
        assert np.array_equal(primitive("addVector", operands, [new], scaleVec=0.5), a + vec * np.float32(0.5))
    by_stored_vector = (axis == 1) == (order is _call.row)
    assert ("kColVectorOp" in kernels(log)[0]) == by_stored_vector
    assert np.array_equal(primitive("eltwiseMultByVector", operands, [new]), a * vec)
    assert np.array_equal(primitive("eltwiseDivideByVector", operands, [new]), a / vec)


def sequential(rows):
    """Sum over the first axis, first to last."""
    total = rows[0].copy()
    for row in rows[1:]:
        total += row
    return total


def strided(rows, step):
    """(rows, step) partial sums: element t, t + step, ... from zero."""
    h, w = rows.shape
    padded = np.zeros((h, -(-w // step) * step), np.float32)
    padded[:, :w] = rows
    return sequential([np.zeros((h, step), np.float32), *np.split(padded, padded.shape[1] // step, axis=1)])


def halves(slots):
    """Tree over the last axis: slot t plus slot t + half."""
    while slots.shape[-1] > 1:
        half = slots.shape[-1] // 2
        slots = slots[..., :half] + slots[..., half:]
    return slots[..., 0]


def neighbours(slots):
    """Tree over the last axis: neighbours first."""
    while slots.shape[-1] > 1:
        slots = slots[..., ::2] + slots[..., 1::2]
    return slots[..., 0]


def rows_2011(rows):
    """Sums of stored vectors in the order of pool-norm 9.4, and the kernel that makes them."""
    h, w = rows.shape
    if h >= 16384:
        t = -(-w // 4) * 4 if w <= 16 else 32
        partial = strided(rows, t)
        name = "kAggShortRows<" if w <= 64 else "kAggShortRows2<"
        return sequential([np.zeros(h, np.float32), *partial.T]), name
    if w >= 512:
        return neighbours(strided(rows, 256)), "kAggRows_wholerow_nosync<"
    b = 32 if w <= 64 else 64 if w <= 128 else 128 if w <= 256 else 256
    slots = np.zeros((h, 2 * b), np.float32)
    slots[:, :w] = rows
    return halves(slots), "kAggRows<"


ROW_SHAPES = [
    (20, 2),
    (20, 64),
    (20, 65),
    (20, 200),
    (20, 511),
    (20, 512),
    (3, 70001),
    (16384, 3),
    (16385, 16),
    (16384, 17),
    (16384, 40),
    (16384, 64),
    (16384, 65),
    (16384, 100),
]


@pytest.mark.parametrize("shape", ROW_SHAPES)
def test_row_sums_have_the_order_of_2011(shape):
    a = draw(12, *shape)
    expected, kernel = rows_2011(a)
    with launch_log() as log:
        result = primitive("sum", [_call.row("a", a)], [_call.row("target", None)], axis=1)
    assert kernels(log)[0].startswith(kernel)
    assert np.array_equal(result[:, 0], expected)
    turned = primitive("sum", [_call.col("a", a.T)], [_call.col("target", None)], axis=0)
    assert np.array_equal(turned[0], expected)
    largest = primitive("max", [_call.row("a", a)], [_call.row("target", None)], axis=1)
    assert np.array_equal(largest[:, 0], a.max(1))


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (1, 300), (50, 300), (3, 70000)])
def test_column_sums_go_from_first_to_last(shape):
    a = draw(13, *shape)
    result = primitive("sum", [_call.row("a", a)], [_call.row("target", None)], axis=0)
    assert np.array_equal(result[0], sequential(a))
    assert np.array_equal(primitive("max", [_call.row("a", a)], [_call.row("target", None)], axis=0)[0], a.max(0))


@pytest.mark.parametrize("shape", [(9, 1), (9, 30), (1, 9)])
@pytest.mark.parametrize("axis", [0, 1])
def test_add_sum_scales_and_accumulates(shape, axis):
    a = draw(14, *shape)
    plain = primitive("sum", [_call.row("a", a)], [_call.row("target", None)], axis=axis)
    old = draw(15, *plain.shape)
    operand = [_call.row("a", a)]
    result = primitive("addSum", operand, [_call.row("target", old)], axis=axis, scaleThis=0.9, scaleSum=0.1)
    assert np.array_equal(result, old * np.float32(0.9) + plain * np.float32(0.1))
    nan = np.full_like(old, np.nan)
    fresh = primitive("addSum", operand, [_call.row("target", nan)], axis=axis, scaleThis=0, scaleSum=0.1)
    assert np.array_equal(fresh, np.float32(0.1) * plain)


def total_2011(values):
    """The sum of everything in the order of pool-norm 9.5."""
    while values.size > 4096:
        values = partials_2011(values)
    return sequential(np.concatenate([np.zeros(1, np.float32), values])[:, None])[0]


def partials_2011(values):
    columns = -(-values.size // int(np.ceil(np.log2(values.size))))
    sums = strided(values[None], columns)[0]
    return halves(np.pad(sums, (0, -columns % 512)).reshape(-1, 512))


@pytest.mark.parametrize("size", [1, 5, 4096, 4097, 100_000, 40_000_000])
def test_total_has_the_order_of_2011(size):
    a = draw(16, 1, size)
    result = primitive("sumAll", [_call.row("a", a)], [_call.row("target", None)])
    assert result[0, 0] == total_2011(a[0])


@pytest.mark.parametrize("size", [1, 5, 5000])
def test_dot_product_has_the_order_of_2011(size):
    a, b = draw(17, 1, size), draw(18, 1, size)
    result = primitive("dotProduct", [_call.row("a", a), _call.row("b", b)], [_call.row("target", None)])
    products = (a * b)[0]
    assert result[0, 0] == total_2011(partials_2011(products) if size > 1 else products)


@pytest.mark.parametrize("order_a", ORDERS)
@pytest.mark.parametrize("order_b", ORDERS)
@pytest.mark.parametrize(("m", "k", "n"), [(13, 21, 6), (90, 200, 301), (9, 450, 1101)])
def test_product_of_small_integers_is_exact(order_a, order_b, m, k, n):
    rng = np.random.default_rng(19)
    a, b, c = (rng.integers(-8, 9, s).astype(np.float32) for s in [(m, k), (k, n), (m, n)])
    operands = [given(order_a, "a", a), given(order_b, "b", b)]
    fresh = primitive("addProduct", operands, [_call.col("target", None)], scaleThis=0, scaleAB=1)
    assert np.array_equal(fresh, a @ b)
    added = primitive("addProduct", operands, [given(_call.col, "target", c)], scaleThis=1, scaleAB=0.5)
    assert np.array_equal(added, c + 0.5 * (a @ b))


def test_update_follows_the_rule_of_2012():
    w, inc, grad = draw(20, 6, 9), draw(21, 6, 9), draw(22, 6, 9)
    targets = [_call.row("weights", w), _call.row("inc", inc)]
    new_w, new_inc = primitive("updateWeights", [_call.row("grad", grad)], targets, epsilon=0.01, mom=0.9, wc=0.0005)
    f = np.float32
    expected = inc * f(0.9) + grad * f(0.01)
    expected = expected * f(1) + w * (-f(0.0005) * f(0.01))
    assert np.array_equal(new_inc, expected)
    assert np.array_equal(new_w, w + expected)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_results_do_not_depend_on_the_number_of_threads(threads, monkeypatch):
    a = draw(23, 40, 6000)
    monkeypatch.setenv("ROSETTA_THREADS", threads)
    result = primitive("sum", [_call.row("a", a)], [_call.row("target", None)], axis=1)
    assert np.array_equal(result[:, 0], rows_2011(a)[0])


def test_shapes_that_do_not_fit_are_refused():
    a, b = draw(24, 3, 4), draw(25, 4, 3)
    with pytest.raises(Refused, match="differ in shape"):
        primitive("eltwiseMult", [_call.row("a", a), _call.row("b", b)], [_call.row("target", None)])
    with pytest.raises(Refused, match="inner dimensions"):
        primitive(
            "addProduct", [_call.row("a", a), _call.row("b", a)], [_call.col("target", None)], scaleThis=0, scaleAB=1
        )
    with pytest.raises(Refused, match="shape of the vector"):
        primitive("addVector", [_call.row("a", a), _call.row("b", b)], [_call.row("target", None)], scaleVec=1)


@pytest.mark.parametrize("given", ["abc", "0", "-5", "100000", "9" * 5000])
def test_no_number_of_threads_is_refused(monkeypatch, given):
    monkeypatch.setenv("ROSETTA_THREADS", given)
    with pytest.raises(Refused, match=r"(?s)ROSETTA_THREADS.*expected: 1 to 1024"):
        _call.default_threads()
