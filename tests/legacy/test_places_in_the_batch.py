"""An image has the same bits wherever in the batch it stands: in any block and vector, or left over behind the last."""

from inspect import signature

import numpy as np
import pytest
from toy_calls import CALLS

from alexnet_rosetta.legacy import isa, quirks, use_isa

# Sums over images, one product for all of a vector's images, and what is no matrix of images.
OTHERS = ("WeightActs", "Half", "normalizeLocalWeights")
CASES = [case for case in CALLS if not any(name in case[0] for name in OTHERS)]
PLACES = 128 + 32 + 16 + 8 + 5  # of a whole block, of vectors of every length, and some left over


def repeated(array):
    """The first image, or case, in every place."""
    if np.ndim(array) == 2 and PLACES in array.shape:
        axis = array.shape.index(PLACES)
        array = array.copy(order="K")
        array[...] = array.take([0], axis)
    return array


def outputs(call, **more):
    """What a call gives for an image that is repeated, images last."""
    given = {name: repeated(value) for name, value in call.keywords.items()}
    made = call.func(*map(repeated, call.args), **given, **more)
    return [np.moveaxis(a, a.shape.index(PLACES), -1) for a in (made if isinstance(made, tuple) else [made])
            if a is not None and PLACES in a.shape]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=" ".join)
@pytest.mark.parametrize("module", isa.available())
def test_an_image_repeated_has_the_same_bits_in_every_place(case, module):
    with use_isa(module), quirks(nails_undo_never_adds=False):
        call = CALLS[case](PLACES)
        found = outputs(call)
        names = set(signature(call.func).parameters)
        if "scaleTargets" in names:
            scales = dict(zip(sorted(name for name in names if name.startswith("scale")), (0.7, 0.3), strict=False))
            found += outputs(call, **{name: found[0] for name in names & {"target", "targets"}}, **scales)
    assert found
    for array in found:
        bits = np.ascontiguousarray(array).view(np.int32)
        assert (bits == bits[:, :1]).all(), np.flatnonzero((bits != bits[:, :1]).any(0))


def part(value, whole, count):
    """The first images of a matrix of `whole` of them."""
    axes = [axis for axis, size in enumerate(getattr(value, "shape", ())) if size == whole]
    return (value[:, :count] if axes[0] else value[:count]).copy(order="K") if axes else value


@pytest.mark.parametrize("cases", [320, 384])
def test_an_image_has_the_same_bits_in_every_batch(cases):
    """The kernels have one image for each thread, 2 or 4, as the batch is: the three instances give the same."""
    for case in CASES:
        call = CALLS[case](cases)
        given = dict(zip(signature(call.func).parameters, call.args, strict=False)) | call.keywords
        few = {name: part(value, cases, 7) for name, value in given.items()}
        with use_isa("strict"):
            made, of_few = (call.func(**arguments) for arguments in (given, few))
        for whole, some in zip(*(a if isinstance(a, tuple) else (a,) for a in (made, of_few)), strict=True):
            assert whole is None or np.array_equal(part(whole, cases, 7), some, equal_nan=True), case
