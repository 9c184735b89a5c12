"""Records of earlier versions of this program, one for each version of the format, still open."""

import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.errors import RecordError
from alexnet_rosetta.harness.judging.row import sentence
from alexnet_rosetta.harness.reporting import record

KEPT = sorted(Path(__file__).parent.glob("record-*.zip"))


@pytest.fixture(params=KEPT, ids=lambda path: path.stem)
def old(request, tmp_path):
    """`compare tiny --batch 4 --mode propagated` as an earlier program wrote it, without what repeats the record."""
    ZipFile(request.param).extractall(tmp_path)
    return tmp_path / "tiny"


def test_one_is_kept_for_each_version():
    assert [path.stem for path in KEPT] == [f"record-{version}" for version in range(1, record.VERSION + 1)]
    assert all(path.stat().st_size < 100_000 for path in KEPT)


def test_it_says_what_it_said(old):
    found = record.read(old)
    assert len(found.rows) == 171
    assert found.about["sentence"].startswith("272 of 272 tensors agree")
    assert sentence(found.rows).startswith("182 of 182 tensors agree")  # own feed is counted apart by now
    assert found.arrays["pictures"].shape == (4, 16, 16, 3)


def test_commands_take_it(old):
    run = CliRunner().invoke(cli, ["report", str(old)])
    assert (run.exit_code, run.output) == (0, f"report: {old / 'report.html'}\n")
    page = (old / "report.html").read_text(encoding="utf-8")
    assert "AlexNet Rosetta: report 1 of a record 1" in page
    assert "tensors agree" in page
    run = CliRunner().invoke(
        cli, ["study", "tiny", "conv1", "--batch", "4", "--html", str(old / "../site"), "--record", str(old)]
    )
    assert run.exit_code == 0, run.output


def test_a_record_of_a_later_version_says_so(old):
    about = json.loads((old / "record.json").read_text(encoding="utf-8"))
    (old / "record.json").write_text(json.dumps(about | {"version": record.VERSION + 1}), encoding="utf-8")
    with pytest.raises(RecordError, match="a newer version of this program opens the record"):
        record.read(old)
