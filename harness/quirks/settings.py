"""Positions of switches: what a user asks for, what an engine has, and sessions with them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import BadInput, Unsupported, meant
from ..network.load import Network
from . import LEDGER, find, levels
from .values import rearranged, rewritten


class Switched(Protocol):
    """What is asked of an engine here (`engines.protocol.Engine`)."""

    name: str
    ignored_quirks: tuple[str, ...]

    def quirks(self) -> Mapping[str, bool]:
        """Its own switches."""

    def open(self, network: Network, threads: int) -> Any:
        """A session."""


POSITIONS = {"on": True, "off": False}


def switches(engine: Switched) -> dict[str, bool]:
    """The switches of an engine and where they stand unless told otherwise: dict of name to bool.

    Every engine has the switches that work on values, unless it says that it never reads the values
    (``ignored_quirks``). An engine lists its other switches itself (``quirks()``).
    """
    given = {name: True for name, quirk in LEDGER.items() if quirk.values and name not in engine.ignored_quirks}
    return {**given, **engine.quirks()}


def quirk_of(text: str) -> str:
    """The name in ``engine:name=off``."""
    return text.rpartition(":")[2].partition("=")[0]


def parse(texts: Iterable[str], engines: Sequence[Switched], level: str = "") -> dict[str, dict[str, bool]]:
    """Positions by engine and quirk: what differs from nothing said, in the order in which it was said.

    The texts are ``name=on`` or ``name=off`` for all engines, ``engine:name=off`` for one. The level is
    ``[ENGINE:]YEAR``: the switches of a release, as far as an engine has them; what `texts` say comes on top.

    Raises BadInput: not of that form, no such quirk, no such engine, no such level; Unsupported: an engine has no such
    switch.
    """
    settings: dict[str, dict[str, bool]] = {engine.name: {} for engine in engines}
    if level:
        of, year = levels.read(level, settings)
        for engine in engines:
            if of in ("", engine.name):
                own, then = switches(engine), levels.positions(year)
                settings[engine.name] = {name: on for name, on in then.items() if own.get(name, on) != on}
    for text in texts:
        where, _, rest = text.rpartition(":")
        name, position = quirk_of(text), rest.partition("=")[2]
        if position not in POSITIONS or where not in ("", *settings):
            hint = f"name=on, name=off, or ENGINE:name=off with one of {', '.join(settings)}"
            hint = hint if where in ("", *settings) else meant(where, settings, hint)
            raise BadInput(f"--quirk {text} is no setting of a quirk", hint=hint)
        find(name)
        for engine in engines:
            if where in ("", engine.name):
                _require_switch(engine, name)
                settings[engine.name][name] = POSITIONS[position]
    return settings


def open_session(engine: Switched, network: Network, threads: int, settings: Mapping[str, bool]) -> Any:
    """A session of an engine with some switches set."""
    session = engine.open(rewritten(network, settings), threads)
    for name, on in settings.items():
        if not find(name).values:
            _require_switch(engine, name)
            session.set_quirk(name, on)
    return rearranged(session, network, settings)


def _require_switch(engine: Switched, name: str) -> None:
    if name not in switches(engine):
        raise Unsupported(f"engine {engine.name} has no switch for the quirk {name}", hint="see 'rosetta list quirks'")
