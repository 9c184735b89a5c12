"""For each quirk that layers can show, a small network that does.

Its layers stand between a convolution ``conv1`` (16 maps of 8 x 8 pixels, linear) and the costs; the last of them is
``top``, which a fully-connected layer with a softmax and cost.logreg reads.
"""

from small_nets import RATES

from alexnet_rosetta.harness.network.net import Net

CONVOLUTION = {
    "channels": 3, "filters": 16, "filterSize": 3, "padding": 1, "stride": 1, "initW": 0.5, "initB": 0.1,
    "partialSum": 0, "sharedBiases": 1,
}  # fmt: skip
ON_MAPS = {"channels": 16, "filters": 16, "filterSize": 3, "initW": 0.1, "partialSum": 0, "sharedBiases": 1}
NORM = {"channels": 16, "size": 5}
LRN = {"scale": 0.5, "pow": 0.75, "minDiv": 2}
POOL = {"channels": 16, "sizeX": 3, "stride": 2}


def below(**rates):
    """The data, the labels and the convolution, which may have other rates."""
    return Net(192, labels=1).add("conv1", "conv", "data", RATES | rates, **CONVOLUTION)


def plain(net, inputs="conv1"):
    """With a ``top`` that changes nothing."""
    return net.add("top", "eltsum", inputs)


def above(net, outputs=10, scale=0.1, **rates):
    """With the classes and their cost."""
    return net.add("fc9", "fc", "top", RATES | rates, outputs=outputs, initW=scale).softmax_cost("fc9", coeff=1)


def after(kind, params=None, **keys):
    """A layer that reads conv1."""
    return above(below().add("top", kind, "conv1", params, **keys))


def beside(kind, params=None, **keys):
    """A layer, ``other``, that reads conv1 before another one does, and so goes backward after it; and their sum."""
    net = below().add("other", kind, "conv1", params, **keys).add("first", "eltsum", "conv1", coeffs=2)
    return above(plain(net, "first,other"))


def pictures(kind, **keys):
    """A layer on the data, with a convolution above it."""
    convolution = CONVOLUTION | {"padding": 0, "stride": 2, "initW": 0.01, "initB": 0}
    net = Net(192, labels=1).add("small", kind, "data", channels=3, **keys)
    return above(net.add("top", "conv", "small", RATES, **convolution))


def tica(size):
    """A second cost on conv1."""
    return above(plain(below().add("tica", "cost.tica", "conv1", {"coeff": 0.1}, channels=16, sizeX=size)))


def rectified():
    """The convolution, and a relu on it."""
    return below().add("relu", "neuron", "conv1", neuron="relu")


def fc(net, name, inputs, outputs, scale, **keys):
    """A full connection that learns."""
    return net.add(name, "fc", inputs, RATES, outputs=outputs, initW=scale, **keys)


LOCAL = {"channels": 3, "filters": 192, "filterSize": 3, "stride": 3, "initW": 0.1}
MIRROR = fc(below(), "fc1", "conv1", 48, 0.1).add("other", "href", "fc1", channels=3).add("first", "eltsum", "fc1")
ONE_WEIGHT = fc(below(), "flat", "conv1", 16, 0.1).add(
    "single", "conv", "flat", RATES | {"wball": 0.05}, channels=1, filters=16, filterSize=1, initW=0.1
)
SPARSE = (
    below()
    .add("other", "conv", "conv1", RATES, **ON_MAPS, groups=4, randSparse=1, filterChannels=8, padding=1, stride=2)
    .add("first", "pool", "conv1", pool="avg", channels=16, sizeX=2, stride=2)
    .add("top", "concat", "first,other")
)
SHARED = fc(below(), "first", "conv1", 16, 0.05).add("half", "eltsum", "conv1", coeffs=0.5)
GATED = above(plain(below()))
for unit in ("gate", "value"):
    fc(GATED, unit, "top", 1, 0.1)

CASES = {
    "norm-undo-add-inverted": beside("rnorm", LRN, channels=16, size=7),
    "local-norm-block-offset": above(Net(192, labels=1).add("top", "local", "data", RATES | {"wball": 0.01}, **LOCAL)),
    "crossent2-sign": above(plain(below()))
    .add("targets", "data", dataIdx=2, dims=10)
    .add("cross", "cost.crossent2", "targets,probs", {"coeff": 0.01}),
    "tica-accumulate-root": tica(3),
    "tica-window-not-mirrored": tica(4),
    "cnorm-ignores-means": after("cnorm", LRN, **NORM),
    "super-eps-mean-not-squared": above(plain(below()), superEps=1),
    "conv-oversample-overwrites": above(SPARSE),
    "href-overwrites": above(plain(MIRROR, "first,other")),
    "one-row-vectors": above(plain(ONE_WEIGHT, "single")),
    "one-row-vectors, gsum2": GATED.add("gated", "cost.gsum2", "gate,value", {"coeff": 0.1}),
    "resize-clamp": pictures("resize", scale=0.75),
    "lab-exponent": pictures("rgb2lab"),
    "msm-log-shortcuts": above(plain(below()), outputs=3, scale=0.06).add(
        "sets", "cost.msm", "labels,fc9", {"coeff": 1, "setSize": 1, "threads": 1}
    ),
    "softrelu-gradient-at-output": after("neuron", neuron="softrelu"),
    "shared-fc-overwrites": above(plain(fc(SHARED, "second", "half", 16, 0.05, weightSource="first"), "first,second")),
    "conv-ceil-geometry": after("conv", RATES, **ON_MAPS, stride=2),
    "lrn-alpha-over-size": after("cmrnorm", LRN, **NORM),
    "lrn-k-from-file": after("cmrnorm", LRN, **NORM),
    "norm-before-relu": beside("cmrnorm", LRN, **NORM),
    "pool-ceil": after("pool", pool="max", **POOL),
    "gradient-ascent": above(plain(below())),
    "bias-rate": above(plain(below())),
    "wball-times-size": above(plain(below(wball=0.01))),
    "wcnorm-over-count": above(plain(below(wcNormMin=0.05, wcNormMax=0.06))),
    "max-ties-full": above(rectified().add("top", "pool", "relu", pool="max", **POOL)),
    "max-ties-full, eltmax": above(
        below()
        .add("zeros", "eltsum", "conv1", coeffs=0)
        .add("relu", "neuron", "conv1", neuron="relu")
        .add("top", "eltmax", "relu,zeros")
    ),
    "avg-pool-clipped-area": after("pool", pool="avg", **POOL),
    "dropout-scales-in-test": after("hs", {"enable": "true"}, keep=0.75),
    "dropout-disabled-scales": after("hs", {"enable": "false"}, keep=0.75),
    "decay-in-momentum": above(plain(below())),
    "rate-in-momentum": above(plain(below())),
    "softrelu-cut": after("neuron", neuron="softrelu"),
    "abs-slope-at-zero": above(rectified().add("top", "neuron", "relu", neuron="abs")),
    "yuv-coefficients": pictures("rgb2yuv"),
    "nrelu-noise-is-activation": after("neuron", neuron="nrelu"),
}
"""By the name of a quirk, or that and more after a comma."""
