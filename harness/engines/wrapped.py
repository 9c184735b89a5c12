"""Engines and sessions that stand before another one: what a subclass does not change is done by that one."""

from collections.abc import Mapping
from typing import Any

from ..network.load import Network
from ..quirks import LEDGER
from ..quirks.settings import open_session, switches
from .protocol import Arithmetic, Engine, Session


class WrappedEngine(Engine):
    """An engine that opens the sessions of another one.

    ``name``: by default the engine's.
    """

    def __init__(self, engine: Engine, name: str = "") -> None:
        self.engine, self.name = engine, name or engine.name

    def probe(self) -> tuple[bool, str]:
        return self.engine.probe()

    def arithmetic(self) -> Arithmetic | None:
        return self.engine.arithmetic()

    def quirks(self) -> Mapping[str, bool]:
        return self.engine.quirks()

    def open(self, network: Network, threads: int) -> Session:
        return self.engine.open(network, threads)


class WrappedSession:
    """A session that hands every verb on to another one."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._session, verb)


class AsMeant(WrappedEngine):
    """An engine that computes what was meant: historical defects are off, conventions as they are."""

    def quirks(self) -> Mapping[str, bool]:
        """The switches of the engine, where they stand here."""
        return {name: LEDGER[name].meant for name in self.engine.quirks()}

    def open(self, network: Network, threads: int) -> Session:
        """A session of the engine with its switches turned."""
        turned = {name: LEDGER[name].meant for name, on in switches(self.engine).items() if on != LEDGER[name].meant}
        return open_session(self.engine, network, threads, turned)
