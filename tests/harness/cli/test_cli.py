import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_nets
from click.testing import CliRunner
from small_nets import DEFINITION, BentFilter, Faulty, NoPooling, Raising, write_net

from alexnet_rosetta.harness import engines, machine, read_record
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.cli import terminal
from alexnet_rosetta.harness.engines.protocol import Engine
from alexnet_rosetta.harness.errors import Unsupported
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.reporting import lines as display
from alexnet_rosetta.harness.running import prepare as run

ROSETTA = [sys.executable, "-m", "alexnet_rosetta.harness.cli.commands"]


@pytest.fixture
def rosetta(tmp_path, monkeypatch):
    """Run the command in an empty folder; returns click's result."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(cli.cli, [str(arg) for arg in args])


def compare(rosetta, tmp_path, *more, engine="reference"):
    return rosetta("compare", write_net(tmp_path), "--engines", engine, "--input", "random", "--batch", 4, *more)


def double(monkeypatch, session):
    """Make an engine called `double` of a test session."""
    real = engines.find
    monkeypatch.setattr(engines, "find", lambda name: Faulty(session) if name == "double" else real(name))


def one_line_error(result):
    assert result.exit_code == 2
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("rosetta: ")
    return lines[0]


def test_bare_rosetta_names_five_commands(rosetta):
    result = rosetta()
    assert result.exit_code == 0
    assert sum(line.startswith("  rosetta ") for line in result.output.splitlines()) == 5


def test_the_version_and_the_commit(rosetta, monkeypatch):
    monkeypatch.setattr(machine, "commit", lambda: "0123abc")
    result = rosetta("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"rosetta \d+(\.\w+)+(\+\S+)?, commit 0123abc\n", result.output)


def test_list(rosetta):
    result = rosetta("list")
    assert result.exit_code == 0
    for word in (*networks.shipped(), *engines.BUILT_IN, "photos", "astronaut", "60,965,224", str(networks.SHIPPED)):
        assert word in result.output


def test_doctor_says_why_not(rosetta, monkeypatch):
    class Absent(Engine):
        name = "port"

        def probe(self):
            return False, "the moon is in the wrong quarter"

        def open(self, network, threads):
            raise AssertionError

    real = engines.find
    monkeypatch.setattr(engines, "find", lambda name: Absent() if name == "port" else real(name))
    result = rosetta("doctor")
    assert result.exit_code == 0
    assert re.search(r"✗ port +the moon is in the wrong quarter", result.output)
    assert "✓ reference" in result.output


def test_compare_prints_rows_and_leaves_a_record(rosetta, tmp_path):
    result = compare(rosetta, tmp_path)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[-1].startswith("37 of 37 tensors agree")
    assert any(line.startswith(("= conv1 ", "~ conv1 ")) for line in lines)
    assert not any("\x1b" in line for line in lines)
    folder = tmp_path / "runs" / "small"
    assert {path.name for path in folder.iterdir()} >= {"record.json", "arrays.npz", "results.csv", "report.html"}
    about = json.loads((folder / "record.json").read_text())
    assert about["status"] == "complete"
    assert len(about["rows"]) == 37
    assert about["sentence"] == lines[-1]


def test_a_difference_is_exit_code_1_and_explained(rosetta, tmp_path, monkeypatch):
    double(monkeypatch, BentFilter)
    result = compare(rosetta, tmp_path, engine="double")
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("! ")]
    assert "conv1" in line
    assert "0,2,1,3" in line
    assert "1 of 4096 elements outside the bound; at channel 0, y 2, x 1, image 3: 3, reference" in result.output


def test_propagated_differences_that_are_inherited_are_no_failure(rosetta, tmp_path, monkeypatch):
    result = compare(rosetta, tmp_path, "--mode", "propagated")
    assert result.exit_code == 0
    assert "each engine now feeds itself" in result.output


def test_what_was_not_compared_is_exit_code_3(rosetta, tmp_path, monkeypatch):
    double(monkeypatch, NoPooling)
    result = compare(rosetta, tmp_path, "--out", "run", engine="double")
    assert result.exit_code == 3
    assert result.output.splitlines()[-1].startswith("35 of 37 tensors agree")
    assert 'class="sentence open"' in (tmp_path / "run" / "report.html").read_text()
    result = compare(rosetta, tmp_path, "--allow", "unsupported", "--out", "run", engine="double")
    assert result.exit_code == 0
    assert 'class="sentence allowed"' in (tmp_path / "run" / "report.html").read_text()


def test_nothing_compared_is_exit_code_3(rosetta, tmp_path, monkeypatch):
    class Nothing(NoPooling):
        def forward(self, layer, inputs=None, mask=None):
            raise Unsupported("not today")

    double(monkeypatch, Nothing)
    result = compare(rosetta, tmp_path, "--passes", "forward,backward", engine="double")
    assert result.exit_code == 3
    assert "Nothing: unsupported: not today" in result.output
    assert "Nothing was compared" in result.output


def test_keep_stores_tensors(rosetta, tmp_path):
    compare(rosetta, tmp_path, "--keep", "--out", "kept")
    index = [json.loads(line) for line in (tmp_path / "kept" / "tensors" / "index.jsonl").read_text().splitlines()]
    (file,) = [x["file"] for x in index if (x["layer"], x["tensor"], x["of"]) == ("fc1", "acts", "reference")]
    assert np.load(tmp_path / "kept" / "tensors" / file).shape == (12, 4)


def test_report_can_be_written_again(rosetta, tmp_path):
    compare(rosetta, tmp_path)
    result = rosetta("report", "runs/small", "--out", "again.html")
    assert result.exit_code == 0
    assert "37 of 37 tensors agree" in (tmp_path / "again.html").read_text()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ("alexnett",),
            (
                "alexnett",
                "did you mean alexnet?",
                "shipped networks: alexnet, caffe, cifar, convnet2, fashion, photos, release, tiny",
            ),
        ),
        (("tiny", "--engines", "referense"), ("did you mean reference?",)),
        (("tiny", "--quirk", "max-tie-full=off"), ("did you mean max-ties-full?",)),
        (("tiny", "--quirk", "prot:max-ties-full=off"), ("did you mean port?",)),
        (("tiny", "--params", "none.cfg"), ("none.cfg",)),
        (("tiny", "--engines", "cuda"), ("cuda", "port", "reference")),
        (("tiny", "--engines", ""), ("engines",)),
        (("tiny", "--engines", "reference,reference"), ("once",)),
        (("tiny", "--engines", "reference", "--passes", "sideways"), ("sideways", "forward, backward, update")),
        (("tiny", "--engines", "reference", "--input", "none.npz"), ("none.npz", "no such file")),
        (("tiny", "--threads", "100000"), ("--threads", "1 to 1024", "100000")),
        (("tiny", "--update-every", 10**12), ("--update-every 1 to 10000", "1000000000000")),
        (("tiny", "--engines", "reference", "--weights", "none.npz"), ("none.npz", "no such file")),
        (("tiny", "--engines", "reference", "--input", "exact", "--batch", "6"), ("power of two", "--batch 4")),
    ],
)
def test_bad_input_is_one_line_with_a_hint_and_leaves_nothing(rosetta, tmp_path, args, words):
    line = one_line_error(rosetta("compare", *args))
    assert all(word in line for word in (*words, "hint"))
    assert not (tmp_path / "runs" / "tiny").exists()


def test_a_malformed_file_is_named_with_line_layer_and_key(rosetta, tmp_path):
    net = write_net(tmp_path, DEFINITION.replace("filterSize=3", "filterSize=three"))
    line = one_line_error(rosetta("compare", net, "--engines", "reference"))
    assert "small.cfg:17: [conv1] filterSize" in line


def test_missing_parameters_are_named(rosetta, tmp_path):
    (tmp_path / "alone.cfg").write_text(DEFINITION)
    assert "--params" in one_line_error(rosetta("compare", "alone.cfg", "--engines", "reference"))


def test_an_unavailable_engine_is_refused(rosetta, tmp_path, monkeypatch):
    double(monkeypatch, BentFilter)
    monkeypatch.setattr(Faulty, "probe", lambda self: (False, "no such device"))
    line = one_line_error(compare(rosetta, tmp_path, engine="double"))
    assert "double is unavailable: no such device" in line


def test_too_little_memory_is_refused_before_any_is_taken(rosetta, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 5 * 10**7)
    monkeypatch.setattr(run.inputs, "make", lambda *_: pytest.fail("memory was taken"))
    line = one_line_error(compare(rosetta, tmp_path))
    assert "needs about 0.3 GiB of memory" in line
    assert "0.0 GiB are free" in line


def test_an_output_folder_that_cannot_be_written(rosetta, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in one_line_error(compare(rosetta, tmp_path, "--out", "file/run"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("")
    assert "no record" in one_line_error(compare(rosetta, tmp_path, "--out", "home"))
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter"]


def test_an_unreadable_record(rosetta, tmp_path):
    assert "there is no folder nowhere" in one_line_error(rosetta("report", "nowhere"))
    (tmp_path / "empty").mkdir()
    assert "there is no record in empty" in one_line_error(rosetta("report", "empty"))
    (tmp_path / "empty" / "record.json").write_text("{")
    assert "cannot be read as a record" in one_line_error(rosetta("report", "empty"))


def test_a_network_without_a_name(rosetta, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    assert "no network ''" in one_line_error(rosetta("compare", ""))
    assert "'..' is a folder" in one_line_error(rosetta("compare", ".."))


def test_the_nearest_name_is_the_first_of_equals(rosetta):
    assert "did you mean legacy-cpu?" in one_line_error(rosetta("compare", "tiny", "--engines", "legacy"))


def test_errors_leave_no_draft_behind(rosetta, tmp_path):
    one_line_error(compare(rosetta, tmp_path, "--weights", "none.npz", "--out", "made/here"))
    assert list((tmp_path / "made").iterdir()) == []


def test_ctrl_c_keeps_the_finished_layers(rosetta, tmp_path, monkeypatch):
    class Impatient(BentFilter):
        def run_forward(self, layer, inputs, mask):
            if layer.name == "fc1":
                raise KeyboardInterrupt
            return super().run_forward(layer, inputs, mask)

    double(monkeypatch, Impatient)
    result = compare(rosetta, tmp_path, engine="double")
    assert result.exit_code == cli.INTERRUPTED
    assert "interrupted" in result.output
    about = json.loads((tmp_path / "runs" / "small" / "record.json").read_text())
    assert about["status"] == "interrupted"
    assert [row["layer"] for row in about["rows"]] == ["conv1", "conv1_neuron", "pool1"]
    assert rosetta("report", "runs/small").exit_code == 0


def command(tmp_path, *args, session="BentFilter", **how):
    """The command in a process of its own, with an engine called `double`."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(small_nets.__file__).parent)!r})
