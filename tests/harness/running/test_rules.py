"""The rules of learning from end to end: sharing, sparse connections, constraints, superEps, noisy rates."""

import numpy as np
import pytest
from rule_nets import DEFINITION, PARAMS
from small_nets import Faulty, write_net

from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.reference import chunks
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows
from alexnet_rosetta.harness.running.sweep import Sweep


def workload(folder, *engines, params=PARAMS, **options):
    net = write_net(folder, DEFINITION, params, "rules")
    return prepare(Options(net, engines=engines or ("reference",), **{"input": "random", "batch": 6} | options))


def statuses(work, mode="isolated"):
    return {
        (row.layer, row.step, row.tensor, engine): found.status
        for row in rows(work, mode)
        for engine, found in row.findings.items()
    }


def without(*names):
    return "\n".join(line for line in PARAMS.splitlines() if not line.startswith(names))


# Under the root of superEps the engine of 2012 takes A in place of A², so it is compared without that rule.
ENGINES = {"reference": PARAMS, "port": PARAMS, "legacy-cpu": without("superEps")}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("input", ["random", "exact"])
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree(tmp_path, monkeypatch, engine, input, chunked):
    if chunked:
        monkeypatch.setattr(chunks, "CHUNK_BYTES", 1)
    found = statuses(workload(tmp_path, engine, params=ENGINES[engine], input=input, batch=8))
    assert set(found.values()) <= {"identical", "equivalent"}


@pytest.mark.parametrize("engine", ENGINES)
def test_no_difference_has_its_origin_where_it_shows(tmp_path, engine):
    for row in rows(workload(tmp_path, engine, params=ENGINES[engine]), "propagated"):
        assert set(row.origin.values()) <= {"inherited"}, (row.layer, row.step, row.tensor)


def test_a_shared_matrix_has_its_rows_in_its_owner(tmp_path):
    found = {key[:3] for key in statuses(workload(tmp_path))}
    for owner, borrower, i, name in (
        ("again1", "again2", 0, "weights_grad"),
        ("fc2", "fc3", 0, "weights_inc"),
        ("fc2", "fc3", 1, "weights_inc"),
    ):
        assert (owner, "backward", f"{name}[0]") in found
        assert (borrower, "backward", f"{name}[{i}]") not in found
        assert (owner, "update", "weights[0]") in found
        assert (borrower, "update", f"weights[{i}]") not in found
        assert (borrower, "update", "biases") in found


def test_gradients_of_a_shared_matrix_add_up_each_with_its_rate(tmp_path):
    work = workload(tmp_path)
    sweep = Sweep(work)
    apart = {}
    for row in sweep.rows():
        if row.step != "backward" or not row.tensor.startswith(("weights", "biases")):
            continue
        for name in ("fc2", "fc3", "again1", "again2"):
            layer = sweep.graph.layers[name]
            if name in sweep.acts_grad and name not in apart:
                grads = sweep.ops[name].params_grad(sweep.inputs_of(layer), sweep.acts_grad[name], work.params(layer))
                apart[name] = grads, work.normals(layer)
    total = sum(apart[name][0]["weights[0]"].value for name in ("again1", "again2")) / work.batch
    np.testing.assert_allclose(sweep.gradients["again1"]["weights_grad[0]"], total, rtol=0, atol=2**-20)
    (two, z2), (three, z3) = apart["fc2"], apart["fc3"]
    wanted = 0.9 * work.values["fc2"]["weights_inc[0]"]
    wanted += 0.01 * (1 + 0.5 * abs(z2[0, 0])) / work.batch * two["weights[0]"].value
    wanted += 0.03 * (1 + 2 * abs(z3[0, 0])) / work.batch * three["weights[0]"].value
    wanted += 0.02 * (1 + 2 * abs(z3[1, 0])) / work.batch * three["weights[1]"].value
    np.testing.assert_allclose(sweep.gradients["fc2"]["weights_inc[0]"], wanted, rtol=0, atol=2**-20)


def test_a_frozen_owner_freezes_all(tmp_path):
    params = PARAMS.replace("[fc2]\nepsW=0.01", "[fc2]\nepsW=0")
    found = {key[:3] for key in statuses(workload(tmp_path, params=params))}
    assert ("fc2", "backward", "weights_inc[0]") not in found
    assert ("fc2", "update", "biases") in found
    assert ("fc3", "backward", "biases_grad") in found


class OneContribution(ReferenceSession):
    """Forgets what other layers add to a shared matrix, as the engine of 2011 did."""

    def _store(self, layer, tensor, total, cases, progress):
        self._collected.clear()
        super()._store(layer, tensor, total, cases, progress)


class SameNoise(ReferenceSession):
    """Uses the noise of the gradient for the decay too."""

    def write(self, layer, tensor, array):
        super().write(layer, tensor, np.repeat(array[:, :1], 2, 1) if tensor == "schedule_normals" else array)


class OtherConnections(ReferenceSession):
    """Reads the connections in another order."""

    def write(self, layer, tensor, array):
        super().write(layer, tensor, np.roll(array, 8) if tensor == "filterConns[0]" else array)


class NoMean(ReferenceSession):
    """Without the mean of the gradients under superEps."""

    def run_update(self, layer, progress):
        super().run_update(layer, progress)
        if layer.name == "fc1":
            values, own = self.initial, self._tensors["fc1"]
            grad = own["weights_grad[0]"]
            delta = 0.9 * values["weights_inc[0]"] + 0.01 * grad / np.sqrt(0.1 * grad * grad + 0.1)
            own["weights[0]"] = (values["weights[0]"] + delta).astype(np.float32)

    def write(self, layer, tensor, array):
        super().write(layer, tensor, array)
        if layer == "fc1":
            self.initial = getattr(self, "initial", {}) | {tensor: array}


@pytest.mark.parametrize(
    ("session", "places"),
    [
        (OneContribution, {("again1", "backward", "weights_grad[0]"), ("fc2", "backward", "weights_inc[0]")}),
        (SameNoise, {("again1", "update", "weights_inc[0]"), ("fc2", "update", "weights_inc[0]")}),
        (OtherConnections, {("sparse1", "forward", "acts"), ("sparse1", "backward", "inputs_grad[0]")}),
        (NoMean, {("fc1", "update", "weights[0]")}),
    ],
)
def test_a_wrong_rule_is_found(tmp_path, session, places):
    work = workload(tmp_path)
    work.engines = [Faulty(session)]
    different = {key[:3] for key, status in statuses(work).items() if status == "different"}
    assert places <= different


@pytest.mark.parametrize("layer", ["sparse1", "again1", "local1", "fc4"])
def test_constraints_take_hold(tmp_path, layer):
    """Each of them changes the new weights by more than rounding does."""
    with_rules = {row.tensor: row for row in rows(workload(tmp_path, "port"), "isolated") if row.layer == layer}
    work = workload(tmp_path, params=without("wball", "wcNorm"))
    ruled = workload(tmp_path)
    work.values, ruled.engines = ruled.values, []
    new = {}
    for name, each in (("without", work), ("with", ruled)):
        each.engines = []
        each.on_tensor = lambda stream, name=name: new.setdefault(
            (name, stream.layer.name, stream.tensor), stream.reference
        )
        list(rows(each, "isolated"))
    assert with_rules["weights[0]"].findings["port"].status in ("identical", "equivalent")
    difference = new["with", layer, "weights[0]"] - new["without", layer, "weights[0]"]
    assert np.abs(difference).max() > 2**-10
