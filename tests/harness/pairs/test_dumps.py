import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.pairs.arrays import assert_equivalent
from alexnet_rosetta.harness.pairs.dumps import judge_dumps
from alexnet_rosetta.harness.pairs.expected import layer_formula
from alexnet_rosetta.harness.recording import Recorder

RANDOM = np.random.default_rng(0)
A, B = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((8, 50), (50, 6)))
MODEL = '[product]\nop = "matmul"\ninputs = ["a", "b"]\n'
PAGE = Path(__file__).parents[3] / "docs" / "dumps.md"


def dump(path, **arrays):
    with Recorder(path) as record:
        for name, array in arrays.items():
            record(name, array)
    return path


def serial(a, b):
    return sum((a[:, k : k + 1] * b[k] for k in range(1, a.shape[1])), a[:, :1] * b[0])


def statuses(pair):
    return {(row.tensor, who): found.status for row in pair.table for who, found in row.findings.items()}


def test_products_of_two_programs(tmp_path):
    one = dump(tmp_path / "c.npz", a=A, b=B, product=A @ B)
    other = dump(tmp_path / "py.npz", a=A, b=B, product=serial(A, B))
    (tmp_path / "model.toml").write_text(MODEL)
    found = CliRunner().invoke(
        cli, ["judge", f"{one}", f"{other}", "--model", f"{tmp_path}/model.toml", "--out", f"{tmp_path}/out"]
    )
    assert found.exit_code == 0, found.output
    assert re.search(r"^~ product +equivalent +\d+% +derived +[\d.]+: \w+", found.output, re.MULTILINE)
    assert (tmp_path / "out" / "junit.xml").exists()
    wrong = dump(tmp_path / "wrong.npz", a=A, b=B, product=(A @ B)[::-1])
    found = CliRunner().invoke(cli, ["judge", f"{one}", f"{wrong}", "--model", f"{tmp_path}/model.toml"])
    assert found.exit_code == 1
    assert "likely cause: mirrored along axis 0" in found.output


def test_nothing_is_skipped(tmp_path):
    one = dump(tmp_path / "one.npz", same=A, shape=A, dtype=A, gone=A, moved=A)
    other = dump(tmp_path / "two.npz", shape=A.T, same=A, dtype=A.astype(np.float64), moved=A + 1, more=A)
    found = judge_dumps(one, other)
    assert statuses(found) == {
        ("same", "two"): "identical",
        ("shape", "two"): "shape",
        ("dtype", "two"): "dtype",
        ("gone", "two"): "missing",
        ("moved", "two"): "unsupported",
        ("more", "one"): "missing",
        ("order", "two"): "inconclusive",
    }
    assert found.exit_code == 1
    assert "transposed" in next(row for row in found.table if row.tensor == "shape").findings["two"].reason
    found.write(tmp_path / "out")


def test_what_no_model_speaks_of_is_never_green(tmp_path):
    one, other = dump(tmp_path / "one.npz", x=A), dump(tmp_path / "two.npz", x=np.nextafter(A, 9))
    assert judge_dumps(one, other).exit_code == 3
    exact = dump(tmp_path / "right.npz", x=A.astype(np.float64))
    found = judge_dumps(one, other, exact)
    assert statuses(found) == {("x", "one"): "identical", ("x", "two"): "unsupported"}
    (tmp_path / "model.toml").write_text('[x]\nterms = 1\nmagnitude = "x"\naxes = ["row"]\n')
    assert judge_dumps(one, other, exact, tmp_path / "model.toml").exit_code == 0
    order = dump(tmp_path / "order.npz", y=A, x=A)
    assert judge_dumps(dump(tmp_path / "straight.npz", x=A, y=A), order).exit_code == 3


def test_what_the_reference_alone_has_is_missing_in_both(tmp_path):
    one, other = (dump(tmp_path / f"{name}.npz", x=A) for name in ("one", "two"))
    exact = dump(tmp_path / "more.npz", x=A.astype(np.float64), y=B.astype(np.float64))
    found = judge_dumps(one, other, exact)
    assert {who: status for (name, who), status in statuses(found).items() if name == "y"} == {
        "one": "missing", "two": "missing",
    }  # fmt: skip
    assert found.exit_code == 1


