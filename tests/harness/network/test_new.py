"""`rosetta new net`, and runs without a parameter file or with another batch than was asked for."""

import numpy as np
import pytest
from click.testing import CliRunner
from small_nets import DEFINITION, PARAMS, write_net

from alexnet_rosetta.harness import compare
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.network import new as new_net
from alexnet_rosetta.harness.running.prepare import Options, prepare


def test_the_first_pair_runs_without_a_note(tmp_path):
    definition, params = new_net.write(str(tmp_path / "mine"))
    assert (definition.name, params.name) == ("mine.cfg", "mine-params.cfg")
    assert networks.load(str(definition)).spec.warnings == ()
    found = compare(str(definition), batch=2, input="random", threads=1)
    assert found.exit_code == 0
    assert {row.step for row in found.table} == {"forward", "backward", "update"}


def test_the_command_says_what_to_do_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.cli, ["new", "net", "mine"])
    assert (done.exit_code, "rosetta compare mine.cfg" in done.output) == (0, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine-params.cfg", "mine.cfg"]
    again = CliRunner().invoke(cli.cli, ["new", "net", "mine"])
    assert (again.exit_code, again.stderr) == (
        2,
        "rosetta: mine.cfg exists; hint: choose another name; nothing was written\n",
    )


def test_a_name_is_no_command_for_the_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.cli, ["new", "net", "a\x1b[31mb"], color=True)
    assert done.output.startswith("a\\x1b[31mb.cfg: the layers;")


@pytest.mark.parametrize("there", ["mine.cfg", "mine-params.cfg"])
def test_nothing_is_overwritten(tmp_path, there):
    (tmp_path / there).write_text("precious")
    with pytest.raises(BadInput, match=f"{there} exists"):
        new_net.write(str(tmp_path / "mine.cfg"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize("name", ["", ".cfg", ".", "..", "/"])
def test_no_name_is_no_network(tmp_path, name):
    """Files called ``.cfg`` and ``-params.cfg`` are none that anybody finds again."""
    with pytest.raises(BadInput, match="is no name of a network"):
        new_net.write(f"{tmp_path}/{name}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["no/folder/mine", "n" * 250, "nul\0"])
def test_names_that_cannot_be_written(tmp_path, name):
    with pytest.raises(BadInput, match="cannot be written"):
        new_net.write(f"{tmp_path}/{name}")
    assert list(tmp_path.iterdir()) == []


def test_forward_passes_without_a_parameter_file(tmp_path):
    net = write_net(tmp_path, DEFINITION, PARAMS)
    (tmp_path / "small-params.cfg").unlink()
    with pytest.raises(BadInput, match="--passes forward, which needs none"):
        prepare(Options(net, engines=("reference",), batch=2))
    work = prepare(Options(net, engines=("reference",), batch=2, passes=("forward",), input="random"))
    assert "values that the forward pass does not need are missing" in work.network.spec.warnings[0]
    found = compare(net, engines=("reference",), batch=2, passes=("forward",), input="random", out=tmp_path / "out")
    assert found.exit_code == 0
    assert "Note: no parameter file: values that the forward pass" in found.report.read_text(encoding="utf-8")


def test_a_batch_that_the_file_does_not_hold_is_said(tmp_path):
    net = write_net(tmp_path, DEFINITION, PARAMS)
    file = tmp_path / "four.npz"
    np.savez(file, data=np.ones((192, 4), np.float32), labels=np.zeros((1, 4), np.float32))
    said = {
        batch: prepare(Options(net, engines=("reference",), batch=batch, input=str(file))).network.spec.warnings
        for batch in (4, 8, Options.batch)
    }
    assert said == {4: (), 8: (f"{file} holds 4 cases: those are used, and --batch 8 is not",), Options.batch: ()}