import small_nets
from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.cli import commands as cli
real = engines.find
engines.find = lambda name: small_nets.Faulty(small_nets.{session}) if name == "double" else real(name)
cli.main()
"""
    words = ["compare", write_net(tmp_path), "--engines", "double", "--input", "random", "--batch", 4, *args]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path} | how
    return subprocess.Popen([sys.executable, "-c", program, *map(str, words)], **how)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_a_run_leaves_its_rows(rosetta, tmp_path, number):
    with command(tmp_path, "--out", "run", session="Waiting") as process:
        assert process.stderr.readline() == "at fc1\n"
        process.send_signal(number)
        output, _ = process.communicate()
    assert process.returncode == (-9 if number == signal.SIGKILL else cli.INTERRUPTED)
    assert "pool1" in output or number == signal.SIGKILL
    result = rosetta("report", "run")
    assert result.exit_code == 0
    about = read_record(tmp_path / "run")
    assert about.about["status"] == "interrupted"
    assert [row.layer for row in about.rows] == ["conv1", "conv1_neuron", "pool1"]
    assert "The run was interrupted" in (tmp_path / "run" / "report.html").read_text()
    assert ("was ended early" in result.output) == (number == signal.SIGKILL)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_that_comes_while_an_object_is_destroyed_is_not_lost(tmp_path, number):
    with command(tmp_path, "--out", "run", session="EndedInADestructor") as process:
        assert process.stderr.readline() == "at fc1\n"
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == cli.INTERRUPTED
    assert "ignored" not in said
    assert read_record(tmp_path / "run").about["status"] == "interrupted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_while_importing_is_no_traceback(number):
    program = f"""
