"""The layer types as a table: keys, derived values and parameters of each (config-format 6 and 7).

A row holds all that the reader knows of a layer type; ``derive`` checks the values of a draft and adds derived values.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from . import geometry, grammar
from . import weight_types as weights
from .keys import Draft, Key, flag, integer, number, text


def nothing(draft: Draft) -> None:
    """Derive nothing."""


MAX_INPUTS = 1024


@dataclass(frozen=True)
class LayerType:
    """One row."""

    derive: Callable[[Draft], None]  # sets ``outputs`` and the other derived values of a draft
    # keys, params: options in the definition file and in the parameter file
    keys: tuple[Key, ...] = ()
    params: tuple[Key, ...] = ()
    finish: Callable[[Draft], None] = nothing  # derives values from the parameters
    inputs: tuple[int, int] = (1, 1)  # fewest and most inputs
    needs_params: bool = False  # the parameter file must have a section for the layer
    # usesActs, usesInputs, forceOwnActs: whether the gradient needs the outputs, the inputs, outputs of its own
    uses: tuple[bool, bool, bool] = (True, True, True)
    # weights, gradient: whether the layer has weights; whether a gradient can pass through the layer
    weights: bool = False
    gradient: bool = True
    also: tuple[str, ...] = ()  # options that ``derive`` or ``finish`` look up themselves

    def wrong_count(self, count: int) -> dict[str, Any]:
        """Nothing, or what an error says of a number of inputs that the type has not (config-format 6)."""
        fewest, most = self.inputs
        expected = fewest if most == fewest else f"{fewest} to {most}"
        return {} if fewest <= count <= most else {"expected": expected, "actual": count}


NEURON = text("neuron", read=grammar.read_neuron)


def same_outputs(draft: Draft) -> None:
    """As many outputs as inputs."""
    draft.set_outputs(draft["numInputs"][0])


def derive_data(draft: Draft) -> None:
    """The dimension of the data matrix: of the data set, else of the key ``dims``, else of ImageNet crops."""
    index = draft["dataIdx"]
    dims = draft.facts.dims.get(index)
    if dims is None and draft.section.find("dims"):
        dims = draft.value(integer("dims", low=1), draft.section)
    if dims is None and index == 0:
        dims, draft.assumed = 150528, True
        draft.warn("is missing: 150528 values per case are assumed, images of 3 x 224 x 224", "dims")
    if dims is None and index == 1:
        dims = 1
    if dims is None:
        hint = "write dims=... into the section or pass data_dims"
        raise draft.error(f"the dimension of data matrix {index} is not known", "dataIdx", hint=hint)
    draft.set_outputs(dims)


def derive_neuron(draft: Draft) -> None:
    """An explicit neuron layer: the text becomes the parsed neuron."""
    option = draft.section.find("neuron")
    if option is None:
        raise draft.error("is missing", "neuron", expected="a line neuron=...")
    neuron = draft.convert(NEURON, option.text, draft.section)
    draft.values |= {"neuron": neuron, "usesActs": neuron["usesActs"], "usesInputs": neuron["usesInputs"]}
    same_outputs(draft)


def image_shape(draft: Draft) -> None:
    """Pixels and side of the square images of a single-input layer."""
    values, channels = draft["numInputs"][0], draft["channels"]
    side = geometry.square_side(values, channels)
    draft.check(
        side > 0, f"the input ({draft.inputs[0].name}) is no stack of square images", "channels",
        expected=f"channels with {values} = channels*size*size", actual=channels,
    )  # fmt: skip
    draft.values |= {"imgPixels": side * side, "imgSize": side}


def same_image(draft: Draft) -> None:
    """Images in, images of the same shape out."""
    image_shape(draft)
    same_outputs(draft)


def target_image(draft: Draft, side: int) -> None:
    """Images in, images of another side out."""
    draft.values["tgtSize"] = side
    draft.set_outputs(draft["channels"] * side * side)


def bounded(draft: Draft, key: str, low: float, high: float) -> None:
    """Check a value against a range that depends on other values."""
    draft.check(low <= draft[key] <= high, "is out of range", key, expected=f"{low} to {high}", actual=draft[key])


def derive_pool(draft: Draft) -> None:
    """Pooling windows: they are clipped at the border, leave no gaps, and each overlaps the image."""
    image_shape(draft)
    side, size, stride, start = (draft[key] for key in ("imgSize", "sizeX", "stride", "start"))
    bounded(draft, "sizeX", 1, side)
    bounded(draft, "stride", 1, size)
    outputs = draft["outputsX"] or geometry.pool_outputs(side, size, start, stride)
    inside = outputs > 0 and start + size > 0 and start + stride * (outputs - 1) < side
    draft.check(inside, "some window lies outside the image", "start", actual=f"start {start}, {outputs} windows")
    if draft.weights_below:
        channels = draft["channels"]
        draft.kernel_limit(channels % 16 == 0, "channels", "a multiple of 16", channels)
    draft.values |= {"outputsX": outputs, "requiresParams": draft["pool"] == "rand"}
    draft.set_outputs(outputs**2 * draft["channels"])


def finish_pool(draft: Draft) -> None:
    """Read doMax, a key of random pooling alone."""
    if draft["pool"] == "rand" and draft.params is not None:
        draft.values["doMax"] = draft.value(flag("doMax", False), draft.params)


POWERS = 1000  # for larger ones no first-order error model holds (docs/verdict.md)


def derive_norm(draft: Draft) -> None:
    """rnorm and cnorm: windows over pixels; the oldest files write sizeX for size (16.1)."""
    same_image(draft)
    if draft["size"] is None:
        option = draft.section.find("sizeX")
        draft.check(option is not None, "is missing", "size", expected="a line size=... in this section")
        draft.values["size"] = draft.value(integer("sizeX"), draft.section)
        draft.warn("taken as size, as in the oldest files", "sizeX")
        draft.tolerate("oldest norm", "sizeX", draft["size"])
    bounded(draft, "size", 1, draft["imgSize"])


def derive_cmrnorm(draft: Draft) -> None:
    """Normalisation across maps."""
    same_image(draft)
    bounded(draft, "size", 2, draft["channels"])
    channels = draft["channels"]
    draft.kernel_limit(channels % 16 == 0, "channels", "a multiple of 16", channels)


def finish_norm(draft: Draft) -> None:
    """scale and pow, from the definition in the oldest files (16.1); scale is stored divided by the window's size."""
    for key in (number("scale"), number("pow")):
        own = draft.type == "cmrnorm" or not draft.section.find(key.name)
        home = draft.params if draft.params is not None and (own or draft.params.find(key.name)) else draft.section
        draft.values[key.name] = draft.value(key, home)
        if home is draft.section:
            draft.tolerate("oldest norm", key.name, draft[key.name])
    bounded(draft, "pow", -POWERS, POWERS)
    draft.advise(draft["pow"] >= 0, "is negative: the layer multiplies instead of dividing", "pow", actual=draft["pow"])
    draft.check(
        draft["scale"] >= 0, "is out of range", "scale", expected="at least 0, or a denominator may vanish",
        actual=draft["scale"],
    )  # fmt: skip
    if draft.type == "cmrnorm" and draft.params is not None:
        _check_least_denominator(draft)
    draft.values["scale"] /= draft["size"] if draft.type == "cmrnorm" else draft["size"] ** 2


