"""The ledger as text: `rosetta list quirks`, and the page of the guide."""

import re
from collections.abc import Iterable, Iterator
from textwrap import wrap

from ..network.load import Network
from . import CONVENTIONS, DEFECTS, Quirk
from .quirk import SAYS, YEARS
from .values import touched

BAR = "\\|"
HEADINGS = {
    "Defects": (DEFECTS, "on reproduces the historical code, off computes what was meant, as the reference does"),
    "Conventions": (CONVENTIONS, "on does what the engine of 2012 did, as the reference does, off what others do"),
}

ORDER = ("conv", "local", "fc", "treefc", "pool", "rnorm", "cnorm", "cmrnorm", "neuron", "eltmax", "hs", "softmax",
         "cost", "resize", "rscale", "href", "rgb2yuv", "rgb2lab")  # fmt: skip
"""Layer types in the order in which the pages name quirks, by the first type that a quirk touches."""


def ordered(quirks: Iterable[Quirk]) -> list[Quirk]:
    """Quirks from the convolutions to the costs; those of entry points alone come last."""

    def place(quirk: Quirk) -> int:
        return min((ORDER.index(layer.partition(".")[0]) for layer in quirk.layers), default=len(ORDER))

    return sorted(quirks, key=place)


def lines(width: int = 100) -> Iterator[str]:
    """Lines for a terminal."""
    for heading, (quirks, about) in HEADINGS.items():
        yield f"{heading}: {about}"
        for quirk in ordered(quirks):
            yield ""
            yield f"  {quirk.name}   [{positions(quirk)}]"
            yield f"    {quirk.title}"
            yield from (f"      {line}" for line in wrap(quirk.text, width - 6, break_on_hyphens=False))
            yield from (f"      {line}" for line in wrap(history(quirk), width - 6))
            yield f"      {reach(quirk)}; {quirk.source}"
        yield ""
    yield "rosetta compare NET --quirk NAME=on|off turns a switch in all engines, ENGINE:NAME=on|off in one;"
    yield "--level 2011|2012|2014 sets all of them as that release had them."


def touching(network: Network) -> Iterator[str]:
    """Lines about the quirks that touch a network: the layers, by quirk."""
    found = {quirk: touched(network, quirk.name) for quirks, _ in HEADINGS.values() for quirk in ordered(quirks)}
    yield f"{sum(map(bool, found.values()))} of {len(found)} quirks touch {network.name}"
    for quirk, names in found.items():
        if names:
            yield f"  {quirk.name:<28}{quirk.title}"
            yield from wrap(", ".join(names), 100, initial_indent=30 * " ", subsequent_indent=30 * " ")


def page() -> Iterator[str]:
    """Lines of docs/quirks.md."""
    yield from PREFACE.strip().splitlines()
    for heading, (quirks, about) in HEADINGS.items():
        yield from ("", f"## {heading}", "", f"Switch: {about}.", "")
        yield from ("| quirk | what it is | layers |", "|---|---|---|")
        for quirk in ordered(quirks):
            touched = ", ".join(quirk.layers) or "entry points only"
            yield f"| [{quirk.name}](#{quirk.name}) | {quirk.title.replace('|', BAR)} | {touched} |"
        for quirk in ordered(quirks):
            yield from ("", f"### {quirk.name}", "", f"*{quirk.title[0].upper()}{quirk.title[1:]}.*", "")
            yield from wrap(quirk.text, 118, break_on_hyphens=False, break_long_words=False)
            yield from (
                "",
                f"{reach(quirk)[0].upper()}{reach(quirk)[1:]}. Defaults: {positions(quirk)}. "
                f"Source: {linked(quirk.source)}.",
            )


def history(quirk: Quirk) -> str:
    """When a quirk appeared, was mended, became optional."""
    then = "; ".join(f"{year}: {SAYS[quirk.said(year)]}" for year in YEARS)
    return (f"{then}. Appeared: {quirk.appeared}; mended: {quirk.mended}; "
            f"optional since: {quirk.optional or 'not said'}")  # fmt: skip


def linked(source: str) -> str:
    """Sections of the specification, with a link to each chapter."""
    return re.sub(r"\b[a-z]+(-[a-z]+)+\b", r"[\g<0>](specification/\g<0>.md)", source)


def positions(quirk: Quirk) -> str:
    """Where the switch stands by default, by engine."""
    if quirk.values:
        return "on in every engine"
    found = {"legacy": quirk.legacy, "port": quirk.port}
    return ", ".join(f"{name} {'on' if on else 'off'}" for name, on in found.items() if on is not None)


def reach(quirk: Quirk) -> str:
    """What it touches."""
    return f"layers {', '.join(quirk.layers)}" if quirk.layers else "entry points only"


PREFACE = """
# The quirk ledger

What the engine of 2012 computes otherwise than it was meant to (*defects*), and what it computes otherwise than other
frameworks (*conventions*). Each has a name and a switch. The legacy engine reproduces history; the port computes what
was meant, and so does the reference that both are judged by.

```sh
rosetta list quirks                # this page
rosetta list quirks --net alexnet  # those that touch a layer of a network, and which

# Turn a switch in one engine; see what a convention does:
rosetta compare zoo --quirk legacy-cpu:cnorm-ignores-means=off
rosetta compare cifar --quirk port:lrn-alpha-over-size=off
```

Where a tensor is `different`, the comparison turns each switch that touches the layer and stands otherwise than the
reference computes, runs the layer's step again from the same values and judges again. If the difference vanishes, the
row says which quirk explains it. The exit code is 1 all the same; the closing sentence tells explained differences from
others. What vanishes only when a switch is turned away from the reference looks like that quirk, and stays unexplained.

A switch that touches no layer of the network changes nothing, and the run says so.

`--level 2012` sets every switch as the release of 2012 had it: see [levels](levels.md).

In Python: `legacy.Network(layers, quirks={"href-overwrites": False})`, `with legacy.quirks(blur_last_tap=False):`
around calls of `legacy.cudaconv`, and `port.Network(spec, quirks={"href-overwrites": True})`.

Quirks stand in the order of the layers that they touch, from convolutions to costs; sources are sections of
[the specification](specification/index.md). This page is written by `rosetta list quirks --markdown`.
"""