import os, sys
class Hook:
    def find_spec(self, name, *more):
        if name == "click":
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Hook())
from alexnet_rosetta.harness.__main__ import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "rosetta: interrupted\n")


def test_a_closed_pipe_does_not_end_a_run(tmp_path):
    with command(tmp_path, "--out", "run") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == cli.NOBODY_READS
    assert read_record(tmp_path / "run").about["status"] == "complete"


def test_a_full_screen_does_not_end_a_run(tmp_path):
    with open("/dev/full", "w") as full, command(tmp_path, "--out", "run", stdout=full) as process:
        assert "standard output cannot be written: No space left" in process.stderr.read()
    assert process.returncode == 2
    assert read_record(tmp_path / "run").about["status"] == "complete"


def test_no_columns_are_eighty(tmp_path):
    with command(tmp_path, env=os.environ | {"COLUMNS": "0"}) as process:
        assert "conv1" in process.stdout.read()


@pytest.mark.parametrize("error", [MemoryError, OSError, ZeroDivisionError])
def test_rows_before_an_error_are_in_the_record(rosetta, tmp_path, monkeypatch, error):
    real = run.rows

    def falling(*args):
        for k, row in enumerate(real(*args)):
            if k == 3:
                raise error("oops")
            yield row

    monkeypatch.setattr("alexnet_rosetta.harness.comparison.rows", falling)
    line = one_line_error(compare(rosetta, tmp_path))
    assert ("not enough memory after pool1 forward" in line) == (error is MemoryError)
    found = read_record(tmp_path / "runs" / "small")
    assert found.about["status"] == "interrupted"
    assert len(found.rows) == 3