def test_terms_and_magnitudes_that_are_given_make_the_bound(tmp_path):
    x, size = np.float32([[1, 2], [3, 4]]), np.float32([[10, 20], [40, 80]])
    one = dump(tmp_path / "one.npz", x=x, size=size)
    other = dump(tmp_path / "two.npz", x=x + np.float32([[0, 0], [0, 1]]), size=size)
    (tmp_path / "model.toml").write_text('[x]\nterms = 4\nmagnitude = "size"\naxes = ["row", "column"]\n')
    row = next(row for row in judge_dumps(one, other, model=tmp_path / "model.toml").table if row.tensor == "x")
    assert (row.type, list(row.findings)) == ("given", ["two"])
    worst = row.findings["two"].worst
    assert (worst.index, worst.actual, worst.reference) == ((1, 1), 5, 4)
    assert worst.bound == pytest.approx(8 * 2 * 2.0**-24 * 80, rel=1e-6)
    assert row.where(worst) == "row 1, column 1"
    exact = dump(tmp_path / "right.npz", x=x + np.float64([[0, 0], [0, 1]]))
    row = next(r for r in judge_dumps(one, other, exact, tmp_path / "model.toml").table if r.tensor == "x")
    assert {who: found.status for who, found in row.findings.items()} == {"one": "different", "two": "identical"}


def test_other_names_are_paired_by_a_file_alone(tmp_path):
    one, other = dump(tmp_path / "one.npz", x=A, y=B), dump(tmp_path / "two.npz", features=A, y=B)
    assert judge_dumps(one, other).exit_code == 1
    (tmp_path / "map.toml").write_text('x = "features"\n')
    assert judge_dumps(one, other, mapping=tmp_path / "map.toml").exit_code == 0
    (tmp_path / "map.toml").write_text('x = "feature"\n')
    with pytest.raises(BadInput, match="did you mean features"):
        judge_dumps(one, other, mapping=tmp_path / "map.toml")


def test_layers_are_operations(tmp_path):
    images = RANDOM.standard_normal((3 * 8 * 8, 5)).astype(np.float32)
    pooled = images.reshape(3, 4, 2, 4, 2, 5).max((2, 4))
    weights, biases = RANDOM.standard_normal((192, 7)).astype(np.float32), np.zeros((1, 7), np.float32)
    own = {"images": images, "w": weights, "b": biases}
    one = dump(tmp_path / "one.npz", **own, pool=pooled, fc=weights.T @ images)
    other = dump(tmp_path / "two.npz", **own, pool=pooled, fc=serial(weights.T, images))
    (tmp_path / "model.toml").write_text(
        '[pool]\nop = { type = "pool", pool = "max", channels = 3, sizeX = 2, stride = 2 }\ninputs = ["images"]\n'
        '[fc]\nop = { type = "fc", outputs = 7 }\ninputs = ["images"]\nweights = ["w"]\nbiases = "b"\n'
    )
    found = judge_dumps(one, other, model=tmp_path / "model.toml")
    assert found.exit_code == 0, found.sentence
    assert statuses(found)["pool", "two"] == "identical"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ('[product]\nop = "matmull"\ninputs = ["a", "b"]', "did you mean matmul"),
        ("[produkt]\nterms = 1\nmagnitude = 1", "did you mean product"),
        ("[product]\nterms = 1", "terms and magnitude, or op and inputs"),
        ("[product]\nterm = 1", "did you mean terms"),
        ('[product]\nterms = 1\nmagnitude = "a"', "does not fit"),
        ('[product]\nop = "matmul"\ninputs = ["a", "nothing"]', "no dump has an array 'nothing'"),
        ('[product]\nop = "matmul"\ninputs = ["b", "b"]', "mismatch"),
        ("product = 3", "'product' is no table"),
        ("[product", "cannot be read as TOML"),
        ('[product]\nop = { type = "pol" }\ninputs = ["a"]', "op pol: type: is no layer type"),
        (
            '[product]\nop = { type = "pool", pool = "max", channels = 3 }\ninputs = "a"',
            "of filters the last one counts them",
        ),
        ('[product]\nop = { outputs = 3 }\ninputs = ["a"]', "type: "),
        ('[product]\nop = { type = "fc", outputs = 3 }', "inputs"),
        ('[product]\nop = { type = "fc", outputs = 3 }\ninputs = "a"', "weights[0] do not fit (expected shape (8, 3)"),
        ('[product]\nop = { type = "fc", outputs = 6 }\ninputs = "a"\nweights = "b"', "weights[0] do not fit"),
        ('[product]\nop = { type = "softmax", paddng = 2 }\ninputs = "a"', "'paddng' is no key of that type"),
        ('[product]\nop = { type = "softmax", tensor = "inputs_grad" }\ninputs = "a"', "no such tensor"),
        ('[product]\nop = { type = "softmax", tensor = "inputs_grad[0]" }\ninputs = "a"', "without acts_grad"),
        ("[product]\nterms = {a = 1}\nmagnitude = 1", "does not fit"),
        ("[product]\nop = 'matmul'\ninputs = 3", "inputs of 'product' are no names of arrays (actual 3)"),
        ("[product]\nop = 'matmul'\ninputs = [['a']]", "inputs of 'product' are no names"),
    ],
)
def test_models_that_cannot_be_used(tmp_path, model, said):
    one = dump(tmp_path / "one.npz", a=A, b=B, product=A @ B)
    (tmp_path / "model.toml").write_text(model)
    found = CliRunner().invoke(cli, ["judge", f"{one}", f"{one}", "--model", f"{tmp_path}/model.toml"])
    assert (found.exit_code, found.output.count("\n")) == (2, 1)
    assert said in found.output
    assert "<text>" not in found.output


