"""Defects of the historical code: on reproduces them, off computes what was meant."""

from .quirk import Quirk


def _both(name: str, title: str, text: str, source: str, *layers: str, releases: str, legacy: bool = True) -> Quirk:
    return Quirk(name, "defect", title, text, source, layers, releases, legacy=legacy, port=False)


def _entry_points(name: str, title: str, text: str, source: str, releases: str) -> Quirk:
    return Quirk(name, "defect", title, text, source, (), releases, legacy=True)


DEFECTS = (
    _both(
        "norm-undo-add-inverted",
        "same-map norm gradients with windows of 6 or more replace earlier contributions",
        "The host passes the add flag of kRNormUndo2 inverted. Where the gradient of an output is summed over several "
        "consumers and a rnorm or cnorm layer with size >= 6 is not the first of them, what the others sent before is "
        "lost; the plain call reads the target and multiplies it by 0, so that NaN in fresh memory survives. Off: the "
        "flag is passed as it is for smaller windows.",
        "pool-norm 2.4, H1; recorded-kernels Q10",
        "rnorm",
        "cnorm",
        releases="on (on) on",
    ),
    _both(
        "local-norm-block-offset",
        "the norm bound of local layers skips some filters",
        "normalizeLocalWeights leaves the filters per thread out of the first filter of a block. With 192, 256, 320, "
        "384, 512 ... filters the last ones are never bounded, and a middle range is handled by two blocks (here: one "
        "after the other, since a race has no result to reproduce). 64, 128 and numbers with one filter per thread "
        "are right. Off: every filter is bounded once.",
        "pool-norm 4.1, H2",
        "local",
        releases="on (on) on",
    ),
    _both(
        "crossent2-sign",
        "the separate gradient of cost.crossent2 adds where it should subtract",
        "Where the cost does not go backward in one step with a logistic neuron below it, its gradient is "
        "coeff (t/y + (1-t)/(1-y)). Off: coeff (t/y - (1-t)/(1-y)), the derivative.",
        "network-and-solver 7.3; pool-norm H10",
        "cost.crossent2",
        releases="- on off",
    ),
    _both(
        "tica-accumulate-root",
        "the gradient of cost.tica takes a root where it is added",
        "With scaleTarget 0 the gradient is -x times the window's sum of reciprocals; where it is added to an earlier "
        "contribution, -x times the root of that sum. Off: no root.",
        "network-and-solver 7.7; pool-norm 5, 12.4, H9",
        "cost.tica",
        releases="on (on) -",
    ),
    _both(
        "tica-window-not-mirrored",
        "the gradient of cost.tica sums over the wrong window for even sizes",
        "The gradient of a pixel sums over its own window, not over the windows that hold the pixel. The two differ "
        "for even sizeX only. Off: the mirrored window.",
        "network-and-solver 7.7; pool-norm 5, 12.4, H9",
        "cost.tica",
        releases="on (on) -",
    ),
    _both(
        "cnorm-ignores-means",
        "the gradient of contrast normalisation leaves out how the local means depend on the image",
        "Backward is the response-norm gradient with the differences U in the place of the images, as if the means "
        "were constants. Off: the contribution of U is also passed back through the averages, which makes it the "
        "derivative of the forward pass.",
        "network-and-solver 6.9; pool-norm 2.3, 2.4",
        "cnorm",
        releases="on on on",
    ),
    _both(
        "super-eps-mean-not-squared",
        "superEps subtracts the mean gradient under the root, not its square",
        "With superEps the step is divided by the root of Q - A + superEps, A and Q being running means of G and G². "
        "The comment says squared. The root can become NaN. Off: Q - A² + superEps, a running variance.",
        "network-and-solver 8.6, 16; config-format 16.2, 16.3",
        "fc",
        "conv",
        "local",
        releases="- on -",
    ),
    _both(
        "conv-oversample-overwrites",
        "the input gradient of a sparse convolution with overSample > 1 replaces earlier contributions",
        "The samples are summed over by an operation that overwrites. Where the input has other consumers that went "
        "first, their contributions are lost. Off: they are added to.",
        "network-and-solver 6.3, 16; config-format 15",
        "conv",
        "local",
        releases="? on -",
    ),
    _both(
        "href-overwrites",
        "the gradient of a mirror layer replaces earlier contributions",
        "The backward step of href calls the mirroring operation, which knows no scales: it overwrites. Wrong if the "
        "input has another consumer that went first. Off: added.",
        "network-and-solver 6.15; pool-norm 3.7, H16",
        "href",
        releases="- on on",
    ),
    _both(
        "one-row-vectors",
        "a matrix of one row takes the first value of a row vector for all of its columns",
        "Vectors are broadcast over matrices by their shape, columns first, so that a row vector over a single row is "
        "taken for a column. With filters of one weight (one channel, 1 x 1) wball scales all of them like the "
        "first, and cost.gsum2 over a single value gates all cases like the first. Off: every column has its own.",
        "pool-norm 9.3, H14",
        "conv",
        "cost.gsum2",
        releases="on (on) off",
    ),
    _both(
        "resize-clamp",
        "bilinear resizing stops at imgSize - 1.01",
        "Source coordinates are clamped to imgSize - 1.01, so that the four pixels around always exist. The last row "
        "and column are then never reached: a resize by 1 gives 0.99 of the last pixel and 0.01 of the one before. "
        "Off: clamped to imgSize - 1.",
        "network-and-solver 6.15; pool-norm 3.3",
        "resize",
        "rscale",
        releases="on (on) on",
    ),
    _both(
        "lab-exponent",
        "LAB takes the power 0.3333 for the cube root",
        "In the part above 0.0088564517; it does not quite meet the linear part below. Off: 1/3.",
        "network-and-solver 6.15; pool-norm 3.6",
        "rgb2lab",
        releases="on (on) on",
    ),
    _both(
        "msm-log-shortcuts",
        "cost.msm adds logarithms with short cuts",
        "log(e^a + e^b) is taken as the larger one where they are more than 15 apart, and as the larger one plus "
        "e^-d where d, their distance, is more than 5: off by up to 2e-5. Off: exact to rounding.",
        "network-and-solver 13; pool-norm 7.9",
        "cost.msm",
        releases="- on -",
    ),
    _both(
        "softrelu-gradient-at-output",
        "the slope of softrelu is taken at the output",
        "The 2011 code evaluates e^x/(1+e^x) at the output in the place of the input: too large a gradient. The "
        "release of 2012 has it right, so a network leaves it off; the entry point with generation=2011 has it on.",
        "pool-norm 8, H3; recorded-kernels Q30",
        "neuron",
        legacy=False,
        releases="on off off",
    ),
    _both(
        "shared-fc-overwrites",
        "a second sharer of fc or local weights replaces the gradient of the first",
        "In the 2011 code all but the last contribution to the momentum buffer of a shared matrix are lost. The "
        "release of 2012 adds them, so a network leaves it off.",
        "network-and-solver 8.3, 16",
        "fc",
        "local",
        legacy=False,
        releases="on off ?",
    ),
    _entry_points(
        "sparse-short-overloads",
        "short overloads of the sparse weight gradients leave the target as it is",
        "convWeightActsSparse and localWeightActsSparse without scales shift their arguments: they run with "
        "(partialSum, scaleTargets, scaleOutput) = (0, 1, 0) and (1, 1, 0), which adds nothing. Off: 0, 0, 1 and 1, 0, "
        "1, the gradient.",
        "conv-kernels 2.7, 2.8, 7.8; recorded-kernels Q7",
        releases="on on ?",
    ),
    _entry_points(
        "cmpool-undo-truncation",
        "the cross-map max-pooling gradient of 2014 misses output 0 for some maps",
        "The first output over map f is max(0, (f - startF - poolSize)/stride + 1) with C division, which rounds "
        "towards zero: with stride > 1 the maps with 0 < startF + poolSize - f < stride get nothing from output 0. "
        "Off: rounded down.",
        "pool-norm 1.5, H6; recorded-kernels Q26",
        releases="- - on",
    ),
    _entry_points(
        "nails-start-ignored",
        "bed of nails counts its outputs as if it began at pixel 0",
        "The outputs per side are ceil(imgSize/stride) wherever it starts; the last samples then wrap into the next "
        "row or map and beyond the buffer, and the gradient writes there. Calls that would do so are refused. No "
        "layer file leads there: the parser centres the samples. Off: ceil((imgSize - startX)/stride) outputs.",
        "pool-norm 3.2; recorded-kernels Q20",
        releases="on (on) on",
    ),
    _entry_points(
        "nails-undo-never-adds",
        "the bed-of-nails gradient refuses a target to add to",
        "With scaleTargets other than 0 it compares the image with the number of outputs, and always fails. Off: "
        "target = scaleTargets target + scaleOutput gradient.",
        "pool-norm 3.2, H7; recorded-kernels Q20",
        releases="on (on) on",
    ),
    _entry_points(
        "blur-last-tap",
        "blur never reads the last tap of its filter",
        "Pixels right of the first ones are weighted by the mirrored filter, and tap 0 stands in for the last tap: "
        "only symmetric filters give a blur. Layers make symmetric ones. Off: a correlation with all taps.",
        "pool-norm 3.1; recorded-kernels Q19",
        releases="on (on) on",
    ),
    _entry_points(
        "undo-pair-test",
        "pooling and norm gradients read a target that counts for nothing",
        "They overwrite only for scaleTargets 0 with scaleOutput 1. With another scaleOutput they compute 0 target + "
        "scaleOutput gradient: NaN where the target is not finite. Off: a target scaled by 0 is not read.",
        "pool-norm 0.3; recorded-kernels Q9",
        releases="on (on) on",
    ),
    _entry_points(
        "undo-2014-ignores-scale",
        "two gradients of 2014 ignore scaleOutput where they overwrite",
        "The cross-map max-pooling gradient and the same-map norm gradient with windows under 6 apply scaleOutput "
        "only where they add to the target. Off: always.",
        "pool-norm 0.3, H18; recorded-kernels Q26",
        releases="off (off) on",
    ),
)
