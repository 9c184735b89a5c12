"""Locally connected layers and sparse connections against loops over modules, and against the convolution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import assert_gradient, assert_within, same_bits

from alexnet_rosetta.port import conv, local, sparse


@st.composite
def geometries(draw):
    groups, img_size, padding = draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(0, 2))
    return dict(
        channels=groups * draw(st.integers(1, 3)),
        filters=groups * draw(st.integers(1, 3)),
        img_size=img_size,
        filter_size=draw(st.integers(1, img_size + 2 * padding)),
        padding=padding,
        stride=draw(st.integers(1, 3)),
        groups=groups,
    )


def keywords(g):
    return {name: g[name] for name in ("filter_size", "padding", "stride", "groups")}


def modules(g):
    firsts = [-g["padding"]]
    while firsts[-1] + g["filter_size"] < g["img_size"] + g["padding"]:
        firsts.append(firsts[-1] + g["stride"])
    return len(firsts)


def operands(g, seed, dtype, images=3):
    """images, filters, biases, grads."""
    rng = np.random.default_rng(seed)
    side, size = modules(g), g["filter_size"]
    rows = side**2 * g["channels"] // g["groups"] * size**2
    shapes = (
        (g["channels"], g["img_size"], g["img_size"], images),
        (rows, g["filters"]),
        (g["filters"] * side**2, 1),
        (g["filters"], side, side, images),
    )
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def formula(g, x, w, grads):
    """acts without biases, image gradient, filter gradient, by loops over modules and groups."""
    side, size, groups = modules(g), g["filter_size"], g["groups"]
    few, outs = g["channels"] // groups, g["filters"] // groups
    reach = side * g["stride"] + size + g["img_size"]
    padded, dpadded = np.zeros((2, g["channels"], reach, reach, x.shape[3]))
    inside = slice(g["padding"], g["padding"] + g["img_size"])
    padded[:, inside, inside] = x
    w = w.reshape(side, side, few, size, size, g["filters"])
    acts, dw = np.zeros(grads.shape), np.zeros(w.shape)
    for my, mx in np.ndindex(side, side):
        rows, columns = (slice(m * g["stride"], m * g["stride"] + size) for m in (my, mx))
        for k in range(groups):
            seen, mine = slice(k * few, (k + 1) * few), slice(k * outs, (k + 1) * outs)
            patch, bank, grad = padded[seen, rows, columns], w[my, mx, ..., mine], grads[mine, my, mx]
            acts[mine, my, mx] = np.einsum("kpqf,kpqn->fn", bank, patch)
            dpadded[seen, rows, columns] += np.einsum("kpqf,fn->kpqn", bank, grad)
            dw[my, mx, ..., mine] = np.einsum("kpqn,fn->kpqf", patch, grad)
    return acts, dpadded[:, inside, inside], dw.reshape(-1, g["filters"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60)
@given(g=geometries(), seed=st.integers(0, 2**32 - 1))
def test_all_passes_match_the_formula(dtype, g, seed):
    x, w, b, grads = operands(g, seed, dtype)
    acts = local.local_forward(x, w, b, **keywords(g))
    dx = local.local_backward_images(grads, w, channels=g["channels"], img_size=g["img_size"], **keywords(g))
    dw = local.local_backward_filters(x, grads, **keywords(g))
    exact = formula(g, *(array.astype(float) for array in (x, w, grads)))
    sizes = formula(g, *(np.abs(array.astype(float)) for array in (x, w, grads)))
    shifts = b.astype(float).reshape(*acts.shape[:3], 1)
    taps = w.size // modules(g) ** 2
    assert_within(acts, exact[0] + shifts, taps + 1, sizes[0] + np.abs(shifts))
    assert_within(dx, exact[1], taps + modules(g) ** 2, sizes[1])
    assert_within(dw, exact[2], x.shape[3], sizes[2])
    db = local.local_backward_biases(grads)
    assert_within(db, grads.astype(float).sum(3).reshape(-1, 1), 3, np.abs(grads).sum(3, dtype=float).reshape(-1, 1))


@settings(max_examples=40)
@given(g=geometries(), seed=st.integers(0, 2**32 - 1))
def test_equal_filters_for_all_modules_are_a_convolution(g, seed):
    x, w, _, grads = operands(g, seed, np.float64)
    w = w[: len(w) // modules(g) ** 2]
    many = np.tile(w, (modules(g) ** 2, 1))
    more = {"channels": g["channels"], "img_size": g["img_size"], **keywords(g)}
    acts = conv.conv_forward(x, w, None, img_size=g["img_size"], **keywords(g))
    size = conv.conv_forward(np.abs(x), np.abs(w), None, img_size=g["img_size"], **keywords(g))
    assert_within(local.local_forward(x, many, None, **keywords(g)), acts, 2 * w.size, size)
    down, size = (conv.conv_backward_images(*pair, **more) for pair in ((grads, w), (np.abs(grads), np.abs(w))))
    assert_within(local.local_backward_images(grads, many, **more), down, 2 * grads.size, size)
    dw, size = (conv.conv_backward_filters(*p, **keywords(g)) for p in ((x, grads), (np.abs(x), np.abs(grads))))
    banks = local.local_backward_filters(x, grads, **keywords(g)).reshape(-1, *w.shape)
    assert_within(banks.sum(axis=0), dw, 2 * grads.size, size)


def test_central_differences():
    g = dict(channels=4, filters=6, img_size=5, filter_size=3, padding=1, stride=2, groups=2)
    x, w, b, grads = operands(g, 1, np.float64)
    rng = np.random.default_rng(2)

    def total(x, w):
        return (local.local_forward(x, w, b, **keywords(g)) * grads).sum()

    dx = local.local_backward_images(grads, w, channels=4, img_size=5, **keywords(g))
    assert_gradient(lambda z: total(z, w), x, dx, rng)
    assert_gradient(lambda z: total(x, z), w, local.local_backward_filters(x, grads, **keywords(g)), rng)


def test_there_is_one_group_unless_told():
    g = dict(channels=4, filters=6, img_size=4, filter_size=3, padding=1, stride=1, groups=1)
    x, w, b, grads = operands(g, 1, np.float32)
    sizes, image = {"filter_size": 3, "padding": 1, "stride": 1}, {"channels": 4, "img_size": 4}
    for run, *arrays, more in (
        (local.local_forward, x, w, b, {}),
        (local.local_backward_images, grads, w, image),
        (local.local_backward_filters, x, grads, {}),
    ):
        assert same_bits(run(*arrays, **sizes, **more), run(*arrays, **sizes, **more, groups=1))
    into = local.local_backward_filters(x, grads, **sizes, out=np.full_like(w, np.nan))  # 0 times what was there
    assert same_bits(into, local.local_backward_filters(x, grads, **sizes))


def test_fewer_modules_than_cover_the_image():
    """Their outputs are those of the full layer, and pixels that no window covers get no gradient."""
    g = dict(channels=2, filters=2, img_size=5, filter_size=2, padding=1, stride=1, groups=1)
    x, w, b, grads = (np.rint(2 * array) for array in operands(g, 4, np.float64))
    side, few, more = modules(g), 2, {"channels": 2, "img_size": 5}
    part = w.reshape(side, side, -1, 2)[:few, :few].reshape(-1, 2)
    biases = b.reshape(2, side, side)[:, :few, :few].reshape(-1, 1)
    acts = local.local_forward(x, w, b, **keywords(g))
    np.testing.assert_array_equal(local.local_forward(x, part, biases, **keywords(g), modules=few), acts[:, :few, :few])
    only = np.zeros_like(grads)
    only[:, :few, :few] = grads[:, :few, :few]
    small = np.ascontiguousarray(grads[:, :few, :few])
    np.testing.assert_array_equal(
        local.local_backward_images(small, part, **keywords(g), **more, modules=few),
        local.local_backward_images(only, w, **keywords(g), **more),
    )
    whole = local.local_backward_filters(x, only, **keywords(g)).reshape(side, side, -1, 2)[:few, :few]
    found = local.local_backward_filters(x, small, **keywords(g), modules=few)
    np.testing.assert_array_equal(found, whole.reshape(-1, 2))


def test_the_direct_route_scales_and_adds():
    """Powers of 2 and small integers: exact."""
    g = dict(channels=2, filters=2, img_size=3, filter_size=2, padding=0, stride=1, groups=1)
    x, inc, _, grads = (np.rint(2 * array) for array in operands(g, 3, np.float32))
    before, plain = inc.copy(), local.local_backward_filters(x, grads, **keywords(g))
    out = local.local_backward_filters(x, grads, **keywords(g), out=inc, scale_out=0.5, scale_new=0.25)
    assert out is inc
    np.testing.assert_array_equal(inc, 0.5 * before + 0.25 * plain)
    with pytest.raises(ValueError, match="not contiguous"):
        local.local_backward_filters(x, grads, **keywords(g), out=np.asfortranarray(inc))


def test_several_inputs_add_up():
    g = dict(channels=2, filters=2, img_size=3, filter_size=2, padding=0, stride=1, groups=1)
    x, w, b, _ = (np.rint(2 * array) for array in operands(g, 4, np.float64))
    once = local.local_forward(x, w, b, **keywords(g))
    out = once.copy()
    assert local.local_forward(x, w, None, **keywords(g), out=out) is out
    np.testing.assert_array_equal(out, 2 * once - b.reshape(2, 2, 2, 1))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, w: local.local_forward(x, w[1:], None, filter_size=2, padding=0, stride=1), "filters has the wrong"),
        (lambda x, w: local.local_forward(x, w, None, filter_size=5, padding=0, stride=1), "wrong filter_size"),
        (lambda x, w: local.local_forward(x, w, None, filter_size=2, padding=-1, stride=1), "wrong step or padding"),
        (lambda x, w: local.local_forward(x, w, None, filter_size=2, padding=0, stride=1, groups=3), "groups"),
        (lambda x, w: local.local_backward_filters(x, x, filter_size=2, padding=0, stride=1), "grads have the wrong"),
        (
            lambda x, w: local.local_backward_images(x, w, channels=2, img_size=3, filter_size=2, padding=0, stride=1),
            "grads have the wrong",
        ),
        (lambda x, w: sparse.check_connections([0, 1, 1, 2], 2, 2), "wrong table"),
        (lambda x, w: sparse.check_connections([0.0, 1.0], 2, 1), "wrong table"),
        (lambda x, w: sparse.check_connections([0, 1, 0], 2, 2), "wrong table"),
    ],
)
def test_bad_arguments_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.zeros((2, 3, 3, 4), np.float32), np.zeros((4 * 2 * 4, 2), np.float32))


def test_drawn_tables_use_every_channel_equally_often():
    table = sparse.draw_connections(np.random.default_rng(5), 6, 3)
    assert np.array_equal(sparse.check_connections(list(table), 6, 3), table)
    assert len({tuple(part) for part in table.reshape(3, 6)}) == 3


def test_gather_and_scatter_are_adjoint():
    """Small integers: exact. A channel that several groups use gets the sum of their gradients."""
    rng = np.random.default_rng(6)
    x, grads = rng.integers(-8, 8, (6, 2, 2, 3)).astype(float), rng.integers(-8, 8, (12, 2, 2, 3)).astype(float)
    table = sparse.draw_connections(rng, 6, 2)
    seen, down = sparse.gather(x, table), sparse.scatter(grads, table, 6)
    assert (seen * grads).sum() == (x * down).sum()
    for place, channel in enumerate(table):
        assert same_bits(seen[place], x[channel])
    np.testing.assert_array_equal(down[2], grads[table == 2].sum(axis=0))
