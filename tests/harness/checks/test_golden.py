"""`rosetta check golden`: the recorded cases, and that the check can fail."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.checks.golden import check, files
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.engines.legacy import EntryPoints, EntryResult
from alexnet_rosetta.harness.errors import BadInput

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("module", EntryPoints.modules())
@pytest.mark.parametrize("stem", [path.stem for path in files.paths(GOLDEN)])
def test_every_recorded_case(stem, module):
    cases = files.read(GOLDEN / f"{stem}.npz")
    counts, problems = check.check_cases(cases, EntryPoints(module))
    assert not problems
    assert sum(counts.values()) == len(cases)


class Tampered(EntryPoints):
    """The engine, with its outcomes changed."""

    def __init__(self, isa, change):
        super().__init__(isa)
        self.change = change

    def call(self, entry, arguments):
        return self.change(super().call(entry, arguments))


def next_float(outcome):
    first, *others = outcome.outputs
    return replace(outcome, outputs=(np.nextafter(first, np.float32(np.inf)), *others))


CHANGES = {
    "a last bit": next_float,
    "a launch": lambda outcome: replace(outcome, launches=outcome.launches[1:]),
    "a shape": lambda outcome: replace(outcome, outputs=tuple(output.T for output in outcome.outputs)),
    "a refusal": lambda outcome: EntryResult(refusal="no"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_is_not_as_recorded_is_reported(change):
    (case, *_) = files.read(GOLDEN / "convFilterActs.npz")
    assert check.check_case(case, EntryPoints("strict"))[0] == "bit for bit"
    assert check.check_case(case, Tampered("strict", change))[0] == "not as recorded"


def test_a_call_that_was_refused_must_be_refused():
    case = next(case for case in files.read(GOLDEN / "convFilterActs.npz") if case.refused)
    accepted = Tampered("strict", lambda outcome: EntryResult(outputs=(np.zeros((1, 1), np.float32),)))
    assert check.check_case(case, EntryPoints("strict"))[0] == "refused as recorded"
    assert check.check_case(case, accepted)[0] == "not as recorded"


def test_command_prints_a_line_for_each_file_and_a_sum(tmp_path):
    shutil.copy(GOLDEN / "computeEltwiseMaxGrad.npz", tmp_path)
    result = CliRunner().invoke(cli, ["check", "golden", str(tmp_path)])
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == f"{9 * len(EntryPoints.modules())} calls: " + (
        f"{9 * len(EntryPoints.modules())} bit for bit."
    )


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no archive"])
def test_a_folder_without_recordings_is_bad_input(tmp_path, content):
    if content is not None:
        (tmp_path / "broken.npz").write_bytes(content)
    result = CliRunner().invoke(cli, ["check", "golden", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output.startswith("rosetta: ")


def test_a_file_of_something_else_is_no_recorded_case(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(BadInput, match="not a file of recorded cases"):
        files.read(tmp_path / "other.npz")