def test_control_characters_do_not_reach_the_terminal(rosetta):
    assert r"\x1bcy" in one_line_error(rosetta("compare", "x\x1bcy.cfg"))
    assert display.printable("a\tb\u202eé\udc80 c") == "a\\tb\\u202eé\\udc80 c"


@pytest.mark.parametrize("at", [0, 1, 2])
def test_debug_shows_the_traceback(rosetta, at):
    args = ["compare", "alexnett"]
    result = rosetta(*args[:at], "--debug", *args[at:])
    assert result.exception is not None
    assert type(result.exception).__name__ == "BadInput"


def test_debug_shows_the_traceback_of_an_engine(rosetta, tmp_path, monkeypatch, caplog):
    double(monkeypatch, Raising)
    compare(rosetta, tmp_path, engine="double")
    assert caplog.text == ""
    assert compare(rosetta, tmp_path, "--debug", engine="double").exit_code == 1
    assert 'raise ValueError("boom")' in caplog.text


def test_an_engine_that_raises_fails_and_the_run_goes_on(rosetta, tmp_path, monkeypatch):
    double(monkeypatch, Raising)
    result = compare(rosetta, tmp_path, engine="reference,double")
    assert result.exit_code == 1
    assert "  Raising: failed: pool1 forward: ValueError: boom (small_nets.py:" in result.output
    sentence = result.output.splitlines()[-1]
    assert sentence.startswith("71 of 74 tensors agree")
    assert ", 3 failed" in sentence
    assert sentence.endswith("the first to fail is Raising pool1 forward acts.")
    assert json.loads((tmp_path / "runs" / "small" / "record.json").read_text())["status"] == "complete"
    page = (tmp_path / "runs" / "small" / "report.html").read_text()
    assert 'class="sentence bad"' in page
    assert "ValueError: boom" in page


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (Unsupported("too many layers"), 3, "unsupported: too many layers"),
        (ValueError("boom"), 1, "failed: opening the network: ValueError: boom (test_cli.py:"),
    ],
)
def test_an_engine_that_cannot_be_opened_has_its_rows(rosetta, tmp_path, monkeypatch, error, code, reason):
    class Closed(BentFilter):
        def __init__(self, network):
            raise error

    double(monkeypatch, Closed)
    result = compare(rosetta, tmp_path, "--mode", "propagated", engine="double,reference")
    assert result.exit_code == code
    assert result.output.count(f"  Closed: {reason}") == 1
    assert re.match(r"(\d+) of (\d+) tensors agree", result.output.splitlines()[-1].partition("judged.")[0])
    result = compare(rosetta, tmp_path, engine="double")
    assert result.exit_code == 3
    assert "no engine can build this network: Closed: " in result.stderr


