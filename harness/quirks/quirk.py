"""What the ledger says about a quirk."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quirk:
    """One entry of the ledger.

    Attributes
    ----------
    name : str
        In kebab case.
    kind : str
        ``defect``: the historical code does not compute what it was meant to. ``convention``: it does, but frameworks
        differ in what that is.
    title : str
        What happens while the switch is on, in a few words.
    text : str
        The paragraph: on, off, and where it shows.
    source : str
        Sections of the specification.
    layers : tuple of str
        Layer types that it touches; empty where only entry points of the 2012 engine reach it.
    legacy, port : bool or None
        The default of the switch in that engine; None where the engine has none.
    values : bool
        True if the switch works on the values that an engine is given, before it sees them; then every engine has it.
    needs_isolation : bool
        True if layers downstream could not take what the engine then computes: isolated mode only.
    """

    name: str
    kind: str
    title: str
    text: str
    source: str
    layers: tuple[str, ...] = ()
    legacy: bool | None = None
    port: bool | None = None
    values: bool = False
    needs_isolation: bool = False

    @property
    def meant(self) -> bool:
        """The position of the switch that the reference computes: defects off, conventions on."""
        return self.kind == "convention"
