"""What every test run has in common."""

from collections import Counter

import pytest

SPECIAL = ("gpu", "gpu_tools", "nvcc", "nvcc_all", "slow", "witness", "historical", "browser")
_not_run = Counter()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Count the tests of each kind that were skipped."""
    outcome = yield
    if outcome.get_result().skipped:
        _not_run.update(mark for mark in SPECIAL if item.get_closest_marker(mark))


def pytest_deselected(items):
    """Count the tests of each kind that were left out with -m."""
    _not_run.update(mark for item in items for mark in SPECIAL if item.get_closest_marker(mark))


def pytest_terminal_summary(terminalreporter):
    """Say how many tests of each kind were not run."""
    if _not_run:
        kinds = ", ".join(f"{count} {mark}" for mark, count in sorted(_not_run.items()))
        terminalreporter.write_line(f"not run: {kinds}")
