"""The ladder that a mutant climbs until a rung notices it: comparisons, the broadest first, in a child process."""

import ast
import builtins
import importlib.util
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ... import engines
from ...engines.legacy import EntryPoints
from ...engines.protocol import Engine, Session
from ...engines.wrapped import AsMeant, WrappedEngine
from ...judging.finding import NOT_COMPARED
from ...network.load import Network
from ...running.prepare import Options, prepare, rows
from ...running.steps import PASSES
from ...running.workload import Workload
from ..faults.examine import workload
from ..faults.random_nets import random_net
from ..golden import files as recorded
from ..golden.check import check_cases
from .mutate import MARK

OURS = __name__.split(".")[0]
PATIENCE, TESTING = 300, 3600
"""Seconds of a processor that a child may take on the ladder and for tests; who takes more is noticed: nothing came."""
WALL = 4 * 3600
"""Seconds by the clock, after which nothing is known of a mutant: the machine may be busy with other work."""
UNDECIDED = "undecided"
MEMORY = 6 << 30
GOLDEN = Path(__file__).parents[3] / "tests" / "golden"
NEAR = "not slow and not gpu_tools and not nvcc and not nvcc_all and not browser and not historical"
"""The tests that are run."""
SPREADS = "tiny, propagated"
"""The rung where the engine feeds itself: a fault shows wherever its values are read, so the place says nothing."""
NETS = range(900, 912)
"""Seeds of the random networks."""


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    rung: str = ""  # the one that noticed; "" where none did
    how: str = ""  # ``different``, ``crash``, ``nothing came``; ``undecided`` if the clock ran out; "" if none did
    right: bool = True  # whether every row that failed is of a layer that had run the changed statement
    detail: str = ""  # the first row or the error


class _Finder(MetaPathFinder, Loader):
    """Gives one module another text, or takes an extension module from another place."""

    def __init__(self, name: str, path: Path, text: str | None) -> None:
        self._name, self._path, self._text = name, path, text

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of that module alone."""
        if name != self._name:
            return None
        if self._text is None:
            return importlib.util.spec_from_file_location(name, self._path)
        package = [str(self._path.parent)] if self._path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(name, self._path, loader=self, submodule_search_locations=package)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The usual one."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the other text."""
        exec(compile(self._text or "", str(self._path), "exec"), module.__dict__)


def install(room: str, name: str, path: Path, text: str | None = None) -> None:
    """Let this process import a module (``port.pool``) with another text, or the library at the path if there is none.

    What the process had imported of the room is forgotten, but for other extension modules.
    """
    name = f"{OURS}.{name}"
    for loaded in [one for one in sys.modules if one == f"{OURS}.{room}" or one.startswith(f"{OURS}.{room}.")]:
        if loaded == name or not (getattr(sys.modules[loaded], "__file__", "") or "").endswith(".so"):
            del sys.modules[loaded]
    sys.meta_path.insert(0, _Finder(name, path, text))


class _Watched(WrappedEngine):
    """The port; notes which layer and pass run."""

    def __init__(self, engine: Engine, now: dict[str, Any]) -> None:
        super().__init__(engine)
        self.now = now

    def open(self, network: Network, threads: int) -> Session:
        session, now = self.engine.open(network, threads), self.now

        def watching(verb: str, step: str) -> Callable[..., Any]:
            inner = getattr(session, verb)

            def call(layer: str, *arguments: Any, **named: Any) -> Any:
                now["place"] = layer, step
                try:
                    return inner(layer, *arguments, **named)
                finally:
                    now["place"] = None

            return call

        for verb, step in (
            ("forward", "forward"),
            ("backward", "backward"),
            ("sum_grad", "backward"),
            ("update", "update"),
        ):
            setattr(session, verb, watching(verb, step))
        return session


Rung = tuple[str, Callable[[Engine], Iterator[Any]]]
"""A name, and what gives the rows of an engine."""


def rungs(shared: bool) -> Iterator[Rung]:
    """(name, what gives the rows) of each rung; `shared` makes the workloads now, for children that are forked."""

    def rung(make: Callable[[], Workload], mode: str = "isolated") -> Callable[[Engine], Iterator[Any]]:
        work = make() if shared else None
        return lambda engine: rows(replace(work or make(), engines=[engine], explains=False), mode)

    def of(net: str, **options: Any) -> Callable[[], Workload]:
        settings = {"input": "random", "batch": 6, "threads": 1, **options}
        return lambda: prepare(Options(net, engines=("reference",), **settings))

    yield "zoo", rung(of("zoo"))
    yield "zoo, late", rung(of("zoo", progress=0.37, update_every=3, quantise=True, seed=1))
    yield "zoo, exact", rung(of("zoo", input="exact", batch=8))
    yield "zoo, test", rung(of("zoo", pass_type="test", passes=("forward",)))
    yield "zoo, views", rung(of("zoo", pass_type="views", passes=("forward",)))
    yield "zoo, batch 96", rung(of("zoo", batch=96, passes=("forward", "backward")))
    yield SPREADS, rung(of("tiny"), "propagated")
    for seed in NETS:
        yield f"net {seed}", rung(partial(_random, seed))


