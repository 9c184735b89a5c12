"""The fuzzer of weights of other programs for some seconds, what it found, and that it finds what is there."""

import os
import pickle

import numpy as np
import pytest

from alexnet_rosetta.harness.data import others, pickles
from alexnet_rosetta.harness.errors import BadInput

from . import runner, weights
from .archives import canary

needs_onnx = pytest.mark.skipif("onnx" not in weights.ROLES, reason="onnx is not installed")


@pytest.mark.slow
def test_nothing_is_found():
    status, printed = runner.command("weights", "--seconds", os.environ.get("FUZZ_SECONDS", 5), "--seed", 0)
    assert status == 0, printed


@needs_onnx
def test_a_short_run_finds_nothing():
    found = runner.run(weights.trial, seed=2, count=150)
    assert not found.findings, found.findings[0]
    assert found.outcomes["accepted"] > 10
    assert found.outcomes["refused"] > 10


def read(arrays, tmp_path):
    path = tmp_path / "w.pt"
    path.write_bytes(weights.state_dict(np.random.default_rng(0), arrays))
    return others.read(path, weights.network())


def test_a_sound_file_is_read(tmp_path):
    assert read(weights.sound(), tmp_path).keys() >= {"conv1.weights[0]", "fc3.biases"}


def with_name(arrays, name):
    first, *rest = arrays
    return {name: arrays[first], **{key: arrays[key] for key in rest}}


WIDE = {"conv2.weight": np.ones((2, 9, 2, 2), np.float32)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda arrays: arrays | WIDE, r"conv2 does not fit conv2"),
        (lambda arrays: with_name(arrays, "9" * 5000 + ".weight"), "a name of 5,007 letters"),
        (lambda arrays: with_name(arrays, "x" * 5000), "a name of 5,000 letters"),
        (lambda arrays: arrays | {"fc3.bias": np.float32([np.nan, 1])}, r"fc3.biases holds NaN"),
    ],
    ids=["more inputs than there are", "digits", "letters", "nan"],
)
def test_what_was_found(change, said, tmp_path):
    with pytest.raises(BadInput, match=said) as refused:
        read(change(weights.sound()), tmp_path)
    assert len(str(refused.value)) < 1000


@needs_onnx
def test_what_was_found_in_models(tmp_path):
    """Strings as weights of a node whose name has no end, an attribute that is a function's."""
    import onnx

    make, path = onnx.helper, tmp_path / "w.onnx"
    arrays = weights.sound()
    held = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    words = onnx.numpy_helper.from_array(np.full((4, 3, 3, 3), "1", object), "conv1.weight")
    for kept, name, of in ([words, *held[1:]], "x" * 5000, ""), (held, "n", "alpha"):
        node = make.make_node("Conv", ["x", "conv1.weight", "conv1.bias"], ["y"], name=name, group=1)
        node.attribute[0].ref_attr_name = of
        path.write_bytes(make.make_model(make.make_graph([node], "net", [], [], kept)).SerializeToString())
        with pytest.raises(BadInput, match=r"has no weights and biases|cannot be read as an ONNX model") as refused:
            others.read(path, weights.network())
        assert len(str(refused.value)) < 1000


def test_what_runs_is_found(monkeypatch):
    monkeypatch.setattr(pickles._TorchMachine, "run", lambda self: pickle.loads(self.file.getvalue()))
    rng, program = np.random.default_rng(0), pickle.dumps(Mine(), 2)
    with pytest.raises(AssertionError, match="something in the file was run"):
        weights.check("pt", weights.state_dict(rng, weights.sound(), lambda rng, data: program))
    os.rmdir(canary())


class Mine:
    def __reduce__(self):
        return os.mkdir, (canary(),)