def test_a_bug_of_the_harness_is_not_taken_for_a_difference(rosetta, tmp_path, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(run.inputs, "make", broken)
    assert "internal error: ZeroDivisionError: oops" in one_line_error(compare(rosetta, tmp_path))


class Libraryless(Faulty):
    """An engine of another package that fails when it is asked whether it can run."""

    def probe(self):
        raise OSError("libmine.so is missing")


def raise_import_error():
    raise ImportError("no package of that name")


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (lambda: lambda: Libraryless(BentFilter), "OSError: libmine.so is missing"),
        (lambda: BentFilter, "TypeError: "),
        (raise_import_error, "no package of that name"),
    ],
)
def test_an_engine_that_fails_when_it_is_asked_is_unavailable(rosetta, tmp_path, monkeypatch, load, reason):
    point = SimpleNamespace(name="mine", load=load)
    monkeypatch.setattr(engines, "entry_points", lambda group: [point])
    for command, line in (("list", r"  mine +unavailable +"), ("doctor", r"✗ mine +")):
        result = rosetta(command)
        assert result.exit_code == 0
        assert re.search(line + re.escape(reason), result.output)
    assert f"engine mine is unavailable: {reason}" in one_line_error(compare(rosetta, tmp_path, engine="mine"))


@pytest.mark.parametrize("net", ["tiny", "zoo"])
@pytest.mark.parametrize("mode", run.MODES)
@pytest.mark.parametrize("passes", [("forward",), ("forward", "backward", "update")])
def test_the_progress_bar_is_full_at_the_end_and_not_before(net, mode, passes):
    work = run.prepare(run.Options(net, engines=("reference",), input="random", batch=4, mode=mode, passes=passes))
    printer = terminal.Printer(terminal.Terminal(file=io.StringIO(), force_terminal=True, width=80), mode)
    printer.started(work)
    (bar,) = printer.progress.tasks
    for row in run.rows(work, mode):
        assert bar.completed < bar.total or row.step == printer._step[2]
        printer.row(row)
    printer.stop()
    assert bar.completed == bar.total


@pytest.mark.parametrize("command", ["compare", "list"])
def test_who_closes_the_pipe_is_told_of_no_difference(tmp_path, command):
    """`rosetta compare ... | head -1` must not end with the exit code of a difference."""
    net = [write_net(tmp_path), "--engines", "reference", "--input", "random", "--batch", "4", "--out", "run"]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([*ROSETTA, command, *(net if command == "compare" else ())],
                           stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path)  # fmt: skip
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (cli.NOBODY_READS, b"")
    assert command == "list" or read_record(tmp_path / "run").about["status"] == "complete"


