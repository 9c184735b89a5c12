"""Engines and sessions that stand before another one: what a subclass does not change is done by that one."""

from collections.abc import Mapping
from typing import Any

from ..network.load import Network
from .protocol import Arithmetic, Engine, Session


class WrappedEngine(Engine):
    """An engine that opens the sessions of another one.

    ``name``: by default the engine's.
    """

    def __init__(self, engine: Engine, name: str = "") -> None:
        self.engine, self.name = engine, name or engine.name

    def probe(self) -> tuple[bool, str]:
        """As the engine."""
        return self.engine.probe()

    def arithmetic(self) -> Arithmetic | None:
        """As of the engine."""
        return self.engine.arithmetic()

    def quirks(self) -> Mapping[str, bool]:
        """As of the engine."""
        return self.engine.quirks()

    def open(self, network: Network, threads: int) -> Session:
        """A session of the engine."""
        return self.engine.open(network, threads)


class WrappedSession:
    """A session that hands every verb on to another one."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._session, verb)
