import subprocess
import sys

import pytest

from alexnet_rosetta.harness import machine, networks, run
from alexnet_rosetta.harness.errors import BadInput


def test_the_environment_is_plain_and_complete():
    facts = machine.environment(2)
    assert facts["threads"] == 2
    assert facts["packages"]["numpy"]
    assert facts["processor"]


def test_memory_grows_with_batch_and_engines():
    network = networks.load("tiny")
    small = run.memory_needed(network, 8, 1)
    assert run.memory_needed(network, 16, 1) > small
    assert run.memory_needed(network, 8, 2) > small


def test_alexnet_with_two_engines_fits_in_twelve_gigabytes():
    assert run.memory_needed(networks.load("alexnet"), 128, 2) < 12 * 2**30


def test_a_system_that_says_nothing_refuses_nothing(monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: None)
    run.check_memory(networks.load("alexnet"), 10**6, 2)


def test_limits_of_all_control_groups_count_but_not_what_is_cached(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    for name, limit in (("", "max"), ("outer", "700"), ("outer/inner", "1000")):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "memory.max").write_text(f"{limit}\n")
        (tmp_path / name / "memory.current").write_text("500\n")
        (tmp_path / name / "memory.stat").write_text("anon 300\ninactive_file 100\n")
    assert list(machine._control_groups(tmp_path, own)) == [600, 300]


@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_the_process_count(limit):
    program = f"""
import resource
from alexnet_rosetta.harness import machine
resource.setrlimit(resource.{limit}, (3 * 2**30, 3 * 2**30))
print(machine.available_memory())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 3 * 2**30


@pytest.mark.parametrize("given", ["abc", "0", "-5", "1025", "²"])
def test_no_number_of_threads_is_said_so(monkeypatch, given):
    monkeypatch.setenv("ROSETTA_THREADS", given)
    with pytest.raises(BadInput, match=f"ROSETTA_THREADS.*1 to 1024.*{given}"):
        machine.threads()
    assert machine.threads(3) == 3
    with pytest.raises(BadInput, match="--threads"):
        machine.threads(100_000)


def test_the_variable_is_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("ROSETTA_THREADS", "7")
    assert machine.threads() == 7
    monkeypatch.setenv("ROSETTA_THREADS", "")
    assert machine.threads() == machine.processors()
