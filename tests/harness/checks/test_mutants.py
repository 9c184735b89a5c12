"""`rosetta check mutants`: what the rules change, and that a mutant is noticed where it runs; a sample of each kind."""

import ast
import builtins
import os
import signal
import time
from collections import Counter
from functools import partial
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.checks.mutants import check, ladder, mutate, tokens
from alexnet_rosetta.harness.checks.mutants.compiled import Workshop
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.judging.finding import Finding
from alexnet_rosetta.harness.judging.row import Row

SOURCE = '''
"""A module."""
LIMIT = 3


def step(x, rate: float = 0.5):
    """Not 1 word of this is changed."""
    if x < LIMIT:
        x += rate * 2
    total = max(x, -rate)
    note(total, 0.0)
    require(x > 7, rate + 1, 8)
    zip(x, rate, strict=True)
    if array_equal(x, rate):
        return
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
        ("note(total, 0.0)", "note(0.0, total)"),
        ("note(total, 0.0)", "nothing"),
        ("0.0", "1.0"),
        ("x > 7", "x >= 7"),
        ("require(x > 7, rate + 1, 8)", "nothing"),
    ):
        assert change in found
    assert not any("LIMIT = " in before or before == "x + 1" or "word" in before for before, _ in found)
    for change in (
        ("rate + 1", "rate - 1"),
        ("8", "9"),
        ("True", "False"),
        ("array_equal(x, rate)", "array_equal(rate, x)"),
        ("max(x, -rate)", "max(-rate, x)"),
        ("0.0", "0.0"),
    ):
        assert change not in found


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


def change(file, text):
    return partial(
        check.install, file.split("/")[0], file.removesuffix(".py").replace("/", "."), check.ROOT / file, text
    )


@pytest.fixture(scope="module")
def first_rung():
    return [next(check.rungs(shared=True))]


def test_a_mutant_is_noticed_where_it_runs(first_rung):
    one = chosen("port/neurons.py", "t * t", "t / t")
    outcome = check.climb(change(one.file, mutate.mutated(check.ROOT / one.file, one.number)), first_rung)
    assert (outcome.rung, outcome.how, outcome.right) == ("zoo", "different", True)
    assert "_neuron backward" in outcome.detail


def test_a_mutant_that_crashes_is_noticed(first_rung):
    one = chosen("port/costs.py", "2", "3")
    outcome = check.climb(change(one.file, mutate.mutated(check.ROOT / one.file, one.number)), first_rung)
    assert (outcome.rung, outcome.how) == ("zoo", "crash")


@pytest.mark.parametrize(("status", "how"), [("unsupported", "different"), ("failed", "crash"), ("equivalent", "")])
def test_a_mutant_that_refuses_what_was_done_before_is_noticed(status, how):
    row = Row("fc1", "fc", "forward", "acts", (1, 1), {"port": Finding(status)})
    assert check.climb(lambda: None, [("a rung", lambda engine: iter([row]))]).how == how


@pytest.mark.parametrize(("rung", "right"), [("zoo", False), (ladder.SPREADS, True)])
def test_what_shows_where_it_did_not_run_is_misplaced_unless_the_engine_feeds_itself(rung, right):
    def elsewhere(engine):
        engine.now["place"] = "conv1", "forward"
        getattr(builtins, mutate.MARK)()
        yield Row("fc1", "fc", "forward", "acts", (1, 1), {"port": Finding("failed")})

    outcome = check.climb(lambda: None, [(rung, elsewhere)])
    assert (outcome.rung, outcome.how, outcome.right) == (rung, "crash", right)


def test_what_changes_nothing_survives(first_rung):
    path = check.ROOT / "port" / "costs.py"
    assert check.climb(change("port/costs.py", path.read_text()), first_rung) == check.Outcome()


def test_tests_notice_what_no_rung_shows():
    """A quotient by the share of a window, in the position of a switch that the reference has no formula for."""
    product = "grads * _share_inside(pool, grads.dtype)"
    one = chosen("port/pool.py", product, product.replace("*", "/"))
    first, *_, last = check.near(one)
    assert (os.path.basename(first), last) == ("test_op_pool.py", str(check.SWITCHES))
    outcome = check.climb(change(one.file, mutate.mutated(check.ROOT / one.file, one.number)), [], [first])
    assert (outcome.rung, outcome.how) == ("tests", "different")
    assert outcome.detail.startswith("tests/port/test_op_pool.py::test_averages_over_whole_windows")


def test_a_mutant_that_does_not_end_is_noticed_by_what_it_computed(monkeypatch, first_rung):
    monkeypatch.setattr(ladder, "PATIENCE", 1)
    outcome = check.climb(partial(exec, "while True: pass"), first_rung)
    assert outcome.how == "nothing came"


def test_of_a_mutant_that_waits_nothing_is_known(monkeypatch, first_rung):
    """A busy machine is no notice: the limit by the clock decides nothing."""
    monkeypatch.setattr(ladder, "WALL", 1)
    outcome = check.climb(partial(time.sleep, 60), first_rung)
    assert outcome.how == check.UNDECIDED


def test_a_child_that_dies_is_a_crash(first_rung):
    assert check.climb(lambda: os._exit(3), first_rung).how == "crash"
    assert ladder.ended(-signal.SIGSEGV).how == "crash"


@pytest.fixture
def unclimbed(monkeypatch):
    """No rungs, no tests: every mutant comes to the outcome that is given."""

    def give(outcome):
        monkeypatch.setattr(check, "rungs", lambda shared: iter([]))
        monkeypatch.setattr(check, "climb", lambda *_: outcome)

    return give


def test_a_run_goes_on_where_it_ended(monkeypatch, unclimbed, tmp_path):
    """What stands in the list is not run again; survivors are listed, those with a reason are not."""
    unclimbed(check.Outcome())
    monkeypatch.setattr(check, "equivalent", dict)
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


def test_what_is_not_known_is_run_again(unclimbed, tmp_path):
    unclimbed(check.Outcome("", check.UNDECIDED))
    words = ["check", "mutants", "--only", "port/threads.py", "--sample", "3", "--out", str(tmp_path)]
    result = CliRunner().invoke(cli.cli, words)
    assert result.exit_code == 3
    assert result.output.count("undecided port/threads.py") == 3
    unclimbed(check.Outcome("zoo", "different"))
    result = CliRunner().invoke(cli.cli, words)
    assert result.exit_code == 0
    assert "3 of 3 that compute something else were noticed" in result.output


def test_a_test_that_fails_anyway_notices_nothing(monkeypatch, unclimbed, tmp_path):
    """A test only counts if it passes without the change; otherwise it is left out, and the others are asked."""
    unclimbed(None)
    asked = []

    def climb(change, rungs, tests=(), engine="port"):
        asked.append(list(tests))
        fails = "test_a.py" in tests[0] and not any("--deselect" in one for one in tests)
        return check.Outcome("tests", "different", True, "test_a.py::test_it\n") if fails else check.Outcome()

    monkeypatch.setattr(check, "climb", climb)
    climber = check.Climber("judge", tmp_path, [])
    assert climber._noticed(None, [], ["test_a.py"], "harness") == check.Outcome()
    assert asked == [["test_a.py"], ["test_a.py::test_it"], ["test_a.py", "--deselect=test_a.py::test_it"]]


def test_a_fault_in_the_judge_is_noticed_by_a_test_of_the_judge(tmp_path):
    climber = check.Climber("judge", tmp_path, [])
    found = climber.climbed(chosen("harness/judging/verdict.py", "verdict.add(reference, actual)", "nothing"))
    assert (found["rung"], found["how"]) == ("tests", "different")
    assert found["detail"].startswith("tests/harness/judging/test_verdict.py::")


CODE = """
// A comment: 1 + 2
float half(const float* x, int n) {
    const int top = atLeast(0, n - 1);
    if (n < 3 && x[top] == 0.5f) fail(text("never 4 ", n + 1), -n);
    x[0] += 2 * x[top];
    return x[0];
}
"""


def test_the_changes_of_compiled_code(tmp_path):
    path = tmp_path / "half.cuh"
    path.write_text(CODE)
    found = {(one.before, one.after) for one in tokens.mutants(path, tmp_path)}
    line = 'if (n < 3 && x[top] == 0.5f) fail(text("never 4 ", n + 1), -n);'
    for old, new in (("n < 3", "n <= 3"), ("3 &&", "4 &&"), ("3 &&", "2 &&"), ("&&", "||"), ("==", "!="),
                     ("0.5f", "0.5005f"), (", -n", ", n"), ("[top]", "[left]")):  # fmt: skip
        assert (line, line.replace(old, new)) in found
    for old, new in (("atLeast", "atMost"), ("n - 1", "n + 1")):
        assert any(old in before and new in after for before, after in found)
    assert {("x[0] += 2 * x[top];", "x[0] -= 2 * x[top];"), ("x[0] += 2 * x[top];", ";")} <= found
    said = ("// A comment: 1 + 2", 'text("never 4 ", n + 1)')
    assert not any(part in before and part not in after != ";" for before, after in found for part in said)
    assert {one.function for one in tokens.mutants(path, tmp_path)} == {"half"}
    for one in tokens.mutants(path, tmp_path):
        assert tokens.mutated(path, one.number).count("\n") == CODE.count("\n")
        assert one.after in tokens.mutated(path, one.number)


def test_a_compiled_mutant_climbs(tmp_path, first_rung):
    """One file is compiled beside what the user runs; the same object code and what does not compile count apart."""
    workshop, file = Workshop(check.ROOT, tmp_path), "port/_gemm.pyx"
    text = (check.ROOT / file).read_text()
    assert workshop.mutant(file, text) == ("same", "", None)
    assert workshop.mutant(file, text.replace("<real>beta,", "<real>beto,"))[0] == "no program"
    changed = text.replace("<real>beta,", "<real>alpha,")
    assert changed != text
    how, module, library = workshop.mutant(file, changed)
    assert (how, module) == ("", "port._gemm")
    assert (tmp_path / "tree" / file).read_text() == text
    outcome = check.climb(partial(check.install, "port", module, library), first_rung)
    assert (outcome.rung, outcome.how, outcome.right) == ("zoo", "different", True)  # compiled code has no mark


def test_the_recorded_cases_are_a_rung():
    assert check.climb(lambda: None, [("golden", check.golden)]) == check.Outcome()

    def wrong():
        ladder.check_cases = lambda *_: (None, ["case 0: not as recorded"])

    outcome = check.climb(wrong, [("golden", check.golden)])
    assert (outcome.rung, outcome.how) == ("golden", "different")
    assert "case 0" in outcome.detail


@pytest.mark.parametrize("how", ["different", "crash", ""])
def test_what_the_recorded_cases_notice_climbs_no_further(monkeypatch, tmp_path, how):
    asked = []

    def climb(change, rungs, *_):
        asked.append([name for name, _ in rungs])
        return check.Outcome("", how) if len(asked) == 1 else check.Outcome("zoo", "different")

    monkeypatch.setattr(check, "climb", climb)
    climber = check.Climber("judge", tmp_path, [])
    climber.ladder, climber.workshop = [("zoo", None)], SimpleNamespace(mutant=lambda *_: ("", "legacy.x", tmp_path))
    found = climber.climbed(check._mutants(check.ROOT / "legacy" / "kernels" / "tree.cuh")[0])
    assert (found["rung"], found["golden"]) == (("golden", True) if how else ("zoo", False))
    assert asked == ([["golden"]] if how else [["golden"], ["zoo"]])


def test_the_report_says_which_lines_the_recorded_cases_do_not_notice(tmp_path):
    told, one = [], {**vars(check._mutants(check.ROOT / "legacy" / "kernels" / "tree.cuh")[0])}
    outcomes = [("golden", "crash", True), ("", "crash", False), ("", "", False)]
    found = [{**one, "rung": rung, "how": how, "right": True, "golden": seen} for rung, how, seen in outcomes]
    assert check._tell(found, tmp_path, told.append) == 1
    assert "first noticed by: 1 golden, 1 crash, 1 nobody" in told
    assert "the recorded cases notice 1 of 3" in told
    lines = (tmp_path / "golden.txt").read_text().splitlines()
    assert lines == [f"{one['file']}:{one['line']} {one['after']} ({who})" for who in ("crash", "nobody")]


def test_every_equivalent_is_one_mutant_and_has_a_reason():
    files = {path for of in check.ROOMS for path in check.files(of)}
    known = Counter(name for path in files for name in check.called(path.relative_to(check.ROOT).as_posix()))
    assert set(known.values()) == {1}
    for name, reason in check.equivalent().items():
        assert known[name] == 1, f"{name!r} is no mutant, or no longer called so"
        assert len(reason) > 10


@pytest.mark.parametrize("file", ["port/linear.py", "legacy/host/layers_squares.cpp"])
def test_an_entry_hides_no_other_mutant_of_its_name(monkeypatch, tmp_path, file):
    """Two changes of one line, or of two equal lines, that read alike: only the one that is listed is left out."""
    name = next(name for name in check.called(file) if name.endswith("#1 of 2"))
    pair = [check.called(file).index(f"{name.removesuffix('#1 of 2')}#{k} of 2") for k in (1, 2)]
    found = [{**vars(check._mutants(check.ROOT / file)[k]), "rung": "", "how": "", "right": True} for k in pair]
    monkeypatch.setattr(check, "equivalent", lambda: {name: "a reason"})
    assert check._tell(found, tmp_path, lambda _: None) == 1
    assert (tmp_path / "survivors.txt").read_text() == f"{check.called(file)[pair[1]]}\n"
    assert check._tell(found[:1], tmp_path, lambda _: None) == 0


def test_a_file_that_is_none_is_refused():
    result = CliRunner().invoke(cli.cli, ["check", "mutants", "--only", "port/convolution.py"])
    assert result.exit_code == 2
