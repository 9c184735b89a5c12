"""Convolution against a sum over all (module, filter pixel) pairs in float64."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from op_checks import assert_gradient, assert_same_bits_on_any_number_of_threads, assert_within, same_bits

from alexnet_rosetta.port import conv


def geometry(channels, img_size, filters, filter_size, padding, stride, groups=1, images=2):
    return dict(channels=channels, img_size=img_size, filters=filters, filter_size=filter_size, padding=padding,
                stride=stride, groups=groups, images=images)  # fmt: skip


@st.composite
def geometries(draw):
    """Any geometry, about half of them of the kind that Winograd's algorithm does."""
    winograd = draw(st.booleans())
    groups, padding = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    img_size = draw(st.integers(6, 8) if winograd else st.integers(1, 9))
    size = 3 if winograd else draw(st.integers(1, min(6, img_size + 2 * padding)))
    channels, filters = (draw(st.integers(16, 19) if winograd else st.integers(1, most)) for most in (4, 5))
    stride = 1 if winograd else draw(st.integers(1, 5))
    images = draw(st.sampled_from((1, 2, 3, 5, 12, 35)))
    return geometry(groups * channels, img_size, groups * filters, size, padding, stride, groups, images)


def modules(g):
    """Positions counted, not computed: a module for every step until the padded image is covered."""
    side = 1
    while (side - 1) * g["stride"] + g["filter_size"] < g["img_size"] + 2 * g["padding"]:
        side += 1
    return side


def pairs(g):
    """(slice of channels, slice of filters, filter pixel, module my, mx, pixel y, x) of each product in the image."""
    size, inside = g["filter_size"], range(g["img_size"])
    for group, my, mx, p, q in product(range(g["groups"]), *[range(modules(g))] * 2, *[range(size)] * 2):
        y, x = (g["stride"] * m - g["padding"] + o for m, o in ((my, p), (mx, q)))
        if y in inside and x in inside:
            k, f = g["channels"] // g["groups"], g["filters"] // g["groups"]
            yield slice(group * k, group * k + k), slice(group * f, group * f + f), p * size + q, my, mx, y, x


def formula(g, images, filters, grads):
    """acts without biases, image gradient, filter gradient, and the number of products in each of their elements."""
    acts, dimages, dfilters = np.zeros(grads.shape), np.zeros(images.shape), np.zeros(filters.shape)
    counts = [np.zeros(a.shape) for a in (acts, dimages, dfilters)]
    for c, f, tap, my, mx, y, x in pairs(g):
        w, image, grad = filters[:, tap, f], images[c, y, x], grads[f, my, mx]
        acts[f, my, mx] += w.T @ image
        dimages[c, y, x] += w @ grad
        dfilters[:, tap, f] += image @ grad.T
        counts[0][f, my, mx] += len(w)
        counts[1][c, y, x] += w.shape[1]
        counts[2][:, tap, f] += images.shape[-1]
    return (acts, dimages, dfilters), counts


def operands(g, dtype, seed=0):
    rng = np.random.default_rng(seed)
    side = modules(g)
    shapes = {"images": (g["channels"], g["img_size"], g["img_size"], g["images"]),
              "filters": (g["channels"] // g["groups"], g["filter_size"] ** 2, g["filters"]),
              "grads": (g["filters"], side, side, g["images"])}  # fmt: skip
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def keywords(g, *names):
    return {name: g[name] for name in ("filter_size", "padding", "stride", "groups", *names)}


def forward(g, o, biases=None, **more):
    return conv.conv_forward(o["images"], o["filters"], biases, **keywords(g, "img_size"), **more)


def backward(g, o):
    dimages = conv.conv_backward_images(o["grads"], o["filters"], **keywords(g, "channels", "img_size"))
    return dimages, conv.conv_backward_filters(o["images"], o["grads"], **keywords(g))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=40)
