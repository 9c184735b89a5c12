"""Sizes that overflow, arguments of the wrong kind: Refused, whatever the arithmetic of the machine makes of them."""

from contextlib import suppress
from inspect import signature

import numpy as np
import pytest
import toy_calls

from alexnet_rosetta.legacy import Network, Refused, _call, cudaconv, quirks, use_isa


def zeros(rows, cols):
    return np.zeros((rows, cols), np.float32)


def pool(**sizes):
    return {"numFilters": 1, "subsX": 1, "startX": 0, "strideX": 1, "outputsX": 1} | sizes


OVERFLOWS = {
    "pixels of maps": ("convCrossMapMaxPoolUndo", [(16, 4)] * 3,
                       {"imgSize": 65536, "startF": 0, "poolSize": 2, "stride": 1, "generation": 2014}),
    "outputs": ("convLocalPool", [(1, 8)], pool(outputsX=2**30)),
    "outputs of the random kind": ("convLocalRandomPool", [(1, 8), (1, 8)], pool(outputsX=2**30)),
    "pixels of averages": ("convLocalAvgUndo", [(16, 8)],
                           {"subsX": 1, "startX": 0, "strideX": 1, "outputsX": 1, "imgSize": 2**28}),
    "outputs of averages": ("convLocalAvgUndo", [(16, 8)],
                            {"subsX": 1, "startX": 0, "strideX": 1, "outputsX": 2**16, "imgSize": 4}),
    "outputs of maxima": ("convLocalMaxUndo", [(16, 8)] * 3,
                          {"subsX": 1, "startX": 0, "strideX": 1, "outputsX": 2**16}),
    "pixels of nails": ("convBedOfNailsUndo", [(4, 8)],
                        {"numChannels": 1, "imgSize": 2**30, "startX": 0, "strideX": 2**29}),
    "outputs of nails": ("convBedOfNailsUndo", [(4, 8)],
                         {"numChannels": 8, "imgSize": 2**30, "startX": 0, "strideX": 2}),
    "pixels of a resized image": ("convResizeBilinear", [(4, 8)], {"imgSize": 2, "tgtSize": 2**30, "scale": 1.0}),
    "scale of a resized image": ("convResizeBilinear", [(4, 8)], {"imgSize": 2, "tgtSize": 2**13, "scale": 3e38}),
    "windows far before the image": ("convLocalPool", [(1, 8)], pool(startX=-(2**20))),
    "windows far behind the image": ("convLocalPool", [(1, 8)], pool(startX=2**20)),
    "a window without an end": ("convLocalPool", [(1, 8)], pool(startX=-(2**31) + 1, subsX=2**31 - 1)),
    "groups": ("convFilterActs", [(2**12, 8), (1, 16)],
               {"imgSizeY": 1, "numModulesY": 1, "numModulesX": 1, "paddingStart": 0, "moduleStride": 1,
                "numImgColors": 2**28, "numGroups": 2**28}),
    "a set of fewer than no classes": ("computeMultiSoftmaxCost", [(1, 8), (4, 8)],
                                       {"setSize": -(2**31) + 1, "useEnergies": False}),
    "a scale beyond float32": ("convTICA", [(16, 8)],
                               {"numFilters": 16, "sizeX": 1, "scaleTarget": 0, "scaleOutput": 1e300}),
}  # fmt: skip


@pytest.mark.parametrize("case", OVERFLOWS)
def test_sizes_that_overflow(case):
    entry, shapes, scalars = OVERFLOWS[case]
    with pytest.raises(Refused):
        getattr(cudaconv, entry)(*(zeros(*shape) for shape in shapes), **scalars)


def test_a_target_is_compared_with_the_rows_it_should_have_not_with_their_low_bits():
    with quirks(nails_undo_never_adds=False), pytest.raises(Refused):
        cudaconv.convBedOfNailsUndo(zeros(4, 1), zeros(131073, 1), numChannels=1, imgSize=65537, startX=0,
                                    strideX=60000, scaleTargets=1.0)  # fmt: skip


def test_half_of_an_odd_number_of_places_is_rounded_up_without_an_overflow():
    with pytest.raises(Refused, match="1073741824 places"):
        cudaconv.convDequantizeHalf(zeros(1, 8), numElements=2**31 - 1)


