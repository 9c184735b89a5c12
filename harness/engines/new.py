"""`rosetta new engine DIR`: a package with an engine of one's own, which has one layer and a test that passes."""

from pathlib import Path

from ..errors import BadInput
from ..network.new import write_all
from . import registered

PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "NAME"
version = "0.1"
dependencies = ["alexnet-rosetta"]

[project.entry-points."rosetta.engines"]
NAME = "NAME:Mine"

[tool.setuptools]
py-modules = ["NAME"]
"""

ENGINE = '''\
"""The engine NAME: fully-connected layers, forward and backward; what it lacks is reported as not compared."""

import numpy as np

from alexnet_rosetta.harness.engines.protocol import Engine
from alexnet_rosetta.harness.engines.session_in_steps import StepSession
from alexnet_rosetta.harness.errors import Unsupported


class Mine(Engine):
    name = "NAME"

    def probe(self):
        return True, f"NumPy {np.__version__}"

    def open(self, network, threads):
        return Session(network)


class Session(StepSession):
    def run_forward(self, layer, inputs, mask):
        self.require("fc", layer)
        own = self._tensors[layer.name]
        own["inputs"] = inputs
        return sum((own[f"weights[{i}]"].T @ x for i, x in enumerate(inputs)), own["biases"].T)

    def run_backward(self, layer, acts_grad, wanted, progress):
        self.require("fc", layer)
        own, cases = self._tensors[layer.name], acts_grad.shape[1]
        for i, x in enumerate(own["inputs"]):
            step = layer["epsW"][i] / cases * (x @ acts_grad.T)
            if layer["epsW"][i] > 0:  # straight into the momentum buffer, as in 2012
                own[f"weights_inc[{i}]"] = (layer["momW"][i] * own[f"weights_inc[{i}]"] + step).astype(np.float32)
        own["biases_grad"] = acts_grad.sum(1, keepdims=True).T / np.float32(cases)
        return [own[f"weights[{i}]"] @ acts_grad for i in wanted]

    def run_update(self, layer, progress):
        raise Unsupported("NAME has no update yet")

    def require(self, kind, layer):
        if layer.type != kind:
            raise Unsupported(f"NAME has no layers of type {layer.type} yet")
'''

TEST = '''\
"""Every layer that the engine has agrees with the reference. Add its type to HAS when you add a layer."""

from pathlib import Path

from alexnet_rosetta.harness import compare

HAS = {"fc"}


def test_layers_agree():
    engine = str(Path(__file__).with_name("NAME.py"))
    found = compare("tiny", engines=[engine], input="random", batch=8, passes=["forward", "backward"])
    rows = [row for row in found.table if row.type in HAS]
    assert rows
    for row in rows:
        for finding in row.findings.values():
            assert finding.agrees, f"{row.layer} {row.step} {row.tensor}: {finding}"
'''


def write(folder: str) -> Path:
    """Write pyproject.toml, the engine and its test into a new or empty folder, whose name the engine gets.

    Raises BadInput: the name is taken or no name, a file exists or cannot be written; nothing is left half-written.
    """
    name = Path(folder).name.lower().replace("-", "_")
    if name in registered():
        raise BadInput(
            f"an engine called {name!r} is installed already", hint="choose another name, or pip uninstall it"
        )
    if not name.isidentifier() or not name.isascii():
        raise BadInput(f"no engine can be called {name!r}", expected="letters, digits and '_', a letter first")
    texts = {"pyproject.toml": PROJECT, f"{name}.py": ENGINE, f"test_{name}.py": TEST}
    home = Path(folder)
    created = not home.exists()
    try:
        home.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder!r} is no folder that can be written: {error.strerror}") from error
    try:
        write_all({Path(folder, file): text.replace("NAME", name) for file, text in texts.items()}, folder)
    except BadInput:
        if created:
            home.rmdir()
        raise
    return Path(folder, f"{name}.py")