IMAGES, FILTERS = RANDOM.standard_normal((3 * 81, 4)).astype(np.float32), RANDOM.standard_normal((75, 16))
FILTERS, NORM = FILTERS.astype(np.float32), {"channels": 16, "size": 5, "scale": 0.5, "pow": 0.75, "minDiv": 2}
CONV = {"channels": 3, "filters": 16, "filterSize": 5, "padding": 2}
LAYERS = """
[conv]
op = { type = "conv", channels = 3, filters = 16, filterSize = 5, padding = 2 }
inputs = "images"
weights = "w"
biases = "b"
[norm]
op = { type = "cmrnorm", channels = 16, size = 5, scale = 0.5, pow = 0.75, minDiv = 2 }
inputs = "conv"
[down]
op = { type = "cmrnorm", tensor = "inputs_grad[0]", channels = 16, size = 5, scale = 0.5, pow = 0.75, minDiv = 2 }
inputs = ["conv"]
acts_grad = "norm"
[pool]
op = { type = "pool", pool = "avg", channels = 16, sizeX = 3, stride = 2 }
inputs = ["norm"]
"""


def program(path, conv=(), filters=FILTERS, norm=(), pool="avg"):
    """The dump of a program of three layers, with mistakes."""
    made = {"images": IMAGES, "w": FILTERS, "b": np.full((16, 1), 0.25, np.float32)}
    inputs = {"inputs": [IMAGES], "weights": [filters], "biases": made["b"]}
    made["conv"] = layer_formula({"type": "conv"} | CONV | dict(conv), inputs).value.astype(np.float32)
    spec = {"type": "cmrnorm"} | NORM | dict(norm)
    made["norm"] = layer_formula(spec, {"inputs": [made["conv"]]}).value.astype(np.float32)
    inputs = {"inputs": [made["conv"]], "acts_grad": made["norm"]}
    made["down"] = layer_formula(spec | {"tensor": "inputs_grad[0]"}, inputs).value.astype(np.float32)
    spec = {"type": "pool", "pool": pool, "channels": 16, "sizeX": 3, "stride": 2}
    made["pool"] = layer_formula(spec, {"inputs": [made["norm"]]}).value.astype(np.float32)
    return dump(path, **made)


