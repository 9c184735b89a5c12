"""`rosetta check mutants`: what the rules change, and that a mutant is noticed where it runs."""

import ast

import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.checks.mutants import check, mutate
from alexnet_rosetta.harness.cli import commands as cli

SOURCE = '''
"""A module."""
LIMIT = 3


def step(x, rate: float = 0.5):
    """Not 1 word of this is changed."""
    if x < LIMIT:
        x += rate * 2
    total = max(x, -rate)
    note(total)
    raise ValueError(x + 1)
'''


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "port" / "small.py"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return path


def test_the_changes(source):
    found = {(one.before, one.after) for one in mutate.mutants(source, source.parents[1])}
    for change in (
        ("x < LIMIT", "x <= LIMIT"),
        ("x += rate * 2", "x -= rate * 2"),
        ("x += rate * 2", "nothing"),
        ("rate * 2", "rate / 2"),
        ("rate * 2", "rate"),
        ("2", "3"),
        ("0.5", "0.5005"),
        ("-rate", "rate"),
        ("max(x, -rate)", "max(-rate, x)"),
        ("note(total)", "nothing"),
    ):
        assert change in found
    assert not any("LIMIT = " in before or before == "x + 1" or "word" in before for before, _ in found)


def test_each_mutant_is_one_change_with_a_mark_in_front(source):
    plain = ast.unparse(ast.parse(SOURCE))
    found = mutate.mutants(source, source.parents[1])
    texts = [mutate.mutated(source, one.number) for one in found]
    assert len(set(texts)) == len(found)
    for one, text in zip(found, texts, strict=True):
        lines = text.splitlines()
        assert sum(line.strip() == f"{mutate.MARK}()" for line in lines) == 1, one
        bare = [line for line in lines if line.strip() != f"{mutate.MARK}()"]
        assert sum(a != b for a, b in zip(bare, plain.splitlines(), strict=True)) == 1, one
    with pytest.raises(IndexError):
        mutate.mutated(source, len(found))


def chosen(file, before, after):
    path = check.ROOT / file
    return next(one for one in mutate.mutants(path, check.ROOT) if (one.before, one.after) == (before, after))


def climbed(one, ladder):
    path = check.ROOT / one.file
    return check.climb(one.file, path, mutate.mutated(path, one.number), ladder)


@pytest.fixture(scope="module")
def ladder():
    """The first rung."""
    return [next(check.rungs(shared=True))]


def test_a_mutant_is_noticed_where_it_runs(ladder):
    outcome = climbed(chosen("port/neurons.py", "t * t", "t / t"), ladder)
    assert (outcome.rung, outcome.how, outcome.right) == ("zoo", "different", True)
    assert "_neuron backward" in outcome.detail


def test_a_mutant_that_crashes_is_noticed(ladder):
    outcome = climbed(chosen("port/costs.py", "2", "3"), ladder)
    assert (outcome.rung, outcome.how) == ("zoo", "crash")


def test_what_changes_nothing_survives(ladder):
    path = check.ROOT / "port" / "costs.py"
    assert check.climb("port/costs.py", path, path.read_text(), ladder) == check.Outcome()


def test_a_run_goes_on_where_it_ended(monkeypatch, tmp_path):
    """What stands in the list is not run again; survivors are listed, those with a reason are not."""
    monkeypatch.setattr(check, "rungs", lambda shared: iter([]))
    monkeypatch.setattr(check, "climb", lambda *_: check.Outcome())
    monkeypatch.setattr(check, "_tested", lambda one: check.Outcome())
    words = ["check", "mutants", "--only", "port/threads.py", "--out", str(tmp_path)]
    result = CliRunner().invoke(cli.cli, words)
    assert result.exit_code == 1
    names = (tmp_path / "survivors.txt").read_text().splitlines()
    assert names
    assert result.output.count("survived port/threads.py") == len(names)
    monkeypatch.setattr(check, "climb", lambda *_: pytest.fail("run again"))
    monkeypatch.setattr(check, "equivalent", lambda: dict.fromkeys(names, "a reason"))
    result = CliRunner().invoke(cli.cli, words)
    assert result.exit_code == 0, result.output
    assert f"{len(names)} are equivalent" in result.output


def test_equivalents_are_mutants_and_have_reasons():
    known = {one.name for path in check.files() for one in mutate.mutants(path, check.ROOT)}
    for name, reason in check.equivalent().items():
        assert name in known
        assert len(reason) > 10


def test_a_file_that_is_none_is_refused():
    result = CliRunner().invoke(cli.cli, ["check", "mutants", "--only", "port/convolution.py"])
    assert result.exit_code == 2