def _check_least_denominator(draft: Draft) -> None:
    """Raise unless minDiv, the denominator where all inputs are 0, is above 0 and float32 can hold its power."""
    least, power = draft["minDiv"], draft["pow"]
    draft.check(least > 0, "is out of range", "minDiv", expected="above 0", actual=least)
    right = -power * math.log2(least) < 127
    draft.check(right, f"to the power of {-power} is beyond float32", "minDiv", expected="nearer to 1", actual=least)


def derive_concat(draft: Draft) -> None:
    """Inputs stacked along units."""
    sizes = draft["numInputs"]
    draft.values["copyOffsets"] = (0, *accumulate(sizes[:-1]))
    draft.set_outputs(sum(sizes))


def derive_elementwise(draft: Draft) -> None:
    """Inputs combined unit by unit."""
    sizes = set(draft["numInputs"])
    draft.check(len(sizes) == 1, "the inputs have unequal dimensions", "inputs", actual=draft["numInputs"])
    same_outputs(draft)


def finish_eltsum(draft: Draft) -> None:
    """Read coeffs from the parameter file, where files of 2014 have them."""
    if draft.params is not None and draft.params.find("coeffs"):
        draft.read((number("coeffs", each=True),), draft.params)
        draft.tolerate("coeffs", "coeffs", draft["coeffs"])


def derive_nailbed(draft: Draft) -> None:
    """Every stride-th pixel, centred."""
    image_shape(draft)
    bounded(draft, "stride", 1, draft["imgSize"])
    outputs, start = geometry.nailbed(draft["imgSize"], draft["stride"])
    draft.values |= {"outputsX": outputs, "start": start}
    draft.set_outputs(draft["channels"] * outputs**2)


def derive_blur(draft: Draft) -> None:
    """Separable Gaussian blur."""
    same_image(draft)
    size = draft["filterSize"]
    draft.kernel_limit(size in (3, 5, 7, 9), "filterSize", "3, 5, 7 or 9", size)
    bounded(draft, "filterSize", 1, min(draft["imgSize"], 255))
    draft.check(draft["stdev"] > 0, "is out of range", "stdev", expected="above 0", actual=draft["stdev"])


