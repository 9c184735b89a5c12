"""A comparison in a child that os.fork has made of a process with threads of its own."""

import subprocess
import sys

SCRIPT = """
import os, signal
from alexnet_rosetta.harness import compare

def verdicts():
    return compare("tiny", batch=8, input="random", threads=2).rows["verdict"].tolist()

expected, child = verdicts(), os.fork()
if not child:
    signal.alarm(120)
    os._exit(verdicts() != expected)
raise SystemExit(os.waitpid(child, 0)[1] != 0)
"""


def test_a_child_compares_as_its_parent_did():
    assert subprocess.run([sys.executable, "-c", SCRIPT], timeout=240, check=False).returncode == 0
