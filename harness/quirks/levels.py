"""Levels: the switches of the ledger where a release of the historical code had them."""

from collections.abc import Collection, Iterable

from ..errors import BadInput
from . import LEDGER
from .quirk import SAYS, YEARS

FILES = {"alexnet": 2012, "cc2": 2014}
"""The year of recorded cases, by what follows the last _ in the name of the file; any other ending: 2011."""


def of_file(stem: str) -> int:
    """The level of a file of recorded cases."""
    return FILES.get(stem.rpartition("_")[2], YEARS[0])


def read(text: str, engines: Collection[str] = ()) -> tuple[str, int]:
    """(engine or "", year) of ``[ENGINE:]YEAR``; BadInput if there is no such level, or none of these engines."""
    where, _, year = text.rpartition(":")
    if year not in map(str, YEARS) or where not in ("", *engines):
        forms = f"{', '.join(map(str, YEARS))}, or ENGINE:YEAR with one of {', '.join(engines)}"
        raise BadInput(f"there is no level {text!r}", expected=forms, hint="'rosetta list quirks' says what each had")
    return where, int(year)


def positions(year: int) -> dict[str, bool]:
    """Where the switches stood in a release, without those that it had not, or of which nothing is said."""
    found = {name: quirk.position(year) for name, quirk in LEDGER.items()}
    return {name: on for name, on in found.items() if on is not None}


def left(text: str, names: Iterable[str]) -> list[str]:
    """Of some quirks those that a level leaves where they stand, with the reason."""
    year = int(text.rpartition(":")[2])
    quirks = [LEDGER[name] for name in names]
    return [f"{quirk.name} ({SAYS[quirk.said(year)]})" for quirk in quirks if quirk.position(year) is None]