def derive_resize(draft: Draft) -> None:
    """Bilinear resize by a fixed factor."""
    image_shape(draft)
    target_image(draft, math.floor(draft["imgSize"] / draft["scale"]))


def derive_rscale(draft: Draft) -> None:
    """Random rescale and crop to tgtSize; the 2011 files leave tgtSize out."""
    image_shape(draft)
    smallest = math.floor(draft["imgSize"] / draft["maxScale"])
    if draft["tgtSize"] is None:
        draft.values["tgtSize"] = smallest
        draft.tolerate("tgtSize", "tgtSize")
    bounded(draft, "tgtSize", smallest, draft["imgSize"])
    target_image(draft, draft["tgtSize"])


def derive_colours(draft: Draft) -> None:
    """Colour space conversion of three channels."""
    draft.values["channels"] = 3
    same_image(draft)


def cost(*checks: Callable[[Draft], None]) -> Callable[[Draft], None]:
    """Derive function of a cost layer: run `checks`; no outputs."""

    def derive(draft: Draft) -> None:
        draft.values["outputs"] = 0
        for check in checks:
            check(draft)

    return derive


def first_is_single(draft: Draft) -> None:
    """The first input has one value per case."""
    actual = draft["numInputs"][0]
    draft.check(actual == 1, "the first input must have one value per case", "inputs", expected=1, actual=actual)


def second_is_softmax(draft: Draft) -> None:
    """The second input is a softmax layer."""
    actual = draft.inputs[1].type
    draft.check(actual == "softmax", "the second input must be a softmax layer", "inputs", actual=actual)


def second_is_classes(draft: Draft) -> None:
    """The second input has one value per class."""
    known, actual = draft.facts.num_classes, draft["numInputs"][1]
    right = known in (None, actual)
    draft.check(right, "the second input must have one value per class", "inputs", expected=known, actual=actual)


def both_are_classes(draft: Draft) -> None:
    """Both inputs have one value per class."""
    second_is_classes(draft)
    first, second = draft["numInputs"]
    draft.check(first == second, "both inputs must have one value per class", "inputs", expected=second, actual=first)


def second_is_logistic(draft: Draft) -> None:
    """The second input should be a logistic neuron."""
    source = draft.inputs[1]
    logistic = source.values.get("neuron") in ("logistic", grammar.read_neuron("logistic"))
    draft.advise(logistic, "the second input should be a logistic neuron", "inputs", actual=source.name)


def derive_tica(draft: Draft) -> None:
    """Topographic ICA cost on square images."""
    draft.values["outputs"] = 0
    image_shape(draft)
    bounded(draft, "sizeX", 1, draft["imgSize"])


def finish_logreg(draft: Draft) -> None:
    """topk cannot exceed the number of classes."""
    bounded(draft, "topk", 1, draft["numInputs"][1])


MAX_SETS = 2**24  # classes times classes of a set: the steps, and the numbers of 8 bytes, that one case needs


def finish_msm(draft: Draft) -> None:
    """Check that the size of a set is within the number of energies."""
    draft.values["numOut"] = draft["numInputs"][1]
    bounded(draft, "setSize", 1, draft["numOut"] - 1)
    steps = draft["numOut"] * draft["setSize"]
    draft.check(steps <= MAX_SETS, "times the number of classes is too large", "setSize",
                expected=f"at most {MAX_SETS}", actual=steps)  # fmt: skip


CHANNELS = integer("channels", low=1)
COEFF = number("coeff")
NORM_KEYS = (CHANNELS, integer("size", None), flag("blocked", False))
NORM_ALSO = ("sizeX", "scale", "pow")
# Values per pixel only, no own buffers: the gradient needs neither input nor output.
STATELESS = (False, False, False)
WEIGHTED: dict[str, Any] = {
    "params": weights.WEIGHT_PARAMS, "finish": weights.finish_params, "inputs": (1, MAX_INPUTS), "needs_params": True,
    "uses": (False, True, True), "weights": True, "also": ("weightSource",),
}  # fmt: skip
FILTERED = WEIGHTED | {"also": ("weightSource", "filterChannels")}
TWO: dict[str, Any] = {"inputs": (2, 2), "needs_params": True}

