"""The rows of a run in the forms that others read: JSON, CSV, Parquet, Markdown for a pull request, JUnit XML for CI.

Each function takes rows, and gives bytes. Whatever stands in a name is escaped as the form asks.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..errors import BadInput
from ..judging.finding import SEVERITY
from ..judging.row import Row, by_step, run_code, sentence
from . import lines

NOTHING: Mapping[str, str] = {}
LONGEST = 60_000
"""Characters of a page of Markdown: GitHub takes 65,536 in a comment."""
MOST_FAILURES = 20
SIGNS = {0: "✅", 1: "❌", 3: "⚠️"}


def as_json(values: Any) -> bytes:
    """Plain values as JSON; numbers that JSON has no word for are texts."""
    text = json.dumps(plain(values), indent=1, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """Numbers of NumPy and numbers that JSON has no word for, as plain values."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def as_csv(rows: Sequence[Row]) -> bytes:
    """A line for each tensor and engine, without cells that a spreadsheet takes for a formula."""
    return lines_as_csv([line for row in rows for line in row.flat()])


def lines_as_csv(flat: Sequence[Mapping[str, Any]]) -> bytes:
    """Dictionaries with the same keys as CSV, without cells that a spreadsheet takes for a formula."""
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, fieldnames=list(flat[0]) if flat else ["layer"])
    table.writeheader()
    table.writerows({name: _cell(value) for name, value in line.items()} for line in flat)
    return file.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def as_parquet(rows: Sequence[Row]) -> bytes:
    """The lines of `as_csv` as columns; BadInput where pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise BadInput("Parquet needs pyarrow, which is not installed", hint="pip install pyarrow") from error
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([line for row in rows for line in row.flat()]), file)
    return file.getvalue()


def markdown(
    title: str,
    rows: Sequence[Row],
    *,
    allow: Sequence[str] = (),
    fail_on: Sequence[str] = (),
    facts: Mapping[str, str] = NOTHING,
) -> bytes:
    """A page that fits a pull request: the sentence, what counts against the run with its commands, all layers.

    `allow` and `fail_on` are those of `row.run_code`, `facts` is what else a reader should know, by name.
    """
    against = [(row, engine) for row in rows for engine in row.findings if row.weighs(engine, allow, fail_on)]
    sign = SIGNS[run_code(rows)] if against or not run_code(rows) else "☑️"
    parts = [
        f"### {sign} {in_markdown(title)}",
        in_markdown(sentence(rows)),
        in_markdown(excused(rows, allow, fail_on)),
    ]
    if against:
        named = ("", "layer", "pass", "tensor", "engine", "verdict", "bound used", "worst at")
        parts.append(as_table(named, [_failure(row, engine) for row, engine in against[:MOST_FAILURES]]))
        parts.append(f"and {len(against) - MOST_FAILURES} more." if len(against) > MOST_FAILURES else "")
        commands = list(dict.fromkeys(row.command for row, _ in against[:MOST_FAILURES] if row.command))
        parts.append(_folded("Again, row by row", _code("\n".join(map(lines.printable, commands)))) * bool(commands))
    parts.append("\n".join(f"- {in_markdown(name)}: {in_markdown(text)}" for name, text in facts.items()))
    steps, left = by_step(rows), LONGEST - sum(map(len, parts))
    engines = list(dict.fromkeys(name for row in rows for name in row.seconds))
    heads = ("", "layer", "pass", "verdict", "bound used", "tensors", *(f"{name}, s" for name in engines))
    table = as_table(heads, [_step(group, engines) for group in steps.values()])
    shown = table[: max(0, left - 300)].rpartition("\n")[0] if len(table) + 300 > left else table
    missing = table.count("\n") - shown.count("\n")
    more = f"\n\n{missing} more did not fit here." if missing else ""
    parts.append(_folded(f"All {len(steps)} layers and passes", shown + more))
    return ("\n\n".join(filter(None, parts)) + "\n").encode("utf-8", "backslashreplace")


def excused(rows: Sequence[Row], allow: Sequence[str] = (), fail_on: Sequence[str] = ()) -> str:
    """What is said where the exit code is 0 though not all rows agree; else ""."""
    if not run_code(rows) or run_code(rows, allow, fail_on):
        return ""
    found = Counter(row.findings[name].status for row in rows for name in row.findings if row.weighs(name))
    listed = ", ".join(f"{count} {status}" for status, count in found.items())
    option = f"--fail-on {','.join(fail_on)}" if fail_on else " ".join(f"--allow {status}" for status in allow)
    return f"Exit code 0 with {option}: {listed}."


def _failure(row: Row, engine: str) -> tuple[str, ...]:
    found, why = row.findings[engine], " with ".join(row.quirk.get(engine, ())) or row.findings[engine].reason
    mark = lines.EXPLAINED if engine in row.quirk else lines.MARKS.get(found.status, lines.FAILED)
    verdict = f"{found.status}: {why}" if why else found.status
    return mark, row.layer, _pass(row), row.tensor, engine, verdict, lines.share(found), row.where(found.worst)


def _pass(row: Row) -> str:
    return f"{row.step} (own feed)" if row.mode == "propagated" else row.step


def _step(group: Sequence[Row], engines: Sequence[str]) -> tuple[str, ...]:
    worst = max(group, key=lambda row: (SEVERITY.index(row.telling()[1].status), row.telling()[1].share))
    seconds = {name: f"{value:.4f}" for row in group for name, value in row.seconds.items()}
    times = (seconds.get(name, "") for name in engines)
    return (
        *(lines.mark(worst), worst.layer, _pass(worst), lines.verdict(worst), lines.share(worst.telling()[1])),
        *(str(len(group)), *times),
    )


def as_table(heads: Sequence[str], cells: Iterable[Iterable[object]]) -> str:
    """A table in Markdown; what is in the cells is escaped."""
    return table_of(heads, (map(in_markdown, line) for line in cells))


def table_of(heads: Sequence[str], cells: Iterable[Iterable[str]]) -> str:
    """A table in Markdown, of cells that are Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *cells))


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _code(text: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"


def in_markdown(text: object) -> str:
    """Text in which Markdown and GitHub see no mark, no link, no name and no number of anything."""
    escaped = re.sub(r"([\\`*_\[\]|~!])", r"\\\1", lines.printable(str(text)))
    return re.sub("[<>&@#]", lambda found: f"&#{ord(found[0])};", escaped)


def junit(
    title: str,
    rows: Sequence[Row],
    *,
    allow: Sequence[str] = (),
    fail_on: Sequence[str] = (),
    facts: Mapping[str, str] = NOTHING,
    created: str = "",
) -> bytes:
    """JUnit XML: a suite for each layer, a case for each pass, tensor and engine, with the command that repeats it.

    A case fails (or, of what was not decided, is an error) where it makes the exit code of the run other than 0. What
    else was not compared, or differs and is excused, is skipped: nothing of that is a pass.
    """
    root = ElementTree.Element("testsuites", _attributes(name=title))
    for layer in dict.fromkeys(row.layer for row in rows):
        suite = ElementTree.SubElement(root, "testsuite", _attributes(name=layer))
        properties = ElementTree.SubElement(suite, "properties")
        for name, text in facts.items():
            ElementTree.SubElement(properties, "property", _attributes(name=name, value=text))
        own = [row for row in rows if row.layer == layer]
        for row in own:
            for engine in row.findings:
                _case(suite, title, row, engine, row.weighs(engine, allow, fail_on))
        suite.set("time", f"{sum(sum(row.seconds.values()) for row in own):.6f}")
        if created:
            suite.set("timestamp", created[:19])
    for element in (*root, root):
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            element.set(name, str(sum(1 for _ in element.iter(tag))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _case(suite: ElementTree.Element, title: str, row: Row, engine: str, weighs: bool) -> None:
    found, name = row.findings[engine], f"{_pass(row)} {row.tensor} [{engine}]"
    attributes = _attributes(classname=f"{title.partition(':')[0]}.{row.layer}", name=name)
    case = ElementTree.SubElement(suite, "testcase", attributes | {"time": f"{row.seconds.get(engine, 0.0):.6f}"})
    if not found.agrees:
        tag = "skipped" if not weighs else "failure" if found.fails else "error"
        told = ": ".join(filter(None, (row.origin.get(engine, found.status), lines.explanation(row, engine))))
        more = {"type": found.status} if weighs else {}
        ElementTree.SubElement(case, tag, _attributes(message=told) | more).text = lines.printable(told)
    if row.command:
        ElementTree.SubElement(case, "system-out").text = lines.printable(row.command)


def _attributes(**values: str) -> dict[str, str]:
    return {name: lines.printable(value) for name, value in values.items()}