@given(g=geometries(), seed=st.integers(0, 2**32 - 1))
@example(g=geometry(3, 12, 4, 5, 0, 4), seed=0)  # the last window sticks out: 1 + ceil(7/4) modules
@example(g=geometry(32, 5, 6, 5, 2, 1, 2), seed=1)
@example(g=geometry(40, 6, 4, 3, 1, 2, 2), seed=2)
@example(g=geometry(200, 3, 7, 2, 0, 1), seed=3)  # more channels than are packed at a time
@example(g=geometry(2, 4, 3, 2, 1, 1, 1, 300), seed=4)  # more images than a unit has columns
@example(g=geometry(16, 6, 16, 3, 1, 1, 1, 70), seed=5)
@example(g=geometry(300, 3, 7, 2, 0, 1, 1, 12), seed=6)  # more channels than are summed at a time
@example(g=geometry(2, 2, 2100, 1, 0, 1, 1, 70), seed=7)  # more filters than a unit has room for
def test_all_passes_match_the_formula(dtype, g, seed):
    o = operands(g, dtype, seed)
    biases = np.random.default_rng(seed).standard_normal((g["filters"], 1)).astype(dtype)
    values, counts = formula(g, **{k: v.astype(np.float64) for k, v in o.items()})
    sizes, _ = formula(g, **{k: np.abs(v.astype(np.float64)) for k, v in o.items()})
    column = biases.reshape(-1, 1, 1, 1)
    assert_within(forward(g, o, biases), values[0] + column, counts[0] + 1, sizes[0] + np.abs(column))
    dimages, dfilters = backward(g, o)
    assert_within(dimages, values[1], counts[1], sizes[1])
    rows = -1, g["filters"]
    assert_within(dfilters, values[2].reshape(rows), counts[2].reshape(rows), sizes[2].reshape(rows))


@pytest.mark.parametrize("g", [geometry(17, 6, 5, 3, 1, 1), geometry(3, 12, 4, 5, 0, 4)], ids=["three", "five"])
def test_central_differences(g):
    o = operands(g, np.float64)
    dimages, dfilters = backward(g, o)
    rng = np.random.default_rng(5)
    assert_gradient(lambda x: (forward(g, {**o, "images": x}) * o["grads"]).sum(), o["images"], dimages, rng)
    gradient = dfilters.reshape(o["filters"].shape)
    assert_gradient(lambda w: (forward(g, {**o, "filters": w}) * o["grads"]).sum(), o["filters"], gradient, rng)


@pytest.mark.parametrize("g", [geometry(16, 5, 3, 3, 1, 1), geometry(3, 7, 4, 3, 0, 3)], ids=["three", "step"])
def test_biases_and_accumulation(g):
    """Sums of small integers are exact, so every way of adding must give the same bits."""
    rng = np.random.default_rng(1)
    o = {name: rng.integers(-4, 5, a.shape).astype(np.float32) for name, a in operands(g, np.float32).items()}
    plain, side = forward(g, o), modules(g)
    for shape in ((g["filters"], 1), (g["filters"] * side * side, 1)):
        biases = rng.integers(-4, 5, shape).astype(np.float32)
        spread = np.broadcast_to(biases.reshape(g["filters"], -1, 1), (g["filters"], side * side, g["images"]))
        assert same_bits(forward(g, o, biases), plain + spread.reshape(plain.shape))
        out = o["grads"].copy()
        assert forward(g, o, biases, out=out, accumulate=True) is out
        assert same_bits(out, o["grads"] + plain + spread.reshape(plain.shape))
    out = np.full_like(plain, np.nan)
    assert same_bits(forward(g, o, out=out), plain)
    flat = {**o, "filters": o["filters"].reshape(-1, g["filters"])}
    assert same_bits(forward(g, flat), plain)
    assert same_bits(conv.conv_backward_biases(o["grads"]), o["grads"].sum(axis=(1, 2, 3))[:, None])
    assert same_bits(conv.conv_backward_biases(o["grads"], shared=False), o["grads"].sum(axis=3).reshape(-1, 1))


def test_there_is_one_group_unless_told():
    g = geometry(4, 5, 6, 3, 1, 1)
    o, sizes = operands(g, np.float32), {"filter_size": 3, "padding": 1, "stride": 1}
    found = (
        conv.conv_forward(o["images"], o["filters"], None, img_size=5, **sizes),
        conv.conv_backward_images(o["grads"], o["filters"], channels=4, img_size=5, **sizes),
        conv.conv_backward_filters(o["images"], o["grads"], **sizes),
    )
    assert all(same_bits(a, b) for a, b in zip(found, (forward(g, o), *backward(g, o)), strict=True))


