"""Values of a layer file that are odd and yet accepted: no engine is blamed for them."""

import pytest

from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.running.prepare import Options, rows, workload


def odd(keys):
    """The rows of the layers in `keys`, of a comparison of the zoo with those values in the layers' places."""
    options = Options("zoo", engines=("legacy-cpu", "port"), input="random", batch=4, threads=1)
    network = networks.altered(networks.load("zoo"), keys)
    return [row for row in rows(workload(network, options), "isolated") if row.layer in keys]


def unexplained(found):
    """Those that differ, and that no quirk explains."""
    failed = [row for row in found if any(finding.fails for finding in row.findings.values())]
    return [(row.layer, row.step, row.tensor, row.findings) for row in failed if not row.explained()]


def test_negative_weight_decay():
    layers = [layer for layer in networks.load("zoo").layers if "wc" in layer]
    assert {"conv", "fc", "local", "treefc"} <= {layer.type for layer in layers}
    found = odd({layer.name: {"wc": tuple(-1.0 for _ in layer["wc"])} for layer in layers})
    assert "update" in {row.step for row in found}
    assert unexplained(found) == []


@pytest.mark.parametrize("power", [-2.0, 31.0, 300.0])
def test_powers_of_normalisation(power):
    norms = [layer.name for layer in networks.load("zoo").layers if layer.type in ("rnorm", "cnorm", "cmrnorm")]
    found = odd({name: {"pow": power} for name in norms})
    steps = {(row.layer, row.step) for row in found}
    assert steps == {(name, step) for name in norms for step in ("forward", "backward")}
    assert unexplained(found) == []
