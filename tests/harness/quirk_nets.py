"""For each quirk that layers can show, a small network that does: its layers and their parameters.

A case is the text between a convolution ``conv1`` (16 maps of 8 x 8 pixels, linear) and the costs; its last layer is
``top``, which a fully-connected layer with a softmax and cost.logreg reads. Parameters are by layer.
"""

from dataclasses import dataclass, field

DATA = """
[data]
type=data
dataIdx=0
dims=192
[labels]
type=data
dataIdx=1
dims=1
"""
CONVOLUTION = """
[conv1]
type=conv
inputs=data
channels=3
filters=16
filterSize=3
padding=1
stride=1
initW=0.5
initB=0.1
partialSum=0
sharedBiases=1
"""
ABOVE = """
[fc9]
type=fc
inputs=top
outputs=10
initW=0.1
[probs]
type=softmax
inputs=fc9
[logprob]
type=cost.logreg
inputs=labels,probs
"""
RATES = "epsW=0.01\nepsB=0.02\nmomW=0.9\nmomB=0.9\nwc=0.0005\n"


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes
    ----------
    layers : str
    params : dict of str to str
        Keys of the layer-parameter file, by layer; weights have RATES.
    above, below : str
        The layers above and below.
    """

    layers: str = "[top]\ntype=eltsum\ninputs=conv1\n"
    params: dict = field(default_factory=dict)
    above: str = ABOVE
    below: str = DATA + CONVOLUTION

    def files(self):
        """Texts of the two layer files."""
        more = {"conv1": RATES, "fc9": RATES, "logprob": "coeff=1\n"} | self.params
        params = "".join(f"[{name}]\n{keys}\n" for name, keys in more.items())
        return self.below + self.layers + self.above, params


def after(layer, params=None):
    """A layer that reads conv1."""
    return Case(f"[top]\ninputs=conv1\n{layer}\n", {"top": params} if params else {})


def beside(layer, params=None, **more):
    """A layer, ``other``, that reads conv1 before another one does, and so goes backward after it; and their sum."""
    layers = f"[other]\ninputs=conv1\n{layer}\n[first]\ntype=eltsum\ninputs=conv1\ncoeffs=2\n"
    return Case(layers + "[top]\ntype=eltsum\ninputs=first,other\n", {"other": params} if params else {}, **more)


NORM = "channels=16\nsize=5"
LRN = "scale=0.5\npow=0.75\nminDiv=2"
TICA = "[tica]\ntype=cost.tica\ninputs=conv1\nchannels=16\nsizeX={}\n"
ANOTHER_COST = {"tica": "coeff=0.1"}
TARGETS = "[targets]\ntype=data\ndataIdx=2\ndims=10\n"
CROSSENT2 = "[cross]\ntype=cost.crossent2\ninputs=targets,probs\n"
MSM = "[sets]\ntype=cost.msm\ninputs=labels,fc9\n"
FEW = ABOVE.replace("outputs=10", "outputs=3").replace("initW=0.1", "initW=0.06")
MIRROR = """
[fc1]
type=fc
inputs=conv1
outputs=48
initW=0.1
[other]
type=href
inputs=fc1
channels=3
[first]
type=eltsum
inputs=fc1
[top]
type=eltsum
inputs=first,other
"""
ONE_WEIGHT = """
[flat]
type=fc
inputs=conv1
outputs=16
initW=0.1
[single]
type=conv
inputs=flat
channels=1
filters=16
filterSize=1
initW=0.1
[top]
type=eltsum
inputs=single
"""
ONE_VALUE = ABOVE + "".join(f"[{name}]\ntype=fc\ninputs=top\noutputs=1\ninitW=0.1\n" for name in ("gate", "value"))
SPARSE = """
[other]
type=conv
inputs=conv1
channels=16
filters=16
groups=4
randSparse=1
filterChannels=8
filterSize=3
padding=1
stride=2
initW=0.1
partialSum=0
sharedBiases=1
[first]
type=pool
pool=avg
inputs=conv1
channels=16
sizeX=2
stride=2
[top]
type=concat
inputs=first,other
"""
SHARED = """
[first]
type=fc
inputs=conv1
outputs=16
initW=0.05
[half]
type=eltsum
inputs=conv1
coeffs=0.5
[second]
type=fc
inputs=half
outputs=16
initW=0.05
weightSource=first
[top]
type=eltsum
inputs=first,second
"""
LOCAL = """
[top]
type=local
inputs=data
channels=3
filters=192
filterSize=3
stride=3
initW=0.1
"""
PICTURES = """
[small]
inputs=data
channels=3
{}
[top]
type=conv
inputs=small
channels=3
filters=16
filterSize=3
stride=2
initW=0.01
partialSum=0
sharedBiases=1
"""


def pictures(layer):
    """A layer on the data, with a convolution above it."""
    return Case(PICTURES.format(layer), {"top": RATES}, below=DATA)


RECTIFIED = "[relu]\ntype=neuron\ninputs=conv1\nneuron=relu\n"
POOL = "channels=16\nsizeX=3\nstride=2"
DROPOUT = "type=hs\nkeep=0.75"

CASES = {
    "norm-undo-add-inverted": beside("type=rnorm\nchannels=16\nsize=7", LRN),
    "local-norm-block-offset": Case(LOCAL, {"top": RATES + "wball=0.01"}, below=DATA),
    "crossent2-sign": Case(above=ABOVE + TARGETS + CROSSENT2, params={"cross": "coeff=0.01"}),
    "tica-accumulate-root": Case(TICA.format(3) + Case.layers, ANOTHER_COST),
    "tica-window-not-mirrored": Case(TICA.format(4) + Case.layers, ANOTHER_COST),
    "cnorm-ignores-means": after(f"type=cnorm\n{NORM}", params=LRN),
    "super-eps-mean-not-squared": Case(params={"fc9": RATES + "superEps=1"}),
    "conv-oversample-overwrites": Case(SPARSE, {"other": RATES}),
    "href-overwrites": Case(MIRROR, {"fc1": RATES}),
    "one-row-vectors": Case(ONE_WEIGHT, {"flat": RATES, "single": RATES + "wball=0.05"}),
    "one-row-vectors, gsum2": Case(
        above=ONE_VALUE + "[gated]\ntype=cost.gsum2\ninputs=gate,value\n",
        params={"gate": RATES, "value": RATES, "gated": "coeff=0.1"},
    ),
    "resize-clamp": pictures("type=resize\nscale=0.75"),
    "lab-exponent": pictures("type=rgb2lab"),
    "msm-log-shortcuts": Case(above=FEW + MSM, params={"sets": "coeff=1\nsetSize=1\nthreads=1"}),
    "softrelu-gradient-at-output": after("type=neuron\nneuron=softrelu"),
    "shared-fc-overwrites": Case(SHARED, {"first": RATES, "second": RATES}),
    "conv-ceil-geometry": after(
        "type=conv\nchannels=16\nfilters=16\nfilterSize=3\nstride=2\ninitW=0.1\npartialSum=0\nsharedBiases=1",
        params=RATES,
    ),
    "lrn-alpha-over-size": after(f"type=cmrnorm\n{NORM}", params=LRN),
    "lrn-k-from-file": after(f"type=cmrnorm\n{NORM}", params=LRN),
    "norm-before-relu": beside(f"type=cmrnorm\n{NORM}", LRN),
    "pool-ceil": after(f"type=pool\npool=max\n{POOL}"),
    "gradient-ascent": Case(),
    "bias-rate": Case(),
    "wball-times-size": Case(params={"conv1": RATES + "wball=0.01"}),
    "wcnorm-over-count": Case(params={"conv1": RATES + "wcNormMin=0.05\nwcNormMax=0.06"}),
    "max-ties-full": Case(RECTIFIED + f"[top]\ntype=pool\npool=max\ninputs=relu\n{POOL}\n"),
    "max-ties-full, eltmax": Case(
        "[zeros]\ntype=eltsum\ninputs=conv1\ncoeffs=0\n" + RECTIFIED + "[top]\ntype=eltmax\ninputs=relu,zeros\n"
    ),
    "avg-pool-clipped-area": after(f"type=pool\npool=avg\n{POOL}"),
    "dropout-scales-in-test": after(DROPOUT, params="enable=true"),
    "dropout-disabled-scales": after(DROPOUT, params="enable=false"),
    "decay-in-momentum": Case(),
    "rate-in-momentum": Case(),
    "softrelu-cut": after("type=neuron\nneuron=softrelu"),
    "abs-slope-at-zero": Case(RECTIFIED + "[top]\ntype=neuron\ninputs=relu\nneuron=abs\n"),
    "yuv-coefficients": pictures("type=rgb2yuv"),
    "nrelu-noise-is-activation": after("type=neuron\nneuron=nrelu"),
}
"""By the name of a quirk, or that and more after a comma."""
