"""For pytest: the fixture ``rosetta``, and ``--rosetta-report DIR``. Nothing is imported or done for other tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from alexnet_rosetta.harness.judging.row import Row

ROWS: pytest.StashKey[list[Any]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--rosetta-report DIR``."""
    text = "Write what the fixture rosetta judged into DIR: report.html, report.md, junit.xml, results.csv."
    parser.getgroup("rosetta").addoption("--rosetta-report", metavar="DIR", help=text)


class Judge:
    """The fixture: `assert_equivalent` and `compare_functions`, whose rows go into the report."""

    def __init__(self, test: str, rows: "list[Row]") -> None:
        self._test, self._rows = test, rows

    def _note(self, rows: "list[Row]") -> None:
        for row in rows:
            row.layer, row.command = self._test, f"pytest '{self._test}'"
            names = ("desired", "actual")[-len(row.findings) :]
            row.findings = dict(zip(names, row.findings.values(), strict=True))
            row.distances = {}
            row.bitwise = dict.fromkeys(("desired = actual",)[: len(row.bitwise)], sum(row.bitwise.values()))
        self._rows += rows

    def assert_equivalent(self, actual: Any, desired: Any, **more: Any) -> None:
        """As `alexnet_rosetta.testing.assert_equivalent`."""
        from alexnet_rosetta.harness.pairs.arrays import asserted, examine

        row = examine(actual, desired, **more)
        try:
            asserted(row)
        finally:
            self._note([row])

    def compare_functions(self, legacy: Callable[..., Any], port: Callable[..., Any], inputs: Any, **more: Any) -> Any:
        """As `harness.compare_functions`; the test asks its result for ``exit_code`` and ``sentence``."""
        from alexnet_rosetta.harness.pairs.functions import compare_functions

        found = compare_functions(legacy, port, inputs, **more)
        self._note(found.table)
        return found


@pytest.fixture
def rosetta(request: pytest.FixtureRequest) -> Iterator[Judge]:
    """Judges arrays and functions by the rule of the verdict."""
    config = request.config
    if ROWS not in config.stash:
        config.stash[ROWS] = []
    rows = config.stash[ROWS]
    before = len(rows)
    yield Judge(request.node.nodeid, rows)
    if hasattr(config, "workeroutput"):
        config.workeroutput.setdefault("rosetta", []).extend(row.to_dict() for row in rows[before:])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the rows of a worker of pytest-xdist."""
    for values in getattr(node, "workeroutput", {}).get("rosetta", ()):
        from alexnet_rosetta.harness.judging.row import Row

        node.config.stash.setdefault(ROWS, []).append(Row.from_dict(values))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was judged, and write the report."""
    rows, out = config.stash.get(ROWS, []), config.getoption("--rosetta-report")
    if not rows or hasattr(config, "workerinput"):
        return
    from alexnet_rosetta.harness.pairs.functions import Pair

    found = Pair(rows)
    terminalreporter.write_line(f"rosetta: {found.sentence}")
    if out:
        found.write(Path(out), "tests", f"pytest --rosetta-report {out}")
        terminalreporter.write_line(f"rosetta: report in {out}")
