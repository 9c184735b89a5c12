"""Acceptance rules that others have published, each as a score: a result is accepted while its score is at most 1.

To add one, write a function of an `EngineTensor` with its name and source. Where a rule has a constant, the score is
what the rule measures, over that constant; so other constants can be tried afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

U = 2.0**-24
EPS = 2.0**-23
Array = np.ndarray


@dataclass(frozen=True)
class EngineTensor:
    """One tensor of one engine."""

    x: Array  # the engine's, float64 (each the value of a float32; of a float64 for costs)
    r: Array  # the reference, float64
    # magnitude, terms: M and n of every element (docs/verdict.md)
    magnitude: Array
    terms: Array
    peer: Array  # the same tensor of an engine that is known to be correct, for rules that ask for one

    @cached_property
    def error(self) -> Array:
        """|x − r|."""
        return np.abs(self.x - self.r)

    @cached_property
    def spacing(self) -> Array:
        """The distance of float32 numbers at r."""
        return np.spacing(np.abs(self.r).astype(np.float32)).astype(np.float64)


Score = Callable[[EngineTensor], float]
RULES: dict[str, tuple[str, Score]] = {}


def rule(name: str, source: str) -> Callable[[Score], Score]:
    """Enter a rule under its name, with its source."""

    def enter(score: Score) -> Score:
        RULES[name] = (source, score)
        return score

    return enter


def worst(error: Array, allowed: Array | float) -> float:
    """The largest error over what is allowed; infinite where nothing is allowed and something is wrong."""
    share = np.where(error == 0, 0.0, np.divide(error, np.where(allowed == 0, 1.0, allowed)))
    share = np.where((error > 0) & (np.asarray(allowed) == 0), np.inf, share)
    top = float(share.max(initial=0.0))
    return top if top == top else np.inf


def close(case: EngineTensor, rtol: float, atol: float) -> float:
    """|x − r| against atol + rtol |r|, element by element."""
    return worst(case.error, atol + rtol * np.abs(case.r))


def typed(name: str, rtol: float, atol: float, source: str) -> None:
    """Enter a rule of one relative and one absolute tolerance."""
    rule(name, source)(lambda case: close(case, rtol, atol))


def norm(array: Array) -> float:
    """The 2-norm of all elements."""
    return float(np.linalg.norm(array.ravel()))


def over(a: float, b: float) -> float:
    """a / b; 0 / 0 is 0."""
    return 0.0 if a == 0 else np.inf if b == 0 or a != a else a / b


def cosine(a: Array, b: Array) -> float:
    """The cosine between two tensors; 1 if both are zero."""
    a, b = a.ravel(), b.ravel()
    size = norm(a) * norm(b)
    return float(a @ b) / size if size else float(norm(a) == norm(b))


OURS = "this project"


@rule(OURS, "docs/verdict.md: 8 √n u M, and n smallest normal numbers")
def _ours(case: EngineTensor) -> float:
    bound = 8 * U * np.sqrt(case.terms) * case.magnitude
    return worst(case.error, bound + case.terms * 2.0**-126 * ((case.magnitude > 0) | (case.r != 0)))


@rule("worst case n u M", "Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1")
def _higham(case: EngineTensor) -> float:
    return worst(case.error, case.terms * U * case.magnitude)


@rule("BLAS testers", "lapack BLAS/TESTING/sblat3.f, SMMCH: 16 ε Σ|a||b|")
def _smmch(case: EngineTensor) -> float:
    return worst(case.error, 16 * EPS * case.magnitude)


@rule("benchdnn LRN", "oneDNN tests/benchdnn/lrn: 3 n ε, relative, absolute below 1e-5")
def _benchdnn(case: EngineTensor) -> float:
    return worst(case.error, 3 * case.terms * EPS * np.where(np.abs(case.r) > 1e-5, np.abs(case.r), 1.0))


@rule("BLIS", "blis testsuite, float: residual of the whole, 1e-5 to pass")
def _blis(case: EngineTensor) -> float:
    return over(norm(case.x - case.r), norm(case.r)) / 1e-5


@rule("the same bits", "any hash of a tensor, as msprobe's statistics mode")
def _bits(case: EngineTensor) -> float:
    return 0.0 if (case.x == case.r.astype(np.float32)).all() else np.inf


typed("NumPy allclose", 1e-5, 1e-8, "numpy.allclose, defaults")
typed("NumPy assert_allclose", 1e-7, 0, "numpy.testing.assert_allclose, defaults")
typed("NumPy almost equal", 0, 1.5e-6, "numpy.testing.assert_array_almost_equal, decimal=6")
typed("PyTorch assert_close", 1.3e-6, 1e-5, "torch.testing.assert_close, float32")
typed("PyTorch gradcheck", 1e-3, 1e-5, "torch.autograd.gradcheck, defaults")
typed("TensorFlow", 1e-6, 1e-6, "tf.test.TestCase.assertAllClose, defaults")
typed("Polygraphy", 1e-5, 1e-5, "polygraphy run, defaults")
typed("ONNX backend tests", 1e-3, 1e-7, "onnx.backend.test, defaults")
typed("nnsmith", 1e-2, 1e-3, "nnsmith difftest, defaults")
typed("pytest approx", 1e-6, 1e-12, "pytest.approx, defaults")
typed("ICON4Py", 3e-6, 0, "icon4py, its global tolerance")
typed("llm.c", 0, 1e-2, "llm.c test_gpt2: logits")


@rule("Google Test", "EXPECT_FLOAT_EQ: 4 units in the last place")
def _gtest(case: EngineTensor) -> float:
    return worst(case.error, 4 * case.spacing)


@rule("one ULP", "numpy.testing.assert_array_max_ulp, default")
def _ulp(case: EngineTensor) -> float:
    return worst(case.error, case.spacing)


@rule("NDSL multi-modal", "ndsl MultiModalFloatMetric, float32: 1e-10, or 1e-6 of the value, or one ULP")
def _ndsl(case: EngineTensor) -> float:
    return worst(case.error, np.maximum(np.maximum(1e-10, 1e-6 * np.abs(case.r)), case.spacing))


@rule("CUTLASS", "cutlass relatively_equal, profiler: 0.05 of the sum, floor 1/256")
def _cutlass(case: EngineTensor) -> float:
    size = np.abs(case.x) + np.abs(case.r)
    return worst(case.error, 0.05 * np.where((case.x == 0) | (case.r == 0) | (size < 2.0**-8), 2.0**-8, size))


@rule("Caffe", "caffe GradientChecker: 1e-3 of the larger, or of 1")
def _caffe(case: EngineTensor) -> float:
    return worst(case.error, 1e-3 * np.maximum(1, np.maximum(np.abs(case.x), np.abs(case.r))))


@rule("cs231n", "cs231n notes, gradient checks: 1e-4 of the larger")
def _cs231n(case: EngineTensor) -> float:
    return worst(case.error, 1e-4 * np.maximum(1e-8, np.maximum(np.abs(case.x), np.abs(case.r))))


@rule("cosine 0.99", "torch._dynamo.utils.same, cosine_similarity=True")
def _cosine(case: EngineTensor) -> float:
    return (1 - cosine(case.x, case.r)) / 0.01


@rule("TPU-MLIR", "tpu-mlir npz_tool compare: cosine 0.99 and Euclidean similarity 0.99")
def _mlir(case: EngineTensor) -> float:
    return max(_cosine(case), over(norm(case.x - case.r), norm((case.x + case.r) / 2)) / 0.01)


@rule("SGLang", "sglang dump comparator: one relative distance of 1e-3")
def _sglang(case: EngineTensor) -> float:
    size = norm(case.x) ** 2 + norm(case.r) ** 2
    return over(norm(case.x - case.r) ** 2, size) / 1e-3


@rule("ggml", "ggml test-backend-ops: normalised mean square error of 1e-7")
def _ggml(case: EngineTensor) -> float:
    return over(norm(case.x - case.r) ** 2, norm(case.r) ** 2) / 1e-7


@rule("Eigen", "Eigen isApprox, float: 1e-5 of the smaller norm")
def _eigen(case: EngineTensor) -> float:
    return over(norm(case.x - case.r), min(norm(case.x), norm(case.r))) / 1e-5


@rule("Julia", "Julia isapprox, Float32: √ε of the larger norm")
def _julia(case: EngineTensor) -> float:
    return over(norm(case.x - case.r), max(norm(case.x), norm(case.r))) / EPS**0.5


@rule("R", "R all.equal: mean relative difference of 1.5e-8")
def _r(case: EngineTensor) -> float:
    return over(float(case.error.sum()), float(np.abs(case.r).sum())) / 1.5e-8


@rule("Core ML", "coremltools debugging_utils: peak signal to noise of 40 dB")
def _coreml(case: EngineTensor) -> float:
    noise = float(np.mean(case.error**2)) ** 0.5
    return over(noise, float(np.abs(case.r).max(initial=0))) / 1e-2


@rule("PaDiff", "padiff compare_mode='mean': only means are compared, 1e-7")
def _padiff(case: EngineTensor) -> float:
    return over(abs(float(case.x.mean() - case.r.mean())), abs(float(case.r.mean()))) / 1e-7


@rule("reprod_log", "reprod_log: mean difference of 1e-6")
def _reprod(case: EngineTensor) -> float:
    return float(case.error.mean()) / 1e-6


@rule("dynamo, three-way", "torch._dynamo.utils.same: RMSE at most 2 (3 where small) × that of a peer, and 1e-5")
def _dynamo(case: EngineTensor) -> float:
    own, theirs = (float(np.mean((y - case.r) ** 2)) ** 0.5 for y in (case.x, case.peer))
    return over(own, (3 if case.x.size <= 10 else 2) * theirs + 1e-4 / 10)


@rule(
    "AWS Neuron, three-way", "aws-neuron-sdk accuracy design: σ-ratio ≤ 1 or overlap ≥ 0.99, L∞ ratio < 5, L2 ratio < 3"
)
def _neuron(case: EngineTensor) -> float:
    own, theirs = case.x - case.r, case.peer - case.r
    spread = over(float(own.std()), float(theirs.std()))
    edges = np.linspace(min(own.min(), theirs.min()), max(own.max(), theirs.max()) or 1e-30, 65)
    overlap = 1.0
    if (np.diff(edges) > 0).all():
        shares = [np.histogram(errors, edges)[0] / errors.size for errors in (own, theirs)]
        overlap = float(np.sqrt(shares[0] * shares[1]).sum())
    alike = min(spread, (1 - overlap) / 0.01)
    return max(alike, over(np.abs(own).max(), np.abs(theirs).max()) / 5, over(norm(own), norm(theirs)) / 3)


@rule("msprobe, dual", "Ascend msprobe, level 1: RMSE ≤ 2 ×, largest relative error ≤ 10 × a peer's; below 2⁻¹⁴ 2⁻³⁰")
def _msprobe(case: EngineTensor) -> float:
    small = np.abs(case.r) < 2.0**-14
    size = np.where(small, 1.0, np.abs(case.r))
    ratios = []
    for power, limit in ((2, 2.0), (np.inf, 10.0)):
        own, theirs = (
            np.linalg.norm((np.abs(y - case.r) / size)[~small].ravel(), power) if (~small).any() else 0.0
            for y in (case.x, case.peer)
        )
        ratios.append(over(float(own), max(float(theirs), U)) / limit)
    return max(*ratios, worst(case.error[small], np.full(small.sum(), 2.0**-30)))
