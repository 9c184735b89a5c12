"""What the ledger says about a quirk."""

from dataclasses import dataclass

YEARS = (2011, 2012, 2014)
"""The programs that the specification describes: its tags G11, G12 and G14."""
SAYS = {
    "on": "on",
    "off": "off",
    "(on)": "on as in 2011, whose source is there",
    "(off)": "off as in 2011, whose source is there",
    "-": "no such thing",
    "?": "not said",
}
"""What the specification says of a quirk in a release, and that in words."""


@dataclass(frozen=True)
class Quirk:
    """One entry of the ledger."""

    name: str  # in kebab case
    # ``defect``: the historical code does not compute what it was meant to. ``convention``: it does, but frameworks
    # differ in what that is.
    kind: str
    title: str  # what happens while the switch is on, in a few words
    text: str  # the paragraph: on, off, and where it shows
    source: str  # sections of the specification
    # layer types that it touches; empty where only entry points of the 2012 engine reach it
    layers: tuple[str, ...] = ()
    releases: str = "? ? ?"  # where the programs of 2011, 2012 and 2014 have the switch, three words of `SAYS`
    # the year since which a layer file of that time can choose; None: the specification knows of no such choice
    optional: int | None = None
    # legacy, port: the default of the switch in that engine; None where the engine has none
    legacy: bool | None = None
    port: bool | None = None
    # true if the switch works on the values that an engine is given, before it sees them; then every engine has it
    values: bool = False
    # true if layers downstream could not take what the engine then computes: isolated mode only
    needs_isolation: bool = False

    @property
    def meant(self) -> bool:
        """The position of the switch that the reference computes: defects off, conventions on."""
        return self.kind == "convention"

    def said(self, year: int) -> str:
        """What the specification says of a release, a word of `SAYS`."""
        return self.releases.split()[YEARS.index(year)]

    def position(self, year: int) -> bool | None:
        """Where the switch stands in a release; None where the release has no such thing, or nothing is said."""
        return {"on": True, "off": False}.get(self.said(year).strip("()"))

    @property
    def appeared(self) -> str:
        """The first release that has it; "not said" where an earlier one is silent."""
        first = next(year for year in YEARS if self.position(year) or self.said(year) == "?")
        return str(first) if self.position(first) else "not said"

    @property
    def mended(self) -> str:
        """The first release that has it no more; "never", or "not said" where that release is silent."""
        after = max(year for year in YEARS if self.position(year)) + 1
        gone = next((year for year in YEARS if year >= after), 0)
        words = {"?": "not said", "-": f"{gone} (with all of it)"}
        return words.get(self.said(gone), str(gone)) if gone else "never"
