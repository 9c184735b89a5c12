"""`rosetta check bound`: what an attack draws, and that the search finds a bound that is too narrow."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.checks import bound
from alexnet_rosetta.harness.checks.faults.catalogue import FAULTS
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.engines.legacy import LegacyCpu
from alexnet_rosetta.harness.engines.wrapped import AsMeant
from alexnet_rosetta.harness.reference import bounded
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows

NAMED = {attack.name: attack for attack in bound.ATTACKS}


def drawn(name, shape=(64, 50), **changes):
    return replace(NAMED[name], **changes).draw(np.random.default_rng(0), shape)


def test_an_attack_draws_what_its_name_says():
    assert len(np.unique(drawn("equal terms"))) == 1
    assert (drawn("positive") > 0).all()
    signs = np.sign(drawn("alternating signs"))
    assert (signs[::2] == 1).all()
    assert (signs[1::2] == -1).all()
    mantissas, _ = np.frexp(drawn("few bits").astype(np.float64))
    assert set(np.unique(mantissas * 8)) <= {4, 5, 6, 7, 8}
    assert np.mean(drawn("sparse") == 0) == pytest.approx(0.95, abs=0.02)
    smallest = np.abs(drawn("next to the smallest"))
    assert ((smallest > 0) & (smallest < 2.0**-126)).mean() > 0.3
    assert np.abs(drawn("large")).mean() > 1000


def test_a_neighbour_stays_within_the_limits():
    random = np.random.default_rng(1)
    for _ in range(200):
        attack = NAMED["ordinary"].varied(random, 3.0)
        assert 0 <= attack.zeros < 1
        assert 0 <= attack.bits <= 23
        assert np.isfinite(attack.draw(random, (5, 5))).all()


@pytest.fixture
def few(monkeypatch):
    """Two scenes in place of all."""
    monkeypatch.setattr(bound, "FAULTS", [one for one in FAULTS if one.name in ("norm-mirror", "conv-padding")])
    monkeypatch.setattr(bound, "LARGE", ())


@pytest.mark.usefixtures("few")
def test_correct_engines_stay_inside():
    lines = []
    assert bound.check_bound(lines.append, trials=20_000, nets=()) == 0
    assert int(lines[0].split()[0].replace(",", "")) >= 20_000
    assert [line.split()[2] for line in lines[-2:]] == ["0", "0"]


@pytest.mark.usefixtures("few")
def test_a_bound_that_is_too_narrow_is_found(monkeypatch):
    monkeypatch.setattr(bounded, "ROUNDOFF", bounded.ROUNDOFF / 32)
    lines = []
    assert bound.check_bound(lines.append, trials=20_000, nets=()) == 1
    assert lines[-2].split()[2] != "0"


def test_equal_terms_conspire():
    """What docs/verdict.md says of them: the equal terms of a gradient, added one by one, leave the bound."""
    passes = ("forward", "backward")
    options = Options("tiny", engines=("reference",), input="random", batch=128, threads=1, passes=passes)
    work = bound.attacked(prepare(options), NAMED["equal terms"], 0, AsMeant(LegacyCpu()))
    for row in rows(work, "isolated"):
        if (row.layer, row.tensor) == ("conv1", "weights_grad[0]"):
            (found,) = row.findings.values()
    assert 1 < found.share < 2


@pytest.mark.usefixtures("few")
def test_the_search_gives_the_same_twice(monkeypatch):
    monkeypatch.setattr(bound, "check_bound", lambda echo, **options: original(echo, nets=(), **options))
    first, second = (CliRunner().invoke(cli.cli, ["check", "bound", "--trials", "20000"]).output for _ in range(2))
    assert first == second
    assert "'" in first


original = bound.check_bound
