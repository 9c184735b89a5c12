"""Conventions in which frameworks differ: on is what the engine of 2012 does, off what others do."""

from typing import Any

from .quirk import Quirk


def _both(name: str, title: str, text: str, source: str, *layers: str, **more: Any) -> Quirk:
    return Quirk(name, "convention", title, text, source, layers, legacy=True, port=True, **more)


def _values(name: str, title: str, text: str, source: str, *layers: str, **more: Any) -> Quirk:
    return _both(name, title, text, source, *layers, values=True, **more)


_WEIGHTED = ("fc", "conv", "local", "treefc")
_NORMS = ("cmrnorm", "rnorm", "cnorm")

CONVENTIONS = (
    _values(
        "conv-ceil-geometry",
        "the last filter position may stick out over the right and bottom edge",
        "modulesX = 1 + ceil((2 padding + imgSize - filterSize)/stride): 224 pixels, filter 11, stride 4 and no "
        "padding give 55, with 3 rows of zeros at the far edge. Frameworks round down; to get 55 from 224 they pad 2 "
        "pixels all around, which shifts every filter position. Off: the smallest padding with which rounding down "
        "gives the same number of positions. Layers whose positions fit exactly do not change.",
        "config-format 6 (conv), 16.3; network-and-solver 15; recorded-kernels Q2",
        "conv",
        "local",
        releases="on on on",
    ),
    _values(
        "lrn-alpha-over-size",
        "the scale of a normalisation is divided by the size of its window",
        "The parser divides scale by size (cmrnorm) or size² (rnorm, cnorm): the file's 1e-4 is an effective 2e-5. "
        "The paper's formula, and some frameworks, have no division. Off: the file's value as it is.",
        "network-and-solver 6.7, 6.8, 15; pool-norm 2.1",
        *_NORMS,
        releases="on on on",
    ),
    _values(
        "lrn-k-from-file",
        "the constant of the normalisation's denominator is minDiv",
        "D = minDiv + alpha sum of squares; the 2012 networks say 2, as the paper's k. The code of 2011 has the "
        "constant 1, which is also what several frameworks take unless told. Off: 1.",
        "network-and-solver 6.8; pool-norm 2.1, 12.4",
        "cmrnorm",
        releases="off on on",
        optional=2012,
    ),
    _values(
        "norm-before-relu",
        "normalisation sees the linear outputs of a convolution",
        "The 2012 network file normalises the linear output of conv1, pools, then applies relu. In the paper, and in "
        "most rebuilds, relu comes first; maximum and relu commute, normalisation and relu do not. Off: a "
        "normalisation that reads a convolution without relu sees its outputs through relu, and its gradient goes "
        "back through it.",
        "network-and-solver 15",
        *_NORMS,
        needs_isolation=True,
        releases="? on ?",
    ),
    _values(
        "pool-ceil",
        "pooling windows may stick out over the far edge",
        "outputsX = ceil((imgSize - start - sizeX)/stride) + 1, windows clipped at the border. Frameworks round down "
        "unless told, which drops the last row and column: 32 pixels, 3/2 give 16 here and 15 there. Off: where "
        "that changes the number of outputs the tensors have another shape, and are reported so.",
        "config-format 6 (pool); pool-norm 1.1",
        "pool",
        needs_isolation=True,
        releases="on on on",
        optional=2011,
    ),
    _values(
        "gradient-ascent",
        "gradients are those of minus the cost",
        "Training ascends: there is no minus sign in the update, it is in the seeds of the cost layers. Frameworks "
        "compute gradients of the cost and subtract. Off: the seeds have the other sign.",
        "network-and-solver 3, 16; pool-norm 0.3",
        "softmax",
        "cost.logreg",
        "cost.crossent",
        "cost.crossent2",
        "cost.msm",
        "cost.sum2",
        "cost.gsum2",
        "cost.rflickr",
        "cost.tica",
        "neuron",
        releases="on on on",
    ),
    _values(
        "bias-rate",
        "biases have a learning rate of their own",
        "epsB, in the 2012 networks twice epsW. Frameworks give biases the rate of the weights unless told. Off: the "
        "rate of the first weight matrix.",
        "network-and-solver 8.2, 8.7; config-format 7.1, 16.3",
        *_WEIGHTED,
        releases="? on on",
        optional=2012,
    ),
    _values(
        "wball-times-size",
        "the norm bound of a filter grows with its number of weights",
        "A filter is held to the norm wball times weights per filter. In 2014, as in other max-norm constraints, "
        "wball is the norm. Off: not multiplied.",
        "network-and-solver 8.4; config-format 16.3",
        "fc",
        "conv",
        "local",
        releases="- on off",
    ),
    _values(
        "wcnorm-over-count",
        "the contrast of a filter is divided by its number of weights",
        "a = root of the sum of (w - mean)², over F, not over the root of F: the deviation over the root of F. "
        "The limits wcNormMin and wcNormMax are tuned to that. Off: the standard deviation.",
        "network-and-solver 8.5, 16; config-format 16.2; pool-norm 4.2",
        "conv",
        releases="- on on",
    ),
    _both(
        "max-ties-full",
        "every element that ties for a maximum gets the whole gradient",
        "The gradient of pooling and of the elementwise maximum compares values with the maximum. Frameworks pick "
        "one: off, the first in scan order (pooling), the first input (eltmax). Ties are common above relu, where "
        "windows are all zero.",
        "network-and-solver 6.6, 6.13, 16; pool-norm 1.2, 7.6",
        "pool",
        "eltmax",
        releases="on on on",
    ),
    _both(
        "avg-pool-clipped-area",
        "average pooling divides by the pixels inside the image",
        "Windows that stick out have fewer. Frameworks that count padding divide by sizeX² everywhere: off.",
        "network-and-solver 6.6; pool-norm 1.1",
        "pool",
        releases="on on on",
    ),
    _both(
        "dropout-scales-in-test",
        "dropout does not rescale in training, but scales by keep otherwise",
        "Frameworks divide by keep in training and do nothing in tests (inverted dropout, also the G14 layer dropout): "
        "off.",
        "network-and-solver 6.14; pool-norm 10.2",
        "hs",
        releases="- on on",
        optional=2014,
    ),
    _both(
        "dropout-disabled-scales",
        "a dropout layer with enable=false still scales by keep",
        "Also in training. Off: a disabled layer copies.",
        "network-and-solver 6.14, 16; pool-norm 10.2",
        "hs",
        releases="- on on",
        optional=2014,
    ),
    _both(
        "decay-in-momentum",
        "weight decay enters the momentum buffer",
        "inc = mom inc + eps grad - eps wc W. Decoupled decay shrinks the weights directly: off, inc = mom inc + "
        "eps grad and W = (1 - eps wc) W + inc.",
        "network-and-solver 8.2, 16",
        *_WEIGHTED[:3],
        releases="? on ?",
    ),
    _both(
        "rate-in-momentum",
        "the momentum buffer holds steps, not gradients",
        "inc = mom inc + eps grad, W = W + inc. Other frameworks keep inc = mom inc + grad and take the rate outside, "
        "W = W + eps inc: the same while the rate is constant, but for what the buffer holds. Off: that.",
        "network-and-solver 8.2",
        *_WEIGHTED[:3],
        releases="? on ?",
    ),
    _both(
        "softrelu-cut",
        "softrelu is the identity above 4",
        "log(1 + e^x) up to 4, x above: a jump of 0.018, and slope 1. Off: log(1 + e^x) everywhere, in a form that "
        "cannot overflow.",
        "network-and-solver 6.5, 16; pool-norm 8; recorded-kernels Q30",
        "neuron",
        releases="on on on",
    ),
    _both(
        "abs-slope-at-zero",
        "the slope of abs at 0 is -1",
        "Frameworks take 0: off. The slopes of relu and brelu at their kinks are 0 everywhere.",
        "network-and-solver 6.5; pool-norm 8",
        "neuron",
        releases="on on on",
    ),
    _both(
        "yuv-coefficients",
        "rgb2yuv has the coefficients of high-definition television",
        "Y = .2126 R + .7152 G + .0722 B and so on (BT.709). Image libraries mostly take those of BT.601, "
        "Y = .299 R + .587 G + .114 B: off.",
        "network-and-solver 6.15; pool-norm 3.5",
        "rgb2yuv",
        releases="on (on) on",
    ),
    _both(
        "nrelu-noise-is-activation",
        "the noise of nrelu has the activation as its standard deviation",
        "The stated intent is a variance equal to the activation, as in the literature on noisy rectifiers; the noise "
        "is there in tests too. Off: the standard deviation is the root of the activation.",
        "network-and-solver 6.5; pool-norm 8, 12.4",
        "neuron",
        releases="- on -",
    ),
)
