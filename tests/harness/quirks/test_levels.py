"""Levels: the switches of a release, in every engine and in the recorded cases."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from small_nets import write_net

from alexnet_rosetta.harness.checks.golden import check, files
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.comparison import compare
from alexnet_rosetta.harness.engines import find as find_engine
from alexnet_rosetta.harness.engines.legacy import EntryPoints
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.load import load
from alexnet_rosetta.harness.quirks import LEDGER, levels
from alexnet_rosetta.harness.quirks.quirk import SAYS, YEARS
from alexnet_rosetta.harness.quirks.settings import open_session, parse, switches
from alexnet_rosetta.harness.reporting import record, report
from alexnet_rosetta.legacy import quirk_defaults

GOLDEN = Path(__file__).parents[2] / "golden"
ENGINES = ("legacy-cpu", "port")


@pytest.mark.parametrize("name", LEDGER)
def test_the_ledger_says_when_a_quirk_appeared_was_mended_and_became_optional(name):
    quirk = LEDGER[name]
    words = quirk.releases.split()
    assert len(words) == len(YEARS)
    assert set(words) <= set(SAYS)
    assert "on" in words  # some release had it
    assert not quirk.said(2011).startswith("(")  # only the sources of 2012 are missing
    assert quirk.appeared == "not said" or quirk.position(int(quirk.appeared)) is True
    assert quirk.mended in ("never", "not said") or quirk.position(int(quirk.mended[:4])) is not True
    assert quirk.optional in (None, *YEARS)


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("name", LEDGER)
def test_a_level_turns_a_quirk_as_the_ledger_says(name, year):
    """In every engine that has the switch, from either position; what the ledger does not know stays."""
    for engine in map(find_engine, ENGINES):
        before = switches(engine)
        if name not in before:
            continue
        now = before | parse((), [engine], str(year))[engine.name]
        expected = {"on": True, "(on)": True, "off": False, "(off)": False}.get(LEDGER[name].said(year), before[name])
        assert now[name] is expected, engine.name


@pytest.mark.parametrize("engine", ENGINES)
def test_sessions_have_the_switches_of_the_level(engine):
    """Of both engines, whatever the level has otherwise than they."""

    class Noting(type(find_engine(engine))):
        def open(self, network, threads):
            session = super().open(network, threads)
            turn, self.turned = session.set_quirk, {}
            session.set_quirk = lambda name, on: (self.turned.update({name: on}), turn(name, on))
            return session

    noting = Noting()
    for year in YEARS:
        open_session(noting, load("tiny"), 1, parse((), [noting], str(year))[engine])
        own = noting.quirks()
        assert noting.turned == {name: on for name, on in levels.positions(year).items()
                                 if own.get(name, on) != on}  # fmt: skip
        assert noting.turned


def test_a_switch_of_ones_own_comes_on_top_and_a_level_may_be_one_engines():
    engines = [find_engine(name) for name in ENGINES]
    found = parse(["port:lrn-k-from-file=on"], engines, "port:2011")
    assert found["legacy-cpu"] == {}
    assert found["port"]["lrn-k-from-file"] is True
    assert found["port"]["softrelu-gradient-at-output"] is True


@pytest.mark.parametrize("text", ["2013", "12", "torch:2012", "2012:port", ":", "on"])
def test_there_is_no_such_level(text):
    with pytest.raises(BadInput, match=r"there is no level.*expected 2011, 2012, 2014"):
        parse((), [find_engine("port")], text)


def test_the_record_and_the_sentence_name_the_level(tmp_path):
    found = compare(write_net(tmp_path), engines=ENGINES, input="random", batch=4, level="2014", out=tmp_path / "run")
    assert found.sentence.endswith("Quirks of all engines as in 2014.")
    kept = record.read(found.record)
    assert kept.about["options"]["level"] == "2014"
    assert kept.about["sentence"] == found.sentence
    assert kept.about["quirks"]["port"]["href-overwrites"] is True
    assert kept.about["quirks"]["legacy-cpu"]["crossent2-sign"] is False
    assert all("--level 2014" in row.command for row in kept.rows)
    assert b"- level: 2014" in report.rendered(found.record, "markdown")
    left = next(str(note) for note in kept.about["network"]["warnings"] if "--level" in str(note))
    assert left.startswith("--level 2014 leaves where they stand: ")
    assert "decay-in-momentum (not said)" in left
    assert "tica" not in left  # touches no layer


def test_of_2011_the_constant_of_a_norm_is_explained(tmp_path):
    found = compare("tiny", engines=("port",), batch=4, passes=("forward",), level="port:2011")
    differs = {row.layer: row.quirk for row in found.table if row.findings["port"].fails}
    assert differs == {name: {"port": ("lrn-k-from-file",)} for name in differs}
    assert differs
    assert found.sentence.endswith("Quirks of port as in 2011.")


def test_entry_points_have_the_switches_of_the_level(monkeypatch):
    seen = {}
    monkeypatch.setattr("alexnet_rosetta.legacy.quirks", lambda **own: (seen.update(own), _nothing())[1])
    case = files.read(GOLDEN / "neuron.npz")[0]
    EntryPoints("strict").call(case.entry, case.arguments())
    then = levels.positions(2011)
    assert seen == {name.replace("-", "_"): then[name] for name in quirk_defaults() if name in then}


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


def test_recorded_files_say_of_which_level_they_are():
    found = [levels.of_file(path.stem) for path in files.paths(GOLDEN)]
    assert {year: found.count(year) for year in YEARS} == {2011: 40, 2012: 10, 2014: 12}  # as PROVENANCE.md says


@pytest.mark.parametrize(("stem", "fails_at"), [
    ("neuron", {2012, 2014}),  # softrelu's slope, and neurons that came later or went
    ("neuron_alexnet", {2011, 2014}),
    ("convResponseNormCrossMap_cc2", {2011, 2012}),
    ("convResponseNormUndo_cc2", {2011, 2012}),
    ("convLocalMaxUndo", set()),  # the same in all
])  # fmt: skip
def test_recorded_cases_hold_under_their_own_level_and_others_fail_where_releases_differ(stem, fails_at):
    path, engine = GOLDEN / f"{stem}.npz", EntryPoints("strict")
    assert not check.check_cases(files.read(path), engine)[1]
    assert {year for year in YEARS if check.check_cases(files.read(path, year), engine)[1]} == fails_at


def test_the_ledger_decides_and_not_the_engine(monkeypatch):
    """Were the ledger wrong about softrelu, the recorded cases of 2011 would say so."""
    monkeypatch.setattr(levels, "positions", lambda year: {"softrelu-gradient-at-output": year != 2011})
    _, problems = check.check_cases(files.read(GOLDEN / "neuron.npz"), EntryPoints("strict"))
    assert problems


def test_the_command_takes_another_level(tmp_path):
    (tmp_path / "neuron.npz").write_bytes((GOLDEN / "neuron.npz").read_bytes())
    run = lambda *more: CliRunner().invoke(cli, ["check", "golden", str(tmp_path), *more])  # noqa: E731
    assert run().exit_code == 0
    assert " 2011 strict " in run().output
    other = run("--level", "2012")
    assert other.exit_code == 1
    assert " 2012 strict " in other.output