@pytest.mark.parametrize("g", [geometry(64, 13, 48, 3, 1, 1, 2, 96), geometry(3, 40, 8, 11, 0, 4, 1, 96)],
                         ids=["winograd", "direct"])  # fmt: skip
def test_bits_do_not_depend_on_the_number_of_threads(g, monkeypatch):
    o = operands(g, np.float32)
    assert_same_bits_on_any_number_of_threads(lambda: (forward(g, o), *backward(g, o)), monkeypatch)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "g", [geometry(10, 7, 14, 3, 1, 2, 2, 70), geometry(3, 12, 13, 5, 2, 1, 1, 70)], ids=["step", "five"]
)
def test_a_sum_does_not_depend_on_how_many_images_there_are(g, dtype):
    """A few images are packed pixel by pixel, many are read from blocks: the same sums in the same order."""
    o = operands(g, dtype)
    few = {**o, "images": o["images"][..., 64:67].copy(), "grads": o["grads"][..., 64:67].copy()}
    assert np.array_equal(forward(g, o)[..., 64:67], forward(g, few))
    assert np.array_equal(backward(g, o)[0][..., 64:67], backward(g, few)[0])


def run(g, o, algorithm):
    """Outputs, image gradient and filter gradient by one algorithm."""
    acts = forward(g, o, algorithm=algorithm)
    dimages = conv.conv_backward_images(
        o["grads"], o["filters"], **keywords(g, "channels", "img_size"), algorithm=algorithm
    )
    return acts, dimages, conv.conv_backward_filters(o["images"], o["grads"], **keywords(g), algorithm=algorithm)


def integers(g, seed):
    """Operands so small and whole that no sum rounds, however it is formed."""
    rng = np.random.default_rng(seed)
    return {name: rng.integers(-4, 5, a.shape).astype(np.float32) for name, a in operands(g, np.float32).items()}


@settings(max_examples=40)
@given(
    groups=st.integers(1, 2),
    channels=st.integers(1, 20),
    filters=st.integers(1, 40),
    img_size=st.integers(1, 9),
    padding=st.integers(1, 2),
    images=st.sampled_from((1, 2, 5, 16, 33, 70, 130)),
    seed=st.integers(0, 2**32 - 1),
)
@example(groups=1, channels=200, filters=13, img_size=3, padding=1, images=128, seed=0)
def test_algorithms_agree_where_nothing_rounds(groups, channels, filters, img_size, padding, images, seed):
    g = geometry(groups * channels, img_size, groups * filters, 3, padding, 1, groups, images)
    o = integers(g, seed)
    pairs = zip(run(g, o, "direct"), run(g, o, "winograd"), strict=True)
    assert all(same_bits(a, b) for a, b in pairs)


@pytest.mark.parametrize("bad", [np.inf, np.nan, 3e38])
def test_winograd_spreads_no_infinity(bad):
    """Infinite is what depends on it, as in the direct algorithm; sums of large numbers stay finite."""
    g = geometry(16, 7, 16, 3, 1, 1, 1, 3)
    o = integers(g, 0)
    o["images"][3, 2:4, 3:5, 1] = bad
    o["filters"][:, :, :8] = 0
    o["filters"][3, 4, 2] = 1
    o["grads"][5, 4, 4, 2] = bad
    with np.errstate(invalid="ignore"):
        pairs = zip(run(g, o, "direct"), run(g, o, "winograd"), strict=True)
        assert all(np.array_equal(np.isfinite(a), np.isfinite(b)) for a, b in pairs)


