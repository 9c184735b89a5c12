"""`rosetta train` on terminals and without one, ended by signals; its companions on good and bad input."""

import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import numpy as np
import pytest
import small_data
from click.testing import CliRunner
from PIL import Image
from small_nets import write_net

from alexnet_rosetta.harness import files
from alexnet_rosetta.harness.cli import training_terminal as training
from alexnet_rosetta.harness.cli.commands import INTERRUPTED, NOBODY_READS, cli
from alexnet_rosetta.harness.data import checkpoints
from alexnet_rosetta.harness.values.noise import generator

TRAIN = [sys.executable, "-m", "alexnet_rosetta.harness", "train"]


@pytest.fixture(scope="module")
def piped(tmp_path_factory):
    """A training where nobody looks."""
    return rosetta("train", *words_of(tmp_path_factory.mktemp("piped")))


@pytest.fixture
def words(tmp_path):
    """The words of a training of 2 epochs of 2 batches, with a test and a checkpoint at the end."""
    return words_of(tmp_path)


def words_of(tmp_path):
    net, data = write_net(tmp_path, *small_data.LEARNS), small_data.write_data(tmp_path / "data")
    return [net, "--data", data, "--batch", "16", "--epochs", "2", "--threads", "1", "--test-freq", "4",
            "--out", str(tmp_path / "out")]  # fmt: skip


