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

import pytest
import small_data
from click.testing import CliRunner
from small_nets import write_net

from alexnet_rosetta.harness.cli import training
from alexnet_rosetta.harness.cli.commands import INTERRUPTED, cli
from alexnet_rosetta.harness.training import checkpoints

TRAIN = [sys.executable, "-m", "alexnet_rosetta.harness", "train"]


@pytest.fixture
def words(tmp_path):
    """The words of a training of 2 epochs of 2 batches, with tests and checkpoints after each."""
    net, data = write_net(tmp_path, *small_data.LEARNS), small_data.write_data(tmp_path / "data")
    return [net, "--data", data, "--batch", "16", "--epochs", "2", "--threads", "1", "--test-freq", "1",
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


def test_piped_lines_are_plain_and_eighty_columns_wide(words):
    result = rosetta("train", *words)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "\r" not in result.output
    lines = [line for line in result.output.splitlines() if "/" not in line or "images/s" in line]
    assert len(lines) == 2 + 4 * 3
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("stored checkpoint") for line in lines) == 4
    assert sum(line[4:8] == "test" for line in lines) == 4


def test_a_dumb_terminal_gets_the_plain_lines(words, tmp_path):
    code, seen = on_terminal(words, 80, "dumb")
    assert code == 0, seen
    assert "\x1b" not in seen
    assert "\r" not in seen.replace("\r\n", "\n")
    assert told(seen) == told(rosetta("train", *words).output)


def test_a_terminal_of_eighty_columns_gets_a_bar_that_vanishes(words):
    """Between escapes no line is wider than the terminal, but for those that name files."""
    code, seen = on_terminal(words, 80, "xterm")
    assert code == 0, seen
    assert re.search(r"epoch \d, batch \d, \d:\d\d left", seen)
    assert "\x1b[?25l" in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")  # the cursor is back
    drawn = [re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", seen)]
    assert max(len(line) for line in drawn if "left" in line or "images/s" in line) <= 80


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_a_training_gets_a_checkpoint_to_go_on_from(words, tmp_path, monkeypatch, number):
    """In the midst of the second data batch."""

    def once(display):
        if display.training.state.step == 4:
            os.kill(os.getpid(), number)

    words[words.index("--test-freq") + 1] = "2"
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
    words[words.index("--test-freq") + 1] = "4"
    sizes, real = [], training.draw

    def draw(running):
        real(running)
        text = (tmp_path / "out" / "curves.svg").read_text()
        sizes.append((len((tmp_path / "out" / "log.jsonl").read_text().splitlines()), len(text)))
        assert (tmp_path / "out" / "curves.png").read_bytes().endswith(b"IEND\xaeB`\x82")
        assert text.endswith("</svg>\n")

    monkeypatch.setattr(training, "draw", draw)
    assert rosetta("train", *words).exit_code == 0
    assert [lines for lines, _ in sizes] == [1, 2, 3, 4, 5, 5]
    assert sorted(sizes) == sizes
    assert sizes[-1][1] > sizes[0][1]