def _random(seed: int) -> Workload:
    net = random_net(seed)
    return workload(net.text, input="random", seed=seed, **net.options)


class Noticed(Exception):
    """What a rung raises that has no rows; says what differs."""


def golden(engine: Engine) -> Iterator[Any]:
    """The rung of the recorded cases, on the build that never fuses a·b + c."""
    for path in recorded.paths(GOLDEN):
        _, problems = check_cases(recorded.read(path), EntryPoints("strict"))
        if problems:
            raise Noticed(f"{path.stem}: {problems[0]}")
    yield from ()


def climb(
    change: Callable[[], None], ladder: Sequence[Rung], tests: Sequence[str] = (), engine: str = "port"
) -> Outcome:
    """An engine climbs in a child process, where the change is made; `tests` (words for pytest) are the last rung."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            limit_processor(PATIENCE)
            signal.alarm(WALL)
            os.environ["ROSETTA_ISA"] = "strict"  # the build of the engine whose mutants are compiled
            outcome = _climb(change, ladder, engine)
            if tests and not outcome.how:
                limit_processor(PATIENCE + TESTING)
                outcome = _tested(tests)
            os.write(writing, repr((outcome.rung, outcome.how, outcome.right, outcome.detail[:300])).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        said = told.read().decode()
    _, status = os.waitpid(child, 0)
    return Outcome(*ast.literal_eval(said)) if said else ended(os.waitstatus_to_exitcode(status))


def _tested(tests: Sequence[str]) -> Outcome:
    """Run tests in this process until one fails; the detail begins with its name, and a line of its own."""
    import pytest

    class First:
        told = ""

        def pytest_collection(self, session: Any) -> None:
            """Have no failing example made shorter: nobody reads it."""
            from hypothesis import Phase, settings

            phases = (Phase.explicit, Phase.generate)
            settings.register_profile("mutant", settings.default, phases=phases, database=None)
            settings.load_profile("mutant")

        def pytest_runtest_logreport(self, report: Any) -> None:
            self.note(report)

        def pytest_collectreport(self, report: Any) -> None:
            self.note(report)

        def note(self, report: Any) -> None:
            if report.failed and not self.told:
                self.told = f"{report.nodeid}\n{str(report.longrepr)[-200:]}"

    first = First()
    for loaded in [name for name, one in list(sys.modules.items()) if _is_test(one)]:
        del sys.modules[loaded]  # a test that was imported before keeps what it imported of the file without the change
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    code = pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-m", NEAR, *tests], plugins=[first])
    return Outcome() if code in (0, 5) else Outcome("tests", "different", True, first.told or f"\npytest says {code}")


def _is_test(module: ModuleType) -> bool:
    return (getattr(module, "__file__", "") or "").startswith(f"{GOLDEN.parent}{os.sep}")


def limit_processor(seconds: int) -> None:
    """Have this process end after so many seconds of a processor, by the signal that `ended` knows."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def ended(code: int) -> Outcome:
    """What became of a mutant whose process ended without a word, by its exit code, negative for a signal."""
    how = {-signal.SIGXCPU: "nothing came", -signal.SIGKILL: "nothing came", -signal.SIGALRM: UNDECIDED}
    return Outcome("", how.get(code, "crash"), True, f"the process ended with {code}")


def _climb(change: Callable[[], None], ladder: Sequence[Rung], engine: str) -> Outcome:
    now: dict[str, Any] = {"place": None}
    ran: set[Any] = set()
    setattr(builtins, MARK, lambda: ran.add(now["place"]))
    name = "import"
    try:
        change()
        for name, give in ladder:
            failed = []
            with np.errstate(all="ignore"):
                for row in give(_Watched(AsMeant(engines.find(engine)), now)):
                    told = row.counted().values()
                    failed += [(row, found) for found in told if found.fails or found.status in NOT_COMPARED]
            if failed:
                right = name == SPREADS or all(_ran_before(row, ran) for row, _ in failed)
                row, found = failed[0]
                how = "crash" if found.status == "failed" else "different"
                return Outcome(name, how, right, f"{row.layer} {row.step} {row.tensor} {found.reason}")
    except Noticed as told:
        return Outcome(name, "different", True, str(told))
    except Exception:
        return Outcome(name, "crash", True, traceback.format_exc(limit=-1)[-300:])
    return Outcome()


def _ran_before(row: Any, ran: set[Any]) -> bool:
    """Whether the changed statement ran in this layer by this pass, or outside of all steps; or has no mark."""
    before = PASSES[: PASSES.index(row.step) + 1] if row.step in PASSES else (row.step, "forward")
    return not ran or None in ran or any((row.layer, step) in ran for step in before)
