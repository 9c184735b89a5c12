"""A sweep on two workers that SSH started, over loopback, with the example that the guide names."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.cli.commands import cli

EXAMPLE = Path(__file__).parents[3] / "examples" / "sweep" / "over_ssh.py"
SERVER = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
SETTINGS = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/me.pub
PidFile none
UsePAM no
StrictModes no
"""
HOSTS = """
hosts = ["127.0.0.1", "127.0.0.1", "127.0.0.1"]
python = "{python}"
scheduler = {{host = "127.0.0.1", port = 0, dashboard = false}}
worker = {{nthreads = 1, memory_limit = "2GiB", dashboard = false}}
ssh = {{port = {port}, client_keys = ["{folder}/me"], known_hosts = "{folder}/known"}}
"""


@pytest.fixture
def server(tmp_path):
    """The port of an SSH server on loopback that lets the key `me` in."""
    for name in ("host", "me"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
    (tmp_path / "settings").write_text(SETTINGS.format(port=port, folder=tmp_path))
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen(
        [SERVER, "-D", "-e", "-f", tmp_path / "settings"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert "listening" in process.stderr.readline()
        yield port
        process.terminate()


@pytest.mark.slow
@pytest.mark.skipif(SERVER is None or Path("/run").stat().st_uid != os.getuid(),
                    reason="needs the server of OpenSSH, and a user who may start it")  # fmt: skip
def test_a_sweep_over_ssh(server, tmp_path):
    pytest.importorskip("distributed", reason="dask.distributed is not installed: make sweep")
    pytest.importorskip("asyncssh", reason="asyncssh is not installed")
    hosts, listed = tmp_path / "hosts.toml", tmp_path / "nets.toml"
    hosts.write_text(HOSTS.format(python=sys.executable, port=server, folder=tmp_path))
    listed.write_text("[compare]\nnetworks = 'tiny'\ninputs = 'random'\nbatches = 2\nseeds = [0, 1, 2]\n")
    with open(tmp_path / "said", "w") as said, subprocess.Popen(
        [sys.executable, EXAMPLE, hosts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
    ) as process:  # fmt: skip
        address = process.stdout.readline().strip()
        assert address.startswith("tcp://"), (tmp_path / "said").read_text()
        words = ["sweep", listed, "--scheduler", address, "--workers", 2, "--out", tmp_path / "out"]
        found = CliRunner().invoke(cli, list(map(str, words)))
        process.communicate("\n", timeout=60)
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[-1] == "3 of 3 parts agree."
    assert process.returncode == 0
