"""The part ``sanitizer``: NVIDIA's compute-sanitizer over a small case of every kernel, in a process of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ...errors import Unsupported
from .job import Job, OutOfTime

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
PROGRAM = f"{__package__}.small_kernels"
SUMMARY = re.compile(r"(?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)")
LINES = 40  # of a tool's report, where it has something to say


def sanitizer(job: Job) -> str:
    """Run every tool over the program `small_kernels`."""
    command = find_sanitizer()
    for tool in TOOLS:
        job.check_time()
        job.numbers[tool] = run_tool(job, command, tool)
    return ", ".join(f"{tool} {found['errors']} errors" for tool, found in job.numbers.items())


def find_sanitizer() -> str:
    """The path of compute-sanitizer: on PATH, or in the toolkit; Unsupported if it is nowhere."""
    toolkits = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    places = [None, *(str(Path(toolkit, part)) for toolkit in toolkits if toolkit
                      for part in ("bin", "compute-sanitizer"))]  # fmt: skip
    found = next((path for place in places if (path := shutil.which("compute-sanitizer", path=place))), None)
    if found is None:
        raise Unsupported("compute-sanitizer was not found", hint="it comes with the CUDA toolkit; put it on PATH")
    return found


def run_tool(job: Job, sanitizer: str, tool: str) -> dict[str, Any]:
    """Errors, kernels that ran, and what the tool said if it said anything."""
    command = [sanitizer, "--tool", tool, "--error-exitcode", "86",
               sys.executable, "-m", PROGRAM, str(Path(job.settings.golden).absolute()), job.target.device]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=job.seconds_left())
    except subprocess.TimeoutExpired:
        raise OutOfTime from None
    text = done.stdout + done.stderr
    counts = [int(a or b) for a, b in SUMMARY.findall(text)]
    ran = re.search(r"^(\d+) kernels ran$", text, re.MULTILINE)
    found: dict[str, Any] = {
        "errors": sum(counts) if counts else None,
        "kernels": int(ran[1]) if ran else 0,
        "exit": done.returncode,
    }
    if done.returncode or not counts or sum(counts) or not found["kernels"]:
        found["report"] = text.splitlines()[-LINES:]
        job.problems.append(f"{tool}: {found['errors']} errors, {found['kernels']} kernels, exit {done.returncode}")
    return found
