"""What every test run has in common."""

from collections import Counter

import pytest
from hypothesis import settings

settings.register_profile("rosetta", deadline=None)  # a busy machine is no fault
settings.load_profile("rosetta")

SPECIAL = ("gpu_tools", "nvcc", "nvcc_all", "slow", "witness", "historical", "browser")
_not_run, _left_out = Counter(), Counter()


def pytest_runtest_logreport(report):
    """Count the tests of each kind that were skipped."""
    if report.skipped:
        _not_run.update(mark for mark in SPECIAL if mark in report.keywords)


def pytest_deselected(items):
    """Count the tests of each kind that were left out with -m."""
    _left_out.update(mark for item in items for mark in SPECIAL if item.get_closest_marker(mark))


def pytest_sessionfinish(session):
    """Tell the process that prints the summary: each of several workers collects all tests and leaves out the same."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left out"] = dict(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Hear what a worker left out."""
    _left_out.update(
        {
            mark: count
            for mark, count in getattr(node, "workeroutput", {}).get("left out", {}).items()
            if mark not in _left_out
        }
    )


def pytest_terminal_summary(terminalreporter):
    """Say how many tests of each kind were not run."""
    if unseen := _not_run + _left_out:
        kinds = ", ".join(f"{count} {mark}" for mark, count in sorted(unseen.items()))
        terminalreporter.write_line(f"not run: {kinds}")
