"""`rosetta check rules`: what each published rule accepts, and the arena on two faults."""

import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.checks.faults.catalogue import FAULTS
from alexnet_rosetta.harness.checks.rules import arena, published
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.judging.verdict import judge
from alexnet_rosetta.harness.reference import Bounded

RANDOM = np.random.default_rng(3)
REFERENCE = RANDOM.standard_normal(400) + np.sign(RANDOM.standard_normal(400)) * 4
ROUNDED = REFERENCE.astype(np.float32).astype(np.float64)


def case(x, r=ROUNDED, terms=4.0):
    return published.EngineTensor(x, r, np.abs(r), np.full(r.shape, terms), ROUNDED)


def test_every_rule_accepts_what_is_right_and_refuses_what_is_not():
    assert len(published.RULES) >= 25
    for name, (source, score) in published.RULES.items():
        assert source, name
        assert score(case(ROUNDED)) <= 1, name
        assert score(case(-2 * ROUNDED)) > 1, name


# The largest relative error of all elements that a rule allows, where the reference is about 4.
ALLOWED = {
    "this project": 8 * 2 * 2**-24,
    "BLAS testers": 16 * 2**-23,
    "worst case n u M": 4 * 2**-24,
    "BLIS": 1e-5,
    "ICON4Py": 3e-6,
    "ggml": 1e-7**0.5,
    "Julia": 2**-11.5,
    "R": 1.5e-8,
    "PyTorch gradcheck": 1e-3,
    "cs231n": 1e-4,
    "SGLang": (2e-3) ** 0.5,
    "PaDiff": 1e-7,
}


@pytest.mark.parametrize(("name", "share"), ALLOWED.items())
def test_the_constant_of_a_rule(name, share):
    score = published.RULES[name][1]
    assert score(case(ROUNDED * (1 + 0.9 * share))) <= 1
    assert score(case(ROUNDED * (1 + 1.2 * share))) > 1


def test_our_rule_is_the_one_that_judges():
    reference = Bounded(REFERENCE, np.abs(REFERENCE), 4)
    for share in np.linspace(0.2, 2, 19):
        x = (REFERENCE * (1 + share * 16 * 2**-24)).astype(np.float32)
        found = judge(reference, x)
        score = published.RULES[published.OURS][1](
            published.EngineTensor(x.astype(np.float64), REFERENCE, np.abs(REFERENCE), np.full(400, 4.0), ROUNDED)
        )
        assert score == pytest.approx(found.share, rel=1e-6)
        assert (score <= 1) == found.agrees


def test_rules_meet_in_the_arena(monkeypatch, tmp_path):
    """Correct variations are accepted, two bugs are found in both engines, and a picture is drawn."""
    monkeypatch.setattr(arena, "SCALES", (1.0,))
    monkeypatch.setattr(arena, "FAULTS", [fault for fault in FAULTS if fault.name in ("norm-mirror", "conv-padding")])
    chart = tmp_path / "rules.svg"
    result = CliRunner().invoke(cli.cli, ["check", "rules", "--nets", "1", "--chart", str(chart)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    (ours,) = (line.split() for line in lines if " this project " in line)
    assert ours[3:5] == ["0.00%", "0.00%"]
    (bits,) = (line.split() for line in lines if " the same bits " in line)
    assert float(bits[4].rstrip("%")) > 20
    assert "<svg" in chart.read_text()


def test_a_bug_that_our_rule_misses_is_named(monkeypatch):
    tallies = {name: arena.Tally(correct=[0.5], bugs=[3.0]) for name in published.RULES}
    tallies[published.OURS].bugs.append(0.5)
    tallies[published.OURS].missed.append("a fault in port, input × 1")
    lines = arena.table(tallies)
    assert "missed by this project: a fault in port, input × 1" in lines
    assert any("50.00%" in line for line in lines if " this project " in line)
    assert lines[1].split()[:3] == ["rule", "false", "alarms"]


@pytest.mark.parametrize("words", [["--chart", "rules.txt"], ["--nets", "-1"]])
def test_what_cannot_be_done_is_refused(words):
    assert CliRunner().invoke(cli.cli, ["check", "rules", *words]).exit_code == 2