def gapped(rows, cols):
    return zeros(rows, cols + 1)[:, :cols]


def shifted(rows, cols):
    return np.ndarray((rows, cols), np.float32, np.zeros(4 * rows * cols + 1, np.uint8), 1)


KINDS = {
    "a target with gaps": lambda: cudaconv.convTICA(zeros(16, 4), gapped(16, 4), numFilters=16, sizeX=1),
    "an overwritten argument with gaps": lambda: cudaconv.convResponseNormUndo(
        *[zeros(16, 4)] * 3, gapped(16, 4), numFilters=16, sizeX=1, addScale=1, powScale=1),
    "an array off its boundary": lambda: cudaconv.convTICA(shifted(16, 4), numFilters=16, sizeX=1),
    "text and no size for a table": lambda: cudaconv.convFilterActsSparse(
        zeros(8, 4), zeros(4, 32), colorIndices="table", imgSizeY=1, numModulesY=1, numModulesX=1, paddingStart=0,
        moduleStride=1, numImgColors=None, numFilterColors=4, numGroups=2),
    "an integer beyond floats": lambda: cudaconv.convTICA(zeros(16, 4), numFilters=10**400, sizeX=1),
    "a vector with gaps": lambda: _call.call(
        "NVMatrix::eltwiseMultByVector", [_call.row("a", zeros(3, 4)), _call.col("b", gapped(4, 1).T)],
        [_call.row("target", None)], {}),
    "no array": lambda: cudaconv.neuron([1, 2], zeros(1, 2), type="relu"),
    "an endless empty array": lambda: cudaconv.convRGBToYUV(np.zeros((0, 2**40), np.float32)),
    "a number for a word": lambda: cudaconv.convLocalPool(zeros(1, 4), pooler=3, **pool()),
    "a word with a zero byte": lambda: cudaconv.convLocalPool(zeros(1, 4), pooler="Max\\0", **pool()),
    "a table of text": lambda: cudaconv.convFilterActsSparse(
        zeros(8, 4), zeros(4, 32), colorIndices=np.full((2, 4), "x"), imgSizeY=1, numModulesY=1, numModulesX=1,
        paddingStart=0, moduleStride=1, numImgColors=8, numFilterColors=4, numGroups=2),
    "sums of windows before 2014": lambda: cudaconv.convLocalPool(zeros(1, 4), pooler="Sum", **pool()),
    "gradients of such sums before 2014": lambda: cudaconv.convLocalAvgUndo(
        zeros(16, 4), imgSize=1, sum=True, subsX=1, startX=0, strideX=1, outputsX=1),
    "a generation of another type": lambda: cudaconv.convTICA(zeros(16, 4), numFilters=16, sizeX=1, generation=2012.0),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_of_the_wrong_kind(kind):
    with pytest.raises(Refused):
        KINDS[kind]()


@pytest.mark.parametrize("start", range(-5, 4))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows_that_start_on_either_side_of_the_image(start, stride):
    """The gradient of max and average pooling against loops, where divisions of negative numbers would go wrong."""
    side, size, outputs, rng = 7, 3, 4, np.random.default_rng([start + 8, stride])
    images = rng.standard_normal((16, side, side, 2)).astype(np.float32)
    grads = rng.integers(-3, 4, (16, outputs, outputs, 2)).astype(np.float32)
    sizes = {"subsX": size, "startX": start, "strideX": stride, "outputsX": outputs}
    acts = cudaconv.convLocalPool(images.reshape(-1, 2), numFilters=16, **sizes).reshape(grads.shape)
    of_max, of_average = np.zeros_like(images), np.zeros_like(images)
    for y in range(outputs):
        for x in range(outputs):
            (top, bottom), (left, right) = (
                (max(0, start + stride * o), max(0, min(side, start + stride * o + size))) for o in (y, x)
            )
            window = np.s_[:, top:bottom, left:right]
            share = np.float32(1) / max(1, (bottom - top) * (right - left))
            of_max[window] += (images[window] == acts[:, y, x][:, None, None]) * grads[:, y, x][:, None, None]
            of_average[window] += share * grads[:, y, x][:, None, None]
    with use_isa("strict"):
        found = cudaconv.convLocalMaxUndo(images.reshape(-1, 2), grads.reshape(-1, 2), acts.reshape(-1, 2), **sizes)
        assert np.array_equal(found, of_max.reshape(-1, 2))
        found = cudaconv.convLocalAvgUndo(grads.reshape(-1, 2), imgSize=side, **sizes)
        assert np.array_equal(found, of_average.reshape(-1, 2))


def test_a_refusal_has_the_parts_that_the_engine_gave_it_whatever_is_in_them():
    name = "odd\n  actual: nothing: at all"
    layers = [{"name": "x", "type": "data", "outputs": 2}, {"name": name, "type": "no\ntype", "inputs": ["x"]}]
    with pytest.raises(Refused) as caught:
        Network(layers)
    assert caught.value.what == f"layer {name}: unsupported layer type"
    assert caught.value.actual == "no\ntype"
    assert "concat, conv, cost.crossent" in caught.value.expected
    assert caught.value.hint == ""


def test_a_refusal_of_a_write_names_the_layer_once():
    network = Network([{"name": "x", "type": "data", "outputs": 2}])
    for tensor, what in {
        "schedule_normals": "has no learning rate",
        "filterConns[0]": "has no random connections",
    }.items():
        with pytest.raises(Refused) as caught:
            network.write("x", tensor, [1])
        assert caught.value.what == f"layer x: {what}"
        assert caught.value.actual == "data"


CASES = 40
CLASSES_ARE_COUNTED = {
    ("computeLogregGrad", "probs"),
    ("computeLogregSoftmaxGrad", "probs"),
    ("convQuantizeHalf", "src"),
}
"""Arguments whose own size says how many classes or rows there are: one fewer is another call."""


def in_other_memory(array):
    """The same values in the other order, and with gaps between rows (or columns, as the order is)."""
    turned = not array.flags.c_contiguous
    other = (np.ascontiguousarray if turned else np.asfortranarray)(array)
    wide = np.pad(array.T if turned else array, [(0, 0), (0, 3)], constant_values=np.nan)[:, :-3]
    return other, wide.T if turned else wide


def outputs(call, arguments):
    """The outputs of a call as bytes."""
    made = call.func(**arguments)
    return [array.tobytes() for array in (made if isinstance(made, tuple) else [made]) if array is not None]


@pytest.fixture(params=toy_calls.CALLS, ids=" ".join)
def toy(request):
    """(call, all its arguments by name, those of its matrices that are read) of an entry point."""
    call = toy_calls.CALLS[request.param](CASES)
    given = dict(zip(signature(call.func).parameters, call.args, strict=False)) | call.keywords
    arrays = {name: value for name, value in given.items() if getattr(value, "dtype", None) == np.float32}
    if request.param == ("computeMultiSoftmaxCost", ""):
        del arrays["energies"]
    return call, given, arrays


def one_less(array):
    """The array without its last row, and without its last column; in its order of memory."""
    return [array[:-1].copy(order="K"), array[:, :-1].copy(order="K")]


def test_matrices_that_do_not_fit_are_refused(toy):
    call, given, arrays = toy
    for name, array in arrays.items():
        of_cases = [size == CASES for size in array.shape]
        alone = sum(CASES in other.shape for other in arrays.values()) == 1
        counted = (call.func.__name__, name) in CLASSES_ARE_COUNTED
        for less, is_batch in zip(one_less(array), of_cases, strict=True):
            if not (alone if is_batch else counted):
                with pytest.raises(Refused):
                    call.func(**given | {name: less})


def test_where_matrices_lie_in_memory_changes_no_result(toy):
    call, given, arrays = toy
    for name, array in arrays.items():
        for same in in_other_memory(array):
            with suppress(Refused):
                assert outputs(call, given | {name: same}) == outputs(call, given), name


def test_what_is_added_to_a_target_of_another_size_is_refused_or_added_to_zeros(toy):
    call, given, _ = toy
    names, made = set(signature(call.func).parameters), call()
    added = {name: 1 for name in names if name in ("scaleTargets", "scaleTarget", "add")}
    for target in names & {"target", "targets"} if added else ():
        for less in one_less(made[-1] if isinstance(made, tuple) else made):
            with quirks(nails_undo_never_adds=False), suppress(Refused):
                assert outputs(call, given | added | {target: less}) == outputs(call, given)