LAYER_TYPES = {
    "data": LayerType(derive_data, (integer("dataIdx", low=0),), inputs=(0, 0), also=("dims",)),
    "neuron": LayerType(derive_neuron, uses=(True, True, False)),
    "fc": LayerType(weights.derive_fc, weights.FC_KEYS, **WEIGHTED),
    "treefc": LayerType(
        weights.derive_treefc, weights.WEIGHT_KEYS, **WEIGHTED | {"inputs": (1, 1), "also": ("weightSource", "tree")}
    ),
    "conv": LayerType(weights.derive_conv, weights.CONV_KEYS, **FILTERED | {"params": weights.CONV_PARAMS}),
    "local": LayerType(weights.derive_local, weights.LOCAL_KEYS, **FILTERED),
    "pool": LayerType(
        derive_pool,
        (text("pool", one_of=("max", "maxabs", "avg", "rand")), CHANNELS, integer("sizeX"), integer("stride"),
         integer("start", 0), integer("outputsX", 0, low=0)), finish=finish_pool, also=("doMax",),
    ),
    "rnorm": LayerType(derive_norm, NORM_KEYS, finish=finish_norm, needs_params=True, also=NORM_ALSO),
    "cnorm": LayerType(
        derive_norm, NORM_KEYS, finish=finish_norm, needs_params=True, uses=(True, False, True), also=NORM_ALSO
    ),
    "cmrnorm": LayerType(
        derive_cmrnorm, (CHANNELS, integer("size"), flag("blocked", False)),
        params=(number("minDiv", 1.0),), finish=finish_norm, needs_params=True, also=NORM_ALSO[1:],
    ),
    "softmax": LayerType(same_outputs),
    "concat": LayerType(derive_concat, inputs=(1, MAX_INPUTS)),
    "eltsum": LayerType(
        derive_elementwise, (number("coeffs", 1.0, each=True),), finish=finish_eltsum, inputs=(1, MAX_INPUTS),
        uses=STATELESS, also=("coeffs",),
    ),
    "eltmax": LayerType(derive_elementwise, inputs=(2, MAX_INPUTS)),
    "hs": LayerType(
        same_outputs, (number("keep", low=0, high=1),), params=(flag("enable"),), needs_params=True, uses=STATELESS
    ),
    "nailbed": LayerType(derive_nailbed, (CHANNELS, integer("stride", low=1)), uses=STATELESS),
    "blur": LayerType(derive_blur, (CHANNELS, integer("filterSize"), number("stdev")), uses=STATELESS),
    "href": LayerType(same_image, (integer("channels", low=1, high=3),)),
    "resize": LayerType(derive_resize, (CHANNELS, number("scale", low=0.5, high=2)), uses=STATELESS, gradient=False),
    "rscale": LayerType(
        derive_rscale, (CHANNELS, number("maxScale", low=1, high=2), integer("tgtSize", None, low=1)),
        uses=STATELESS, gradient=False,
    ),
    "rgb2yuv": LayerType(derive_colours, uses=STATELESS, gradient=False),
    "rgb2lab": LayerType(derive_colours, (flag("center", False),), uses=STATELESS, gradient=False),
    "cost.logreg": LayerType(
        cost(first_is_single, second_is_softmax, second_is_classes),
        params=(COEFF, integer("topk", 1)), finish=finish_logreg, **TWO,
    ),
    "cost.msm": LayerType(
        cost(first_is_single, second_is_classes),
        params=(COEFF, integer("setSize"), integer("threads", low=1, high=32)), finish=finish_msm, **TWO,
    ),
    "cost.crossent": LayerType(cost(both_are_classes, second_is_softmax), params=(COEFF,), **TWO),
    "cost.crossent2": LayerType(cost(both_are_classes, second_is_logistic), params=(COEFF,), **TWO),
    "cost.rflickr": LayerType(cost(both_are_classes, second_is_logistic), params=(COEFF,), **TWO),
    "cost.sum2": LayerType(cost(), params=(COEFF,), needs_params=True),
    "cost.gsum2": LayerType(cost(first_is_single), params=(COEFF,), **TWO),
    "cost.tica": LayerType(derive_tica, (CHANNELS, integer("sizeX", low=1)), params=(COEFF,), needs_params=True),
}  # fmt: skip

# Layer types that the release of 2012 does not have, and the nearest layer type that it has.
LAYER_TYPES_OF_2014 = {
    "sfc": "an fc layer for each part, and concat, compute the same",
    "sum": "an fc layer whose weights are 0 and 1 computes the same",
    "cmpool": "convPoolCrossMap of legacy.cudaconv is its kernel; no layer of 2012 calls it",
    "crop": "crop the data",
    "pass": "take the layer out, and name its input where it was named",
    "dropout": "hs is the dropout of 2012: it scales by keep in tests, not by 1/keep in training",
    "dropout2": "hs, with the same keys, computes the same",
    "cost.bce": "cost.crossent2 is its forerunner",
    "cost.dce": "no cost of 2012 is near",
}