def rosetta(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def on_terminal(words, columns, kind):
    """(exit code, what is seen) of a training on a terminal."""
    above, below = pty.openpty()
    ioctl(below, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen([*TRAIN, *words], stdin=below, stdout=below, stderr=below,
                          env=environment | {"TERM": kind}) as process:  # fmt: skip
        os.close(below)
        seen = b""
        try:
            while part := os.read(above, 4096):
                seen += part
        except OSError:  # Linux says so when the other side is closed
            pass
    os.close(above)
    return process.returncode, seen.decode()


def told(text):
    """The lines of a training without what is other in each run."""
    return [re.sub(r" +[\d,]+ images/s", "images/s", line).rstrip() for line in text.splitlines()]


def test_piped_lines_are_plain_and_eighty_columns_wide(piped):
    assert piped.exit_code == 0, piped.output
    assert not {"\x1b", "\r"} & set(piped.output)
    lines = [line for line in piped.output.splitlines() if "/" not in line or "images/s" in line]
    assert len(lines) == 1 + 4 + 1 + 2
    assert max(map(len, lines)) <= 80
    assert lines[-2] == "stored checkpoint 2.2"
    assert lines[-3].startswith("2.2 test    port       cost ")


def test_a_dumb_terminal_gets_the_plain_lines(words, piped):
    code, seen = on_terminal(words, 80, "dumb")
    assert code == 0, seen
    assert "\x1b" not in seen
    assert "\r" not in seen.replace("\r\n", "\n")
    assert told(seen)[1:-1] == told(piped.output)[1:-1]


def test_a_terminal_of_eighty_columns_gets_a_bar_that_vanishes(words):
    """Between escapes no line is wider than the terminal, but for those that name files."""
    code, seen = on_terminal(words, 80, "xterm")
    assert code == 0, seen
    assert re.search(r"epoch \d, batch \d, \d:\d\d left", seen)
    assert "\x1b[?25l" in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")  # the cursor is back
    drawn = [re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", seen)]
    assert max(len(line) for line in drawn if "left" in line or "images/s" in line) <= 80


def test_a_training_that_nobody_reads_any_more_stores_a_checkpoint(words, tmp_path):
    """`rosetta train ... | head -4`: the line of the first data batch is the last one that is read."""
    with subprocess.Popen([*TRAIN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for _ in range(3):
            process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == NOBODY_READS
    stopped = checkpoints.load(checkpoints.find(tmp_path / "out")).about["state"]["step"]
    result = rosetta("train", "--resume", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert f"goes on after {stopped} minibatches" in result.output


def test_a_training_on_a_full_screen_says_how_to_go_on(words, tmp_path):
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*TRAIN, *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert "standard output cannot be written: No space left" in ended.stderr
    assert f"'rosetta train --resume {tmp_path / 'out'}' goes on" in ended.stderr
    assert rosetta("train", "--resume", tmp_path / "out").exit_code == 0


def test_what_becomes_of_an_earlier_training_and_what_is_asked_otherwise_is_said(words, tmp_path):
    words[words.index("--epochs") + 1] = "1"
    assert "note: " not in rosetta("train", *words).output
    on = ("train", "--resume", tmp_path / "out", "--threads", 1)
    assert "note: " not in rosetta(*on).output
    assert "note: mirror is True from here on, and was False." in rosetta(*on, "--mirror").output.replace("\n", ".")
    earlier = re.search(r"note: the earlier training of that name is now (\S+)", rosetta("train", *words).output)[1]
    assert checkpoints.find(Path(earlier)).parent.parent == Path(earlier)


def test_what_the_last_line_says_to_look_at_can_be_looked_at(words):
    words[words.index("--epochs") + 1] = "1"
    output = rosetta("train", *words, "--engine", "both").output
    assert checkpoints.find(Path(re.search(r"'rosetta show (\S+)'", output)[1])).name == "1.2"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_a_training_gets_a_checkpoint_to_go_on_from(words, tmp_path, monkeypatch, number):
    """In the midst of the second data batch."""

    def once(display):
        if display.training.state.step == 4:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(training.Display, "step", once)
        result = rosetta("train", *words)
    assert (result.exit_code, result.stderr) == (INTERRUPTED, "")
    assert f"interrupted after 4 minibatches; 'rosetta train --resume {tmp_path / 'out'}' goes on" in result.output
    assert checkpoints.load(checkpoints.find(tmp_path / "out")).about["state"]["step"] == 4
    result = rosetta("train", "--resume", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "goes on after 4 minibatches" in result.output


def test_the_second_request_does_not_wait(words, tmp_path, monkeypatch):
    """Ctrl-C twice within a minibatch."""

    def twice(display):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training.Display, "step", twice)
    result = rosetta("train", *words)
    assert result.exit_code == INTERRUPTED
    assert "rosetta: interrupted" in result.stderr
    assert not list((tmp_path / "out").glob("*/*"))


def test_log_and_curves_grow_while_it_trains(words, tmp_path, monkeypatch):
    """Also where no test is made for long: then by the clock."""
    monkeypatch.setattr(training, "REDRAW", 0.0)
    words[words.index("--epochs") + 1] = "1"
    sizes, real = [], training.draw

    def draw(running):
        real(running)
        text = (tmp_path / "out" / "curves.svg").read_text()
        sizes.append((len((tmp_path / "out" / "log.jsonl").read_text().splitlines()), len(text)))
        assert (tmp_path / "out" / "curves.png").read_bytes().endswith(b"IEND\xaeB`\x82")
        assert text.endswith("</svg>\n")

    monkeypatch.setattr(training, "draw", draw)
    assert rosetta("train", *words).exit_code == 0
    assert [lines for lines, _ in sizes] == [1, 2, 3, 3]
    assert sorted(sizes) == sizes
    assert sizes[-1][1] > sizes[0][1]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with data, a training, and a picture."""
    folder = tmp_path_factory.mktemp("commands")
    net, data = write_net(folder, *small_data.LEARNS), small_data.write_data(folder / "data")
    small_data.train(small_data.settings(net, data, epochs=1), folder / "out")
    Image.fromarray(generator(0, "a picture").integers(0, 256, (20, 30, 3), np.uint8)).save(folder / "a.png")
    (folder / "text.jpg").write_text("no picture")
    checkpoints.convert(folder / "out", folder / "of 2012")
    return folder


@pytest.mark.parametrize("stored", ["out", "of 2012"])
def test_what_a_stored_network_is_asked(home, stored, tmp_path):
    threads = ("--threads", "1")
    tested = rosetta("test", home / stored, "--views", "10", *threads).output.splitlines()
    assert re.fullmatch(r".*1\.2: 40 cases, 10 views each", tested[0])
    assert re.fullmatch(r"logprob: \d\.\d{6}, 0\.\d{6}, 0\.\d{6}", tested[1])
    said = rosetta("predict", home / stored, home / "a.png", home / "a.png", *threads).output.splitlines()
    assert (said[0], said[:6]) == (str(home / "a.png"), said[6:])
    shares = [float(re.fullmatch(r"  kind \d +(\d+\.\d) % (█*)", line)[1]) for line in said[1:6]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 100.2
    written = rosetta("features", home / stored, "fc1", "--out", tmp_path / "fc1", *threads).output.splitlines()
    names = ("data_batch_3", "data_batch_3.npz", "batches.meta")
    assert written == [f"wrote {tmp_path / 'fc1' / name}" for name in names]
    shown = rosetta("show", home / stored, "--out", tmp_path / "show", "--case", "39", "--wrong", *threads)
    assert shown.output.startswith(f"page {tmp_path / 'show' / 'show.html'}, ")
    assert (tmp_path / "show" / "show.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("test nowhere", "there is no checkpoint nowhere"),
        ("test OUT --data nowhere", "there is no folder 'nowhere' of data"),
        ("test OUT --data fashion", "fashion"),
        ("test OUT --test-range 7", "--test-range: .* has no such batches"),
        ("test OUT --engine nobody", "no engine is called 'nobody'"),
        ("predict OUT gone.png", "gone.png is no picture that can be read"),
        ("predict OUT HOME/text.jpg", "text.jpg is no picture that can be read"),
        ("features OUT conv9 --out FREE", "has no layer conv9 with outputs"),
        ("features OUT conv1 --out HOME", "is not empty"),
        ("show OUT --case 40", r"there is no such case \(expected 0 to 39, actual 40\)"),
        ("show OUT --out HOME/text.jpg", "text.jpg"),
        ("train HOME/gone.cfg", "there is no network"),
        ("train --resume HOME", "holds no training"),
        ("train HOME/small.cfg --data HOME/data --out HOME/text.jpg", "text.jpg cannot be written"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_leaves_nothing(home, tmp_path, command, message):
    words = [{"OUT": str(home / "out"), "FREE": str(tmp_path / "free"), "HOME": str(home)}.get(word, word)
             for word in command.split()]  # fmt: skip
    before = {path for path in home.rglob("*") if "show" not in path.parts}
    result = rosetta(*(word.replace("HOME", str(home)) for word in words))
    assert result.exit_code == 2, result.output
    assert re.fullmatch(rf"rosetta: .*{message}.*\n", result.stderr), result.stderr
    assert {path for path in home.rglob("*") if "show" not in path.parts} == before
    assert not (tmp_path / "free").exists()


def test_names_from_files_reach_no_terminal_and_no_page_as_they_are(tmp_path, monkeypatch):
    """Names of classes and the path of a checkpoint."""
    monkeypatch.setattr(small_data, "NAMES", ["\x1b[2J<b>", "$x$ \u202e"] * 5)
    net, data = write_net(tmp_path, *small_data.LEARNS), small_data.write_data(tmp_path / "data")
    out = tmp_path / "<i>\x1b[1m"
    small_data.train(small_data.settings(net, data, updates=1), out)
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(tmp_path / "a.png")
    said = rosetta("predict", out, tmp_path / "a.png").output
    assert "<b>" in said
    assert not {"\x1b", "\u202e"} & set(said)
    shown = rosetta("show", out, "--out", tmp_path / "show")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "\x1b" not in shown.output
    text = (tmp_path / "show" / "show.html").read_text()
    assert not [odd for odd in ("<b>", "<i>", "\x1b", "\u202e") if odd in text]


@pytest.mark.parametrize("words", ["drift photos", "family --batch 1", "show OUT"])
@pytest.mark.parametrize("place", ["HOME/text.jpg", "HOME/text.jpg/below", "/proc/below"])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(home, monkeypatch, words, place):
    """A drift trains ninety times, a family runs AlexNet again and again: neither is for nothing."""
    for name in ("drift.Drift", "family.effects", "show.Page"):
        monkeypatch.setattr(f"alexnet_rosetta.harness.training.{name}", lambda *_, **__: pytest.fail("work was done"))
    words, place = (text.replace("OUT", f"{home}/out").replace("HOME", str(home)) for text in (words, place))
    result = rosetta(*words.split(), "--out", place)
    assert result.exit_code == 2
    assert re.fullmatch(rf"rosetta: {place} cannot be written: .*\n", result.stderr), result.stderr


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path):
    files.try_folder(tmp_path / "new" / "below")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("kept")
    files.try_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_table_alone_makes_no_page(tmp_path):
    result = rosetta("family", "--table", "--out", tmp_path / "out")
    assert (result.exit_code, "leave out one of the two" in result.stderr) == (2, True)
