import numpy as np
import pytest

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.testing import assert_equivalent

RANDOM = np.random.default_rng(0)
A, B = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((30, 400), (400, 20)))


def layer_norm(x, eps=1e-3):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + eps)


def serial(a, b):
    """A product whose sums are in another order."""
    total = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        total += a[:, k : k + 1] * b[k]
    return total


def test_another_order_of_sums_passes_and_an_error_does_not():
    found = assert_equivalent(serial(A, B), A @ B, op=np.matmul, inputs=(A, B))
    assert 0 < found.share < 0.5
    wrong = A @ B
    wrong[7, 3] += 0.01
    with pytest.raises(AssertionError, match=r"actual is different: 1 of 600 elements .* worst at \[7, 3\]: .* bound"):
        assert_equivalent(wrong, A @ B, op=np.matmul, inputs=(A, B))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_every_precision_has_its_own_bound(dtype):
    length = 16 if dtype == "float16" else 400
    a, b = A[:, :length].astype(dtype), B[:length].astype(dtype)
    exact = np.matmul(a.astype("complex128" if "complex" in dtype else "float64"), b)
    terms, magnitude = length, np.abs(a).astype(float) @ np.abs(b)
    small = {
        "float16": 2.0**-10,
        "float32": 2.0**-23,
        "float64": 2.0**-52,
        "complex64": 2.0**-23,
        "complex128": 2.0**-52,
    }
    assert_equivalent(serial(a, b), exact, terms=terms, magnitude=magnitude)
    wrong = exact * (1 + 8 * small[dtype]) + magnitude * 100 * small[dtype]
    with pytest.raises(AssertionError, match="different"):
        assert_equivalent(wrong.astype(dtype), exact, terms=terms, magnitude=magnitude)


def test_without_a_model_the_bits_must_match():
    assert_equivalent(A, A.copy())
    assert_equivalent(np.arange(5), np.arange(5))
    tiny = np.linspace(1, 2, 9)
    for wrong, right in ((np.nextafter(tiny, 3), tiny), (np.arange(5) + (2**60), np.arange(5) + 2**60 + 1)):
        with pytest.raises(AssertionError, match="the same bits were asked for"):
            assert_equivalent(wrong, right)
    with pytest.raises(AssertionError, match="shape"):
        assert_equivalent(A, A.T)
    with pytest.raises(AssertionError, match="nonfinite"):
        assert_equivalent(np.array([np.nan, 1], np.float32), np.ones(2, np.float32))


def test_single_numbers_and_infinities():
    assert_equivalent(np.float32(3), 3.0)
    assert_equivalent(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(AssertionError, match="cause unknown"):
        assert_equivalent(np.float32(3), np.float32(4))
    infinite = np.array([np.inf, 1, np.nan], np.float32)
    assert_equivalent(infinite, infinite.copy())
    with pytest.raises(AssertionError, match="nonfinite"):
        assert_equivalent(-infinite, infinite)


def test_the_desired_array_is_judged_too():
    with pytest.raises(AssertionError, match="desired is different"):
        assert_equivalent(A @ B, A @ B + 1, op=np.matmul, inputs=(A, B))


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (lambda x: layer_norm(x)[:, ::-1], "mirrored along image"),
        (lambda x: layer_norm(x, 1e-2), "another eps: 0.01 in place of 0.001"),
        (lambda x: layer_norm(x.astype(np.float16).astype(np.float32)), "float16 inside"),
        (lambda x: layer_norm(x) ** 3, "cause unknown"),
    ],
)
def test_the_message_names_the_cause_and_how_the_bound_was_found(wrong, cause):
    with pytest.raises(AssertionError, match=f"the bound is estimated.*{cause}"):
        assert_equivalent(wrong(A), layer_norm(A), op=layer_norm, inputs=[A], axes=("unit", "image"))


def test_a_layer_is_an_operation():
    images = RANDOM.standard_normal((3 * 8 * 8, 5)).astype(np.float32)
    pool = {"type": "pool", "pool": "max", "channels": 3, "sizeX": 2, "stride": 2}
    planes = images.reshape(3, 4, 2, 4, 2, 5)
    assert assert_equivalent(planes.max((2, 4)), planes.max((2, 4)), op=pool, inputs={"inputs": [images]}).agrees
    weights = RANDOM.standard_normal((192, 7)).astype(np.float32)
    fc = {"type": "fc", "outputs": 7}
    given = {"inputs": [images], "weights": [weights], "biases": np.zeros((1, 7), np.float32)}
    assert_equivalent(serial(weights.T, images), weights.T @ images, op=fc, inputs=given)
    grad = RANDOM.standard_normal((7, 5)).astype(np.float32)
    assert_equivalent(
        images @ grad.T, images @ grad.T, op=fc | {"tensor": "weights[0]"}, inputs=given | {"acts_grad": grad}
    )
    with pytest.raises(AssertionError, match="transposed"):
        assert_equivalent((images @ grad.T).T, images @ grad.T, op=fc | {"tensor": "weights[0]"},
                          inputs=given | {"acts_grad": grad})  # fmt: skip


def test_what_does_not_go_together_is_refused():
    with pytest.raises(BadInput, match="op with inputs, or terms with magnitude"):
        assert_equivalent(A, A, terms=3)
    with pytest.raises(AssertionError, match=r"inconclusive.*too wide to tell"):
        assert_equivalent(A * np.float32(1.5), A, terms=100, magnitude=1e6)
