"""The quirk ledger: what the engine of 2012 computes otherwise than meant, or otherwise than others, with switches."""

from ..errors import BadInput, meant
from .conventions import CONVENTIONS
from .defects import DEFECTS
from .quirk import Quirk

__all__ = ["CONVENTIONS", "DEFECTS", "LEDGER", "Quirk", "find"]

LEDGER = {quirk.name: quirk for quirk in (*DEFECTS, *CONVENTIONS)}
"""All quirks by name, defects first."""


def find(name: str) -> Quirk:
    """The quirk of that name; BadInput if the ledger has none."""
    if name not in LEDGER:
        raise BadInput(f"there is no quirk {name!r}", hint=meant(name, LEDGER, "'rosetta list quirks' names them all"))
    return LEDGER[name]
