import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alexnet_rosetta.harness import machine
from alexnet_rosetta.harness.errors import BadInput


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_kept_for_the_next_array():
    """An array that is made again and again takes fresh pages once; without, every time. Huge pages, of which a system
    has some or none, are not taken."""
    program = """
import ctypes, numpy, resource, sys
from alexnet_rosetta.harness import machine
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE
if sys.argv[1] == "kept":
    machine.keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    numpy.empty(2**24, numpy.float32).fill(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", program, what], capture_output=True, text=True, check=True).stdout)
        for what in ("kept", "returned")
    )
    assert 5 * kept < returned


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_an_array_in_freed_memory_counts_for_the_peak():
    program = """
import numpy
from alexnet_rosetta.harness import machine
machine.keep_freed_memory()
numpy.ones(2**27, numpy.uint8)
machine.reset_peak_memory()
before = machine.peak_memory()
numpy.ones(2**27, numpy.uint8)
print(machine.peak_memory() - before)
"""
    taken = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(taken) > 2**26


def test_the_environment_is_plain_and_complete():
    facts = machine.environment(2)
    assert facts["threads"] == 2
    assert facts["packages"]["numpy"]
    assert facts["processor"]


def test_the_commit_of_a_checkout_is_the_one_that_is_checked_out():
    def revision(name):
        command = ["git", "-C", Path(machine.__file__).parent, "rev-parse", name]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    if not revision("HEAD"):
        pytest.skip("no checkout")
    assert revision(machine.commit().removesuffix("-dirty")) == revision("HEAD")
    assert machine.environment(1)["commit"] == machine.commit()


def test_without_a_checkout_the_commit_is_what_the_build_wrote_down(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "machine.py"))
    assert machine.commit() is None
    (tmp_path / "commit.txt").write_text("0123abc-dirty\n")
    assert machine.commit() == "0123abc-dirty"


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


@pytest.mark.parametrize("given", ["abc", "0", "-5", "1025", "²", "9" * 5000])
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


def stand_still(monkeypatch, load, *moments):
    """The clock, the process and the processors say what they are told."""
    given = iter(moments)
    monkeypatch.setattr(machine.Watch, "_now", lambda self: next(given))
    monkeypatch.setattr(machine, "processors", lambda: 2)
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (load, 0, 0))


@pytest.mark.parametrize(
    ("threads", "moments", "note"),
    [
        (2, [(10, 5, 100), (20, 20, 118)], "machine busy (load 8 on 2 processors, other programs took 0.3 of them): "
         "times are not comparable"),
        (2, [(10, 5, 100), (20, 20, 117)], ""),
        (2, [(10, 5, float("nan")), (20, 20, float("nan"))], ""),
        (3, [(10, 5, 100), (20, 20, 116)], "3 threads on 2 processors: times are not comparable"),
    ],
)  # fmt: skip
def test_a_busy_machine_is_said(monkeypatch, threads, moments, note):
    stand_still(monkeypatch, 8.3, *moments)
    assert machine.Watch(threads).note() == note


def test_what_other_programs_take_is_measured():
    """One that does nothing but count, for a third of a second."""
    if machine._busy_seconds() != machine._busy_seconds() or machine.processors() < 2:
        pytest.skip("the system does not say")
    watch, until = machine.Watch(1), time.perf_counter() + 0.5
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        while time.perf_counter() < until:
            time.sleep(0.01)
        taken = watch.others()
        other.kill()
    assert 0.3 < taken <= machine.processors() + 0.2


@pytest.mark.parametrize(("given", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
@pytest.mark.parametrize("module", ["legacy", "port.pool"])
def test_threads_that_wait_sleep_unless_told_otherwise(given, policy, module):
    """As the OpenMP library itself says when an extension module loads it."""
    more = "; alexnet_rosetta.legacy.build_info()" if module == "legacy" else ""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-c", f"import alexnet_rosetta.{module}{more}"]
    told = kept | {"OMP_DISPLAY_ENV": "true"} | given
    found = subprocess.run(command, env=told, capture_output=True, text=True, check=True).stderr
    if "OMP_WAIT_POLICY" not in found:
        pytest.skip("built without OpenMP")
    assert re.findall(r"OMP_WAIT_POLICY *= *'(\w+)'", found) == [policy]
