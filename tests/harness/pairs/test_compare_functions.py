import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness import compare_functions
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.errors import BadInput, Unsupported

RANDOM = np.random.default_rng(1)
X = RANDOM.standard_normal((40, 40)).astype(np.float32)


def five_points(x):
    return x[1:-1, 1:-1] - 0.25 * (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:])


def reordered(x):
    quarter = np.float32(0.25)
    sides = quarter * x[1:-1, 2:] + quarter * x[1:-1, :-2]
    return x[1:-1, 1:-1] - (sides + quarter * x[2:, 1:-1] + quarter * x[:-2, 1:-1])


def size(x):
    """n and M of the stencil."""
    x = np.abs(x)
    return 6, x[1:-1, 1:-1] + 0.25 * (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:])


@pytest.mark.parametrize(("model", "basis"), [(size, "given"), (None, "estimated")])
def test_a_stencil_and_a_wrong_one(model, basis):
    found = compare_functions(five_points, reordered, [X], reference=five_points, model=model)
    assert found.exit_code == 0, found.sentence
    (row,) = found.table
    assert (row.type, row.shape) == (basis, (38, 38))
    wrong = compare_functions(five_points, lambda x: five_points(x.T).T[::-1], [X], reference=five_points, model=model,
                              axes=("y", "x"))  # fmt: skip
    assert wrong.exit_code == 1
    assert "likely cause: mirrored along y" in wrong.table[0].findings["port"].reason


def test_where_the_model_comes_from():
    basis = lambda f, *x: compare_functions(f, f, x, reference=f).table[0].type  # noqa: E731
    assert basis(np.matmul, X, X) == "derived"
    assert basis(lambda x, w, b: x @ w + b, X, X, X[0]) == "derived"
    assert basis(np.exp, X) == "estimated"
    assert basis(lambda x: x @ x, X) == "estimated"
    assert basis(lambda x: x[:, 1:] - x[:, :-1], X) == "estimated"  # constants of both signs
    assert basis(np.sort, np.arange(9)) == "given"


def test_the_number_of_terms_follows_from_what_is_read():
    (row,) = compare_functions(np.matmul, np.matmul, (X, X), reference=np.matmul).table
    assert row.findings["port"].share < 0.5
    half = lambda a, b: (a.astype(np.float16) @ b.astype(np.float16)).astype(np.float32)  # noqa: E731
    assert compare_functions(np.matmul, half, (X, X), reference=np.matmul).exit_code == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_a_transform_in_its_own_precision(dtype):
    x = X.astype(dtype)
    twice = lambda x: np.conj(np.fft.ifft(np.conj(x), norm="forward"))  # noqa: E731
    found = compare_functions(np.fft.fft, twice, {"x": x} if False else [x], reference=np.fft.fft)
    assert found.exit_code == 0, found.sentence


def test_the_accuracy_ratio_has_a_word():
    """A sum of float32 in float32 against one in float64."""
    x = RANDOM.random((2000, 30)).astype(np.float32)
    serial = lambda x: np.cumsum(x, 0)[-1]  # noqa: E731
    exact = lambda x: x.sum(0, dtype=np.float64).astype(x.dtype)  # noqa: E731
    total = lambda x: x.sum(0)  # noqa: E731
    assert compare_functions(serial, exact, [x], reference=total).accuracy["result"].endswith(": more accurate")
    assert compare_functions(exact, serial, [x], reference=total).accuracy["result"].endswith(": much less accurate")
    assert compare_functions(serial, serial, [x], reference=total).accuracy == {"result": "1: as accurate"}


def test_values_that_are_infinite_on_both_sides_are_no_error():
    x = np.float32([1, np.inf, np.nan, 2])
    (row,) = compare_functions(np.copy, np.copy, [x], reference=np.copy, model=(0, 0)).table
    assert {who: found.status for who, found in row.findings.items()} == {"legacy": "identical", "port": "identical"}
    assert row.distances == {who: {"norm": 0.0, "largest": 0.0} for who in row.findings}
    x = np.float32([3, 4, np.inf, -np.inf, np.nan])
    (row,) = compare_functions(np.copy, lambda x: x + 2.0**-10, [x], reference=np.copy, model=(1, 1e6)).table
    assert row.distances["port"] == {"norm": pytest.approx(2**0.5 / 1024 / 5, rel=1e-6), "largest": 2.0**-10}


def test_pairs_of_one_report_keep_their_accuracies():
    one, other = (compare_functions(np.exp, np.exp, [X], reference=np.exp, name=name) for name in ("a", "b"))
    one.table += other.table
    assert one.accuracy == {"a result": "1: as accurate", "b result": "1: as accurate"}


def test_results_by_name_are_never_skipped():
    both = lambda x: {"sum": x.sum(0), "max": x.max(0)}  # noqa: E731
    found = compare_functions(both, lambda x: {"sum": x.sum(0), "min": x.min(0)}, {"x": X}, reference=both)
    statuses = {(row.tensor, who): one.status for row in found.table for who, one in row.findings.items()}
    assert statuses["max", "port"] == statuses["min", "port"] == "missing"
    assert statuses["sum", "port"] in ("identical", "equivalent")
    assert found.exit_code == 1


def test_functions_that_cheat_are_named():
    buffer = np.zeros((40, 40), np.float32)
    counter = iter(range(9))

    def in_a_buffer(x):
        buffer[:] = x * (1 + next(counter))
        return buffer

    def in_place(x):
        x *= 2
        return x

    def one_buffer(x):
        return {"a": buffer[:20], "b": buffer[10:30]}

    for cheat, said in (
        (in_a_buffer, "was changed by the next call"),
        (in_place, "argument 0 was changed"),
        (one_buffer, "a and b lie in one buffer"),
        (lambda x: x * RANDOM.random(), "is another one in a second call"),
        (lambda x: 1 / 0, "ZeroDivisionError"),
        (lambda x: None, "in place of"),
    ):
        reference = {"a": X[:20], "b": X[:20]} if cheat is one_buffer else X
        found = compare_functions(lambda x, reference=reference: reference, cheat, [X], reference=reference)
        assert said in found.table[0].findings["port"].reason
        assert found.exit_code == 1


def test_what_a_function_does_not_do_is_not_compared():
    def lacking(x):
        raise Unsupported("no arrays of that size")

    found = compare_functions(np.exp, lacking, [X], reference=np.exp)
    assert (found.exit_code, found.table[0].findings["port"].status) == (3, "unsupported")
    assert found.sentence.endswith("Not compared: 1 of port (exp).") or "Not compared: 1 of port" in found.sentence


def test_bad_input():
    with pytest.raises(BadInput, match="the reference cannot be evaluated: ZeroDivisionError"):
        compare_functions(np.exp, np.exp, [X], reference=lambda x: 1 / 0)
    with pytest.raises(BadInput, match=r"the model does not fit .*actual \(\) and \(3,\)"):
        compare_functions(np.exp, np.exp, [X], reference=np.exp, model=(1, np.ones(3)))


def test_the_record(tmp_path):
    found = compare_functions(five_points, reordered, [X], reference=five_points, model=size, name="<b>stencil</b>")
    found.write(tmp_path / "out", "a stencil", "python judge.py")
    assert {"report.html", "report.md", "junit.xml", "record.json", "results.csv"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<b>stencil" not in page
    assert "python judge.py" in page
    again = CliRunner().invoke(cli, ["report", str(tmp_path / "out"), "--out", str(tmp_path / "again.html")])
    assert again.exit_code == 0, again.output
