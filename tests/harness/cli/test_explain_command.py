"""`rosetta explain` at the command line."""

import pytest
from click.testing import CliRunner
from small_nets import write_net

from alexnet_rosetta.harness.cli import commands as cli


@pytest.fixture
def explain(tmp_path, monkeypatch):
    """Run the command on the small network, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    net = write_net(tmp_path)
    return lambda *args: CliRunner().invoke(cli.cli, ["explain", net, *args, "--input", "random", "--batch", "4"])


def test_it_prints_the_element_and_draws_it(explain, tmp_path):
    found = explain("conv1", "backward", "weights_grad[0]", "--at", "0,1,2,3", "--figure", "walk.svg")
    assert found.exit_code == 0, found.output
    assert found.output.startswith("small: conv1 backward weights_grad[0] at channel 0, y 1, x 2, filter 3\n")
    assert "legacy-cpu " in found.output
    assert "the replay gives these bits" in found.output
    assert (tmp_path / "walk.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("conv7", "forward"), "has no layer 'conv7' to explain; hint: did you mean conv1"),
        (("conv1", "forward", "--at", "1,two"), "--at 1,two is no place (expected numbers, such as 3,2,1,0)"),
        (("conv1", "forward", "--at", "1,2"), "there is no such element (expected channel below 16, y below 8, "),
        (("conv1", "forward", "--at", "0,0,0,0", "--worst"), "--at and --worst name two elements"),
        (("conv1", "forward", "--figure", "walk.txt"), "walk.txt is no drawing (expected .svg, .png or .pdf)"),
    ],
)
def test_bad_input_is_one_line(explain, tmp_path, arguments, message):
    found = explain(*arguments)
    assert found.exit_code == 2
    assert found.output.startswith("rosetta: ")
    assert message in found.output
    assert found.output.count("\n") == 1
    assert not list(tmp_path.glob("walk*"))