def test_a_terminal_that_lacks_letters(tmp_path):
    ended = subprocess.run([*ROSETTA, "doctor"], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert ended.returncode == 0
    assert b"\n+ reference" in ended.stdout


def test_narrow_terminals_get_fewer_columns():
    layers = networks.load("tiny").layers
    wide, narrow = display.Lines(layers, ["a", "b"]), display.Lines(layers, ["a", "b"], width=80)
    assert len(wide.header()) > 110
    assert len(narrow.header()) <= 80
    assert "verdict" in narrow.header()
    assert wide.header().endswith(" a/b")
    assert "/" not in display.Lines(layers, ["a"]).header() + display.Lines(layers, ["a", "b", "c"]).header()


def test_a_row_that_was_not_compared_shows_nothing_of_the_other_engine(rosetta, tmp_path, monkeypatch):
    double(monkeypatch, NoPooling)
    result = compare(rosetta, tmp_path, engine="reference,double")
    (line, _) = [line for line in result.output.splitlines() if line.startswith("- pool1 ")]
    assert line.split()[:6] == ["-", "pool1", "pool", "forward", "acts", "unsupported"]
    assert len(line.split()) == 7  # and the other's seconds
    assert "seconds in layers that all engines ran: reference" in result.output


@pytest.mark.parametrize(("args", "given"), [(("faults",), 1), (("golden", "some/folder"), 2)])
def test_checks_print_lines_and_return_their_exit_code(rosetta, monkeypatch, args, given):
    def check(*passed, **options):
        assert len(passed) == given
        passed[-1]("all is well")
        return 1

    monkeypatch.setattr(cli, "import_module", lambda name, package: SimpleNamespace(**{f"check_{args[0]}": check}))
    result = rosetta("check", *args)
    assert (result.exit_code, result.output) == (1, "all is well\n")


def test_a_check_that_is_not_there_says_so(rosetta, monkeypatch):
    def absent(name, package):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(cli, "import_module", absent)
    assert "check golden is not part of this build" in one_line_error(rosetta("check", "golden", "."))


def test_doctor_has_a_line_for_everything_that_the_gpu_engine_lacks(rosetta, monkeypatch):
    from alexnet_rosetta.harness.engines.legacy import LegacyGpu

    lacking = ["no CUDA driver: get one", "no CUDA compiler: get one", "no PyCUDA: pip"]
    monkeypatch.setattr(LegacyGpu, "probe", lambda self: (False, lacking[0]))
    monkeypatch.setattr(LegacyGpu, "missing", lambda self: lacking)
    lines = rosetta("doctor").output.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("✗ legacy-gpu"))
    assert [line[22:] for line in lines[start : start + 3]] == lacking


@pytest.mark.parametrize("words", [
    "compare tiny --progress", "sweep x.toml --memory", "pack judge x.zip --engine x --patience",
    "train --colour-noise", "check gpu --time-limit",
])  # fmt: skip
@pytest.mark.parametrize("number", ["nan", "inf", "1e999"])
def test_no_number_is_no_number(words, number):
    """ "nan" is inside every range, as comparisons go."""
    result = CliRunner().invoke(cli.cli, [*words.split(), number])
    assert result.exit_code == 2
    assert number in result.output.splitlines()[-1] or "is not in the range" in result.output
    assert "internal error" not in result.output


@pytest.mark.parametrize("words", [
    "check mutants --only port/threads.py --sample 1 --out FILE/below", "check rules --nets 0 --chart FILE/below.svg",
    "check rules --nets 0 --chart GONE/below.svg", "explain tiny conv1 forward --figure GONE/below.svg",
])  # fmt: skip
def test_a_file_or_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path, monkeypatch, words):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        "alexnet_rosetta.harness.checks.rules.arena._workloads", lambda *_: pytest.fail("work was done")
    )
    words = words.replace("FILE", str(tmp_path / "file")).replace("GONE", str(tmp_path / "gone"))
    result = CliRunner().invoke(cli.cli, words.split())
    assert (result.exit_code, "cannot be written: " in result.output) == (2, True), result.output
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