@pytest.mark.parametrize(
    ("mistake", "wrong", "cause"),
    [
        ({}, [], ""),
        ({"filters": FILTERS.reshape(3, 5, 5, 16)[:, ::-1, ::-1]}, ["conv"], "filters turned round"),
        ({"filters": FILTERS.reshape(3, 25, 16)[::-1]}, ["conv"], "filters with their channels in the opposite order"),
        ({"norm": {"size": 4}}, ["norm", "down"], "size 4 in place of 5"),
        ({"norm": {"size": 6, "scale": 0.6}}, ["norm", "down"], "size 6 in place of 5"),
        ({"norm": {"scale": 2.5}}, ["norm", "down"], "scale, not divided by the values of a window"),
        ({"pool": "max"}, ["pool"], "pool max in place of avg"),
        ({"norm": {"pow": 0.7}}, ["norm", "down"], "cause unknown"),
    ],
)
def test_one_program_is_judged_by_what_its_layers_are_and_its_mistake_is_named(tmp_path, mistake, wrong, cause):
    """The parameter file's keys of a layer stand in `op`; what is only read is no row, and nothing below is blamed."""
    (tmp_path / "model.toml").write_text(LAYERS)
    made = program(tmp_path / "mine.npz", **mistake)
    pair = judge_dumps(made, model=tmp_path / "model.toml")
    assert [row.tensor for row in pair.table] == ["conv", "norm", "down", "pool"]
    assert [row.tensor for row in pair.table if row.findings["mine"].status == "different"] == wrong
    assert all(row.findings["mine"].reason.endswith(cause) for row in pair.table if row.tensor in wrong)
    assert pair.exit_code == int(bool(wrong))
    (tmp_path / "less.toml").write_text(LAYERS.split("[pool]")[0])
    assert judge_dumps(made, model=tmp_path / "less.toml").exit_code == 3 - 2 * bool(set(wrong) - {"pool"})


def test_a_test_names_the_mistake_inside_a_layer():
    right, other = ({"type": "cmrnorm"} | NORM | {"size": size} for size in (5, 4))
    given = {"inputs": [RANDOM.standard_normal((16 * 4, 3)).astype(np.float32)]}
    wanted, found = (layer_formula(spec, given).value.astype(np.float32) for spec in (right, other))
    assert_equivalent(wanted, wanted, op=right, inputs=given)
    with pytest.raises(AssertionError, match="likely cause: size 4 in place of 5"):
        assert_equivalent(found, wanted, op=right, inputs=given)


def test_a_mapping_to_no_name_is_refused(tmp_path):
    one = dump(tmp_path / "one.npz", a=A)
    (tmp_path / "map.toml").write_text('a = ["a"]')
    found = CliRunner().invoke(cli, ["judge", f"{one}", f"{one}", "--map", f"{tmp_path}/map.toml"])
    assert (found.exit_code, found.output.count("\n")) == (2, 1)
    assert "'a' has no name (actual ['a'])" in found.output


def test_pickles_and_sizes_are_refused_before_they_are_read(tmp_path):
    one, objects = dump(tmp_path / "one.npz", x=A), tmp_path / "objects.npz"
    np.savez(objects, x=np.array([{}], object))
    huge = tmp_path / "huge.npz"
    with zipfile.ZipFile(huge, "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n")
    for bad in (objects, huge, tmp_path / "none.npz"):
        found = CliRunner().invoke(cli, ["judge", f"{one}", f"{bad}"])
        assert (found.exit_code, found.output.count("\n")) == (2, 1)


def test_a_recording_is_whole_or_not_there(tmp_path):
    def ended():
        with Recorder(tmp_path / "a.npz") as record:
            record("x", A)
            raise KeyError

    with pytest.raises(KeyError):
        ended()
    assert not list(tmp_path.iterdir())
    moving = A.copy()
    with Recorder(tmp_path / "a.npz") as record:
        record("x", moving)
        moving += 1
        for name, array in (("x", A), ("", A), ("o", np.array([{}], object)), ("\n", A)):
            with pytest.raises(BadInput):
                record(name, array)
    assert np.array_equal(np.load(tmp_path / "a.npz")["x"], A)
    with pytest.raises(BadInput, match="cannot be written"):
        Recorder(tmp_path / "none" / "a.npz")


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_the_writer_of_the_page_in_c(tmp_path):
    (source,) = re.findall(r"^```c\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "record.c").write_text(
        source + 'int main() { float x[6] = {1, 2, 3, 4, 5, 6}; return record("x.npy", x, 2, 3); }\n'
    )
    subprocess.run(["cc", "record.c", "-o", "record"], cwd=tmp_path, check=True)
    subprocess.run(["./record"], cwd=tmp_path, check=True)
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.write(tmp_path / "x.npy", "x.npy")
    one = dump(tmp_path / "one.npz", x=np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    assert judge_dumps(one, tmp_path / "c.npz").exit_code == 0