def test_auto_is_winograd_where_it_pays():
    def chosen(*words, **more):
        g = geometry(*words, **more)
        sizes = (g["channels"], g["img_size"], g["img_size"], g["images"])
        words = (g[name] for name in ("filters", "filter_size", "padding", "stride", "groups"))
        return conv.by_winograd(conv.conv_geometry("test", sizes, *words, None), "auto")

    assert chosen(192, 13, 128, 3, 1, 1)
    assert chosen(16, 6, 16, 3, 1, 1)
    assert chosen(32, 4, 32, 3, 2, 1, 2)
    assert not any(chosen(*less) for less in ((15, 6, 16, 3, 1, 1), (16, 6, 15, 3, 1, 1), (16, 5, 16, 3, 1, 1)))
    assert not any(chosen(30, 6, filters, 3, 1, 1, 2) for filters in (30, 32))
    assert not chosen(192, 13, 128, 3, 3, 1)
    assert not chosen(192, 13, 128, 3, 1, 2)
    assert not chosen(48, 27, 128, 5, 2, 1)
    assert not chosen(3, 32, 64, 3, 1, 1)
    with pytest.raises(ValueError, match="unknown algorithm"):
        run(geometry(1, 3, 1, 3, 0, 1), operands(geometry(1, 3, 1, 3, 0, 1), np.float32), "fft")


def test_gradients_of_filters_are_direct_unless_winograd_is_asked_for_and_fits():
    rng, sizes = np.random.default_rng(0), {"padding": 1, "stride": 1}
    images, grads = (rng.standard_normal((16, 13, 13, 3), dtype=np.float32) for _ in range(2))
    g = conv.conv_geometry("test", images.shape, 16, 3, 1, 1, 1, None)
    assert conv.by_winograd(g, "winograd") > conv.by_winograd(g | {"S": 5, "padding": 2}, "winograd")

    def gradient(algorithm, size=3):
        more = sizes | {"filter_size": size, "padding": size // 2, "algorithm": algorithm}
        return conv.conv_backward_filters(images, grads, **more)

    assert not same_bits(gradient("winograd"), gradient("direct"))
    assert same_bits(gradient("winograd", 5), gradient("direct", 5))
    many, more = np.repeat(images, 8, 0), np.repeat(grads, 8, 0)
    assert conv.by_winograd(conv.conv_geometry("test", many.shape, 128, 3, 1, 1, 1, None), "auto")
    auto, direct = (
        conv.conv_backward_filters(many, more, filter_size=3, algorithm=name, **sizes) for name in ("auto", "direct")
    )
    assert same_bits(auto, direct)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(padding=-1), "wrong step or padding"),
        (dict(stride=0), "wrong step or padding"),
        (dict(filter_size=9), "wrong filter_size"),
        (dict(groups=2), "wrong number of groups"),
        (dict(img_size=6), "wrong size"),
        (dict(filter_size=2), "filters has the wrong shape"),
        (dict(accumulate=True), "accumulate without out"),
        (dict(out=np.zeros((4, 5, 5, 3), np.float32)), "out has the wrong shape"),
    ],
)
def test_bad_arguments_are_refused_with_a_hint(change, words):
    images, filters = np.zeros((3, 7, 7, 2), np.float32), np.zeros((27, 4), np.float32)
    arguments = dict(img_size=7, filter_size=3, padding=0, stride=1) | change
    with pytest.raises(ValueError, match=words) as error:
        conv.conv_forward(images, filters, None, **arguments)
    assert error.value.hint
    assert "expected" in str(error.value)
    assert "actual" in str(error.value)


def test_wrong_dtypes_are_refused():
    images, filters = np.zeros((3, 7, 7, 2), np.float32), np.zeros((27, 4), np.float32)
    arguments = dict(img_size=7, filter_size=3, padding=0, stride=1)
    for bad in (images.astype(np.int32), images.astype(np.float16), images.astype(">f4")):
        with pytest.raises(ValueError, match="wrong dtype"):
            conv.conv_forward(bad, filters, None, **arguments)
    with pytest.raises(ValueError, match="wrong dtype"):
        conv.conv_forward(images, filters.astype(np.float64), None, **arguments)


def test_gradients_of_another_shape_are_refused():
    images, filters, sizes = np.zeros((3, 7, 7, 2)), np.zeros((27, 4)), dict(filter_size=3, padding=0, stride=1)
    for shape in ((4, 4, 4, 2), (4, 5, 5, 3)):
        with pytest.raises(ValueError, match="grads have the wrong shape"):
            conv.conv_backward_filters(images, np.zeros(shape), **sizes)
        if shape[1] == 4:
            with pytest.raises(ValueError, match="grads have the wrong shape"):
                conv.conv_backward_images(np.zeros(shape), filters, channels=3, img_size=7, **sizes)
