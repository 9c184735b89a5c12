"""Engines with every switch of the quirk ledger where the reference has it."""

from collections.abc import Mapping

from ..network.load import Network
from ..quirks import LEDGER
from ..quirks.settings import open_session, switches
from .protocol import Session
from .wrapped import WrappedEngine


class AsMeant(WrappedEngine):
    """An engine that computes what was meant: historical defects are off, conventions as they are."""

    def quirks(self) -> Mapping[str, bool]:
        """The switches of the engine, where they stand here."""
        return {name: LEDGER[name].meant for name in self.engine.quirks()}

    def open(self, network: Network, threads: int) -> Session:
        """A session of the engine with its switches turned."""
        turned = {name: LEDGER[name].meant for name, on in switches(self.engine).items() if on != LEDGER[name].meant}
        return open_session(self.engine, network, threads, turned)
