"""What differs between two records, and what is noise."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness import comparison as api
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.reporting import diff, record
from alexnet_rosetta.harness.running.prepare import Options


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two records of the same run."""
    folder = tmp_path_factory.mktemp("diff")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "report", SimpleNamespace(write=lambda folder: None))
        return [
            api.compare("tiny", batch=4, threads=1, engines="port", repeat=5, out=folder / name).record
            for name in ("a", "b")
        ]


def headings(old, new):
    return [(one.heading, one.worse) for one in diff.differences(old, new)]


def without_times(path):
    found = record.read(path)
    return replace(found, about=found.about | {"timings": {}})


def test_two_identical_runs_differ_in_nothing(runs):
    assert list(diff.differences(*map(without_times, runs))) == []
    kept = record.read(runs[0]).about["timings"]
    assert {len(samples) for steps in kept["port"].values() for samples in steps.values()} <= set(range(6))
    assert sum(len(steps) for steps in kept["port"].values()) == 45
    result = CliRunner().invoke(cli.cli, ["diff", str(runs[0]), str(runs[0])])
    assert (result.exit_code, result.output) == (0, "nothing differs\ntimes: ~ 45 steps inside the noise\n")


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"batch": 8}, "options.batch: 4 → 8"),
        ({"seed": 1}, "options.seed: 0 → 1"),
        ({"threads": 2}, "environment.threads: 1 → 2"),
        ({"quirks": ("max-ties-full=off",)}, "quirks.port.max-ties-full: True → False"),
        ({"engines": "reference"}, "engines.reference: None → "),
    ],
)
def test_set_ups_come_first(runs, change, shown, tmp_path, monkeypatch):
    monkeypatch.setattr(api, "report", SimpleNamespace(write=lambda folder: None))
    options = {"batch": 4, "threads": 1, "engines": "port"} | change
    new = api.compare("tiny", passes="forward", out=tmp_path / "new", **options).record
    found = list(diff.differences(record.read(runs[0]), record.read(new)))
    assert found[0].heading == "set-up"
    assert any(one.text.startswith(shown) for one in found)
    drawn = [one.text for one in found if one.text.startswith("the array mask.")]
    assert bool(drawn) == (change.keys() <= {"batch", "seed"})


def test_layer_files_weights_and_draws_are_part_of_the_set_up(runs, tmp_path, monkeypatch):
    old = record.read(runs[0])
    for place in ("network.files", "inputs.sha256", "environment.packages", "engines"):
        new = json.loads(json.dumps(old.about))
        *path, last = place.split(".")
        inner = new[path[0]] if path else new
        inner[last] = json.loads(json.dumps(inner[last]).replace("a", "b"))
        found = [one.text for one in diff.differences(old, replace(old, about=new))]
        assert found
        assert all(text.startswith(place) for text in found)
    arrays = {name: 1 - array for name, array in old.arrays.items() if name.startswith("mask.")}
    assert headings(old, replace(old, arrays=old.arrays | arrays)) == [("set-up", False)] * len(arrays)


def test_a_verdict_that_gets_worse_fails_and_a_better_one_does_not(runs):
    old, new = map(without_times, runs)
    row = new.rows[3]
    row.findings["port"] = replace(row.findings["port"], status="different", share=12.5)
    assert headings(old, new) == [("verdicts", True)]
    assert headings(new, old) == [("verdicts", False)]
    assert [diff.report(*pair)[1] for pair in ((old, new), (new, old))] == [1, 0]
    assert "→ different" in diff.report(old, new)[0][1]
    row.findings["port"] = replace(old.rows[3].findings["port"], share=0.9)
    assert headings(old, new) == [("other numbers, same verdict", False)]
    del new.rows[3]
    assert headings(old, new) == [("verdicts", True)]


def timings(random, slowed=1.0, machine=1.0, load=0.1):
    """Samples as a busy machine gives them: some of them much longer, and a step that a factor slows."""
    steps = {}
    for k in range(40):
        own = 10.0 ** (k % 3 - 3.0) * machine * (slowed if k == 7 else 1.0)
        noise = 1 + 0.03 * random.random(15) + (random.random(15) < load) * random.random(15) * 3
        steps[f"layer{k}"] = {"forward": list(own * noise)}
    return {"port": steps}


def test_a_fifth_of_the_samples_lies_below_the_low_one():
    assert [diff._low(list(range(count))[::-1]) for count in (1, 4, 5, 9, 10, 15)] == [0, 0, 1, 1, 2, 3]


@pytest.mark.parametrize("machine", [1.0, 1.4])
def test_a_slowed_layer_is_reported_and_noise_is_not_20_of_20(machine):
    for seed in range(20):
        random = np.random.default_rng(seed)
        quiet, slow = timings(random), timings(random, 1.5, machine)
        assert [one.text.split()[1] for one in diff._times(quiet, slow)] == ["layer7"]
        assert [(one.text.split()[1], one.worse) for one in diff._times(slow, quiet)] == [("layer7", False)]
        assert list(diff._times(quiet, timings(random, 1.0, machine))) == []


@pytest.mark.parametrize(
    ("machine", "before", "after", "slower"),
    [
        (1.0, 1e-3, 1.29e-3, []),
        (1.0, 1e-3, 1.31e-3, [True]),
        (1.0, 1.29e-3, 1e-3, []),
        (1.0, 1.31e-3, 1e-3, [False]),
        (1.0, 1e-2, 1.24e-2, []),
        (1.0, 1e-2, 1.26e-2, [True]),
        (2.0, 1e-2, 1.24e-2, []),
        (2.0, 1e-2, 1.26e-2, [True]),
        (0.5, 1e-3, 1.5e-3, []),
        (0.5, 1e-3, 1.7e-3, [True]),
    ],
)
def test_a_change_counts_from_a_quarter_and_from_the_least(machine, before, after, slower):
    """Where the machine is slower throughout, what goes beyond that counts."""
    old, new = (
        {"port": {f"layer{k}": {"forward": [(1e-2 if k else own) * factor] * 5} for k in range(9)}}
        for own, factor in ((before, 1.0), (after, machine))
    )
    assert [one.worse for one in diff._times(old, new)] == slower


def test_times_without_repetitions_are_not_compared(runs):
    old, new = map(without_times, runs)
    assert diff.report(old, new) == (["nothing differs", f"times: not compared; {diff.REPEAT}"], 0)


def test_bad_input_is_one_line(runs, tmp_path):
    shutil.copytree(runs[0], tmp_path / "cut")
    (tmp_path / "cut" / "record.json").write_text("{")
    for other in ("nowhere", "cut"):
        result = CliRunner().invoke(cli.cli, ["diff", str(runs[0]), str(tmp_path / other)])
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
    with pytest.raises(BadInput, match="whole training steps"):
        Options("tiny", repeat=3, passes=("forward",))
