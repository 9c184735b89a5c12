"""What an evidence file says, as a page of Markdown: verdicts, bits, images per second, shares of the card's peak."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...reporting.formats import as_table, in_markdown, table_of
from ..golden.check import describe
from .golden import expects_bits

Found = Mapping[str, Any]
Section = Callable[[Found], Iterator[str]]


def page(evidence: Found, outdated: Sequence[str] = ()) -> Iterator[str]:
    """The lines of the page.

    ``evidence``: an evidence file, as `evidence.read` gives it; a part that was not run has no section.
    ``outdated``: what has changed since, as `kernels.outdated` says it.
    """
    card, build = evidence["card"], evidence["build"]
    yield f"## {in_markdown(card['name'])}"
    yield ""
    facts = {key: value for key, value in card.items() if key != "name"} | {
        "version of this project": build["version"], "module for the CPU": build["module"],
        "hash of the kernel files": build["kernels"], "checked": evidence["created"]}  # fmt: skip
    yield from table(("card and build", ""), facts.items())
    if outdated:
        yield "**The evidence is older than this build.** What has changed since:"
        yield ""
        yield from (f"* {in_markdown(sentence)}" for sentence in outdated)
        yield ""
    parts = evidence["parts"]
    rows = [(name, "passed" if part["status"] == "passed" else f"**{in_markdown(part['status'])}**",
             f"{part['seconds']:.0f}", in_markdown(part["summary"])) for name, part in parts.items()]  # fmt: skip
    yield table_of(("part", "", "s", "in short"), rows)
    yield ""
    for name, part in parts.items():
        yield from (f"* {name}: {in_markdown(problem.removeprefix(f'{name}: '))}" for problem in part["problems"])
    yield ""
    for name, section in SECTIONS.items():
        numbers = parts.get(name, {}).get("numbers")
        if numbers:
            yield from section(numbers)


def bits(numbers: Found) -> Iterator[str]:
    """Entry point by entry point: whose bits are those of the CPU, and why not."""
    yield "### Bits of the recorded cases"
    yield ""
    yield ("How many outputs have, on the card, the bits of the build for the CPU that fuses a·b + c. Equal bits are "
           "expected of convolutions and pooling, the first lines: their kernels multiply, add and compare. Elsewhere "
           "the bound decides.")  # fmt: skip
    yield ""
    reasons = {case["entry"]: case for case in reversed(numbers["exceptions"])}
    entries = sorted(numbers["bits"].items(), key=lambda item: (not expects_bits(item[0]), item[0]))
    rows = [
        (
            code(entry),
            *(str(found.get(whose, 0)) for whose in ("bits of legacy-cpu", "other bits")),
            reason(reasons.get(entry)),
        )
        for entry, found in entries
    ]
    yield table_of(("entry point", "bits of the CPU", "other bits", "the first case with other bits"), rows)
    yield ""


def reason(case: Found | None) -> str:
    """The kernels of a case with other bits, how far it is off, and what of its kernels is approximate on a GPU."""
    if case is None:
        return ""
    kernels = ", ".join(map(code, case["kernels"]))
    why = f"approximate on a GPU: {', '.join(case['functions'])}" if case["functions"] else "no approximate function"
    size = f": {case['elements']} of {case['of']} elements, at most {float(case['largest']):.3g}; {why}"
    return kernels + in_markdown(size)


def comparison(net: str) -> Section:
    """A section about a network that was compared."""

    def compared(numbers: Found) -> Iterator[str]:
        yield f"### {net}, batch {numbers['batch']}"
        yield ""
        yield in_markdown(numbers["sentence"])
        yield ""
        shares = numbers["largest_share_of_the_bound"]
        rows = [
            (name, describe(verdicts), f"{float(shares[name]):.2g}") for name, verdicts in numbers["verdicts"].items()
        ]
        yield from table(("engine", "verdicts", "largest share of the bound"), rows)
        equal = numbers["tensors_with_equal_bits"].items()
        yield from table(("pair", f"tensors with equal bits, of {numbers['tensors']}"), equal)

    return compared


def exact(numbers: Found) -> Iterator[str]:
    """The exact tier, network by network."""
    yield "### Where nothing may round"
    yield ""
    yield from (f"* {net}, batch {found['batch']}: {in_markdown(found['sentence'])}" for net, found in numbers.items())
    yield ""


def sanitizer(numbers: Found) -> Iterator[str]:
    """What compute-sanitizer found."""
    yield "### compute-sanitizer"
    yield ""
    rows = [(tool, found["kernels"], found["errors"]) for tool, found in numbers.items()]
    yield from table(("tool", "kernels", "errors"), rows)


def steps(numbers: Found) -> Iterator[str]:
    """The repeated training step."""
    yield f"### {numbers['steps']} equal training steps of {numbers['network']}, batch {numbers['batch']}"
    yield ""
    yield from table(("", ""), [("different results", numbers["different_results"]),
                                *((f"bytes taken {when}", f"{size:,}") for when, size in
                                  numbers["memory_bytes"].items())])  # fmt: skip


def bench(numbers: Found) -> Iterator[str]:
    """Images per second, then the seconds and shares of the peak layer by layer."""
    yield f"### Speed: {numbers['network']}, batch {numbers['batch']}, medians of {numbers['repeat']} steps"
    yield ""
    low, high = numbers["images_per_second_2012_two_gtx_580_derived"]
    rates = [(name, f"{rate:,.1f}") for name, rate in numbers["images_per_second"].items()]
    rates.append(("two GTX 580 in 2012, from the days that the paper trained", f"{low:.0f} to {high:.0f}"))
    most = numbers["images_per_second_model_one_gtx_580_at_most"]
    rates.append(("one GTX 580, a model and no measurement", f"at most {most:.0f}"))
    rates.extend((name, f"not timed: {why}") for name, why in numbers.get("unavailable", {}).items())
    yield from table(("a whole training step", "images/s"), rates)
    peaks = numbers["peaks"]
    on_card = [name for name in numbers["engines"] if name.endswith("-gpu")]
    if not on_card:
        return
    yield "Shares of the card's peak: for FP32 the operations of the formula, for the bandwidth every array moved once."
    yield ""
    heads = ("layer", "pass", *(f"{name} {what}" for name in on_card for what in ("ms", "FP32", "bandwidth")))
    yield from table(heads, [(layer["layer"], layer["pass"], *(cell for name in on_card for cell in
                                                               shares(layer, name, peaks.get(name))))
                             for layer in numbers["layers"]])  # fmt: skip


def shares(layer: Found, engine: str, peak: Found | None) -> tuple[str, str, str]:
    """Milliseconds, share of the peak of FP32, share of the bandwidth of an engine's pass over a layer."""
    seconds = layer["seconds"].get(engine)
    if not seconds:
        return "-", "-", "-"
    time = f"{seconds * 1e3:.3f}"
    if peak is None:
        return time, "-", "-"
    return (time, f"{layer['operations'] / seconds / peak['flops']:.1%}",
            f"{layer['bytes'] / seconds / peak['bytes_per_second']:.1%}")  # fmt: skip


def table(heads: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A table of texts, and an empty line."""
    yield as_table(heads, rows)
    yield ""


def code(text: object) -> str:
    """A name of the file as code."""
    return f"`{re.sub('[`|]', '', str(text))}`"


SECTIONS: dict[str, Section] = {
    "golden": bits,
    "exact": exact,
    **{net: comparison(net) for net in ("alexnet", "cifar", "zoo")},
    "sanitizer": sanitizer,
    "steps": steps,
    "bench": bench,
}
