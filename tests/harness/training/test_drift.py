"""Trajectories: correct engines are inside, solvers with a fault are not, and false alarms are counted."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from click.testing import CliRunner
from small_data import LEARNS, settings, write_data
from small_nets import write_net

from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.engines.legacy import LegacyCpu
from alexnet_rosetta.harness.engines.port import Port
from alexnet_rosetta.harness.training.drift import Drift, faults, passed


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drift")
    net = write_net(folder, *LEARNS)
    return replace(settings(net, write_data(folder / "data")), updates=4)


@pytest.fixture(scope="module")
def drift(asked):
    return Drift(asked, 12, 6)


def test_correct_engines_are_inside(drift):
    assert drift.false_positives[1:] == (0, comb(6, 3))
    for engine in (Port(), LegacyCpu()):
        outcome = drift.judge(engine.name, engine)
        assert outcome.member, str(outcome)


def test_faults_of_the_solver_are_outside(drift):
    found = {name: drift.judge(name, Port(), *more) for name, *more in faults(drift.network)}
    assert len(found) >= 20
    assert [str(each) for each in found.values() if each.member] == []
    assert {each.outside for each in found.values()} <= {2, 3}
    assert found["momentum of the last layer 0.99"].first[0] == 2  # the first update has no momentum yet
    assert found["momentum of the last layer 0.99"].first[1].startswith("fc2 ")


def test_false_alarms_are_counted_over_all_triples(drift):
    held = drift.held.copy()
    try:
        drift.held = np.concatenate([held[:4], np.full((2, *held.shape[1:]), 99.0)])
        assert drift.false_positives == (2, comb(2, 2) * 4, comb(6, 3))
    finally:
        drift.held = held


def test_the_command(asked, tmp_path):
    few = ["--updates", "2", "--batch", "16", "--ensemble", "6", "--held-out", "3"]
    more = ["--data", asked.data, "--engines", "port", "--out", str(tmp_path / "out")]
    run = CliRunner().invoke(cli, ["drift", asked.net, *few, *more])
    assert run.exit_code == 0, run.output
    assert "port: inside" in run.output
    assert "of the 1 ways to take three" in run.output
    assert (tmp_path / "out" / "drift.svg").read_bytes().startswith(b"<svg")
    page = (tmp_path / "out" / "drift.html").read_text()
    for part in (
        "port is inside",
        "2 updates of 16 cases",
        "of the 1 ways to take three",
        "<svg",
        "weights and momentum: the farthest",
    ):
        assert part in page


def test_the_page_names_what_is_outside(drift, tmp_path):
    """Names from a layer file are escaped; a fault inside is no success."""
    drift.network = replace(drift.network, name="<b>small")
    found = [drift.judge(name, Port(), *more) for name, *more in faults(drift.network)[:2]]
    drift.write(
        tmp_path, [replace(found[0], name="port")], [found[1], replace(found[1], outside=1, name="<i>", first=None)]
    )
    page = (tmp_path / "drift.html").read_text()
    for part in ("port is OUTSIDE; 1 of 2 faults are outside", 'class="sentence bad"', "&lt;b&gt;small", "&lt;i&gt;",
                 found[1].first[1], "3 of 3"):  # fmt: skip
        assert part in page
    assert passed([], found)
    assert not passed(found, [])
