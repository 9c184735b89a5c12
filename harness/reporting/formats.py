"""The rows of a run in the forms that others read: JSON, CSV, Parquet, Markdown for a pull request, JUnit XML for CI.

Each function takes rows, and gives bytes. Whatever stands in a name is escaped as the form asks.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..errors import BadInput
from ..judging.row import Row, run_code, sentence, step_lines
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
    flat = [line for row in rows for line in row.flat()]
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

    Parameters
    ----------
    title : str
    rows : sequence of Row
    allow, fail_on : sequence of str
        See `row.run_code`.
    facts : mapping of str to str
        What else a reader should know, by name.
    """
    against = [(row, engine) for row in rows for engine in row.findings if row.weighs(engine, allow, fail_on)]
    sign = SIGNS[run_code(rows)] if against or not run_code(rows) else "☑️"
    parts = [f"### {sign} {_text(title)}", _text(sentence(rows))]
    if not against and run_code(rows):
        parts.append(_text(excused(rows, allow, fail_on)))
    if against:
        named = ("", "layer", "pass", "tensor", "engine", "verdict", "bound used", "worst at")
        parts.append(_table(named, [_failure(row, engine) for row, engine in against[:MOST_FAILURES]]))
        if len(against) > MOST_FAILURES:
            parts.append(f"and {len(against) - MOST_FAILURES} more.")
        commands = list(dict.fromkeys(row.command for row, _ in against[:MOST_FAILURES] if row.command))
        parts += [_folded("Again, row by row", _code("\n".join(map(lines.printable, commands))))] if commands else []
    if facts:
        parts.append("\n".join(f"- {_text(name)}: {_text(text)}" for name, text in facts.items()))
    steps, left = step_lines(rows), LONGEST - sum(map(len, parts))
    seconds = list(dict.fromkeys(name for line in steps for name in line if name.startswith("seconds ")))
    heads = ("", "layer", "pass", "verdict", "bound used", "tensors", *(f"{name[8:]}, s" for name in seconds))
    table = _table(heads, [_step(line, seconds) for line in steps])
    shown = table[: max(0, left - 300)].rpartition("\n")[0] if len(table) + 300 > left else table
    missing = table.count("\n") - shown.count("\n")
    more = f"\n\n{missing} more did not fit here." if missing else ""
    parts.append(_folded(f"All {len(steps)} layers and passes", shown + more))
    return ("\n\n".join(parts) + "\n").encode("utf-8", "backslashreplace")


def excused(rows: Sequence[Row], allow: Sequence[str] = (), fail_on: Sequence[str] = ()) -> str:
    """What is said where the exit code is 0 though not all rows agree; else ""."""
    if not run_code(rows) or run_code(rows, allow, fail_on):
        return ""
    found = Counter(row.findings[name].status for row in rows for name in row.findings if row.weighs(name))
    listed = ", ".join(f"{count} {status}" for status, count in found.items())
    option = f"--fail-on {','.join(fail_on)}" if fail_on else " ".join(f"--allow {status}" for status in allow)
    return f"Exit code 0 with {option}: {listed}."


def _failure(row: Row, engine: str) -> tuple[str, ...]:
    found = row.findings[engine]
    mark = lines.EXPLAINED if engine in row.quirk else lines.MARKS.get(found.status, lines.FAILED)
    why = " with ".join(row.quirk.get(engine, ())) or found.reason
    return (
        *(mark, row.layer, _pass(row), row.tensor, engine),
        f"{found.status}: {why}" if why else found.status,
        lines.share(found),
        row.where(found.worst),
    )


def _pass(row: Row) -> str:
    return f"{row.step} (own feed)" if row.mode == "propagated" else row.step


def _step(line: Mapping[str, Any], seconds: Sequence[str]) -> tuple[str, ...]:
    mark = lines.EXPLAINED if line["quirk"] else lines.MARKS.get(line["verdict"], lines.FAILED)
    step = f"{line['pass']} (own feed)" if line["mode"] == "propagated" else line["pass"]
    used = "" if line["share"] is None else "bits" if not isfinite(line["share"]) else f"{line['share']:.3g}"
    times = (f"{line[name]:.4f}" if line.get(name) is not None else "" for name in seconds)
    return mark, line["layer"], step, line["verdict"], used, str(line["tensors"]), *times


def _table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *([_text(cell) for cell in line] for line in cells)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _code(text: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"


def _text(text: str) -> str:
    """Text in which Markdown and GitHub see no mark, no link, no name and no number of anything."""
    escaped = re.sub(r"([\\`*_\[\]|~!])", r"\\\1", lines.printable(text))
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

    Parameters
    ----------
    title, rows, allow, fail_on, facts
        See `markdown`.
    created : str
        Date and time, ISO 8601.
    """
    root = ElementTree.Element("testsuites", {"name": lines.printable(title)})
    total: Counter[str] = Counter()
    for layer in dict.fromkeys(row.layer for row in rows):
        suite = ElementTree.SubElement(root, "testsuite", {"name": lines.printable(layer)})
        counts: Counter[str] = Counter()
        properties = ElementTree.SubElement(suite, "properties")
        for name, text in facts.items():
            ElementTree.SubElement(properties, "property", _attributes(name=name, value=text))
        for row in (one for one in rows if one.layer == layer):
            for engine in row.findings:
                counts[_case(suite, title, row, engine, row.weighs(engine, allow, fail_on))] += 1
                counts["tests"] += 1
        seconds = sum(sum(row.seconds.values()) for row in rows if row.layer == layer)
        for name in ("tests", "failures", "errors", "skipped"):
            suite.set(name, str(counts[name]))
        suite.set("time", f"{seconds:.6f}")
        if created:
            suite.set("timestamp", created[:19])
        total += counts
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(total[name]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _case(suite: ElementTree.Element, title: str, row: Row, engine: str, weighs: bool) -> str:
    """Add a case to a suite; what it counts as besides."""
    found = row.findings[engine]
    attributes = _attributes(
        classname=f"{title.partition(':')[0]}.{row.layer}", name=f"{_pass(row)} {row.tensor} [{engine}]"
    )
    case = ElementTree.SubElement(suite, "testcase", attributes | {"time": f"{row.seconds.get(engine, 0.0):.6f}"})
    kind = "" if found.agrees else "skipped" if not weighs else "failures" if found.fails else "errors"
    if kind:
        status = row.origin.get(engine, found.status)
        why = lines.explanation(row, engine)
        tag = {"failures": "failure", "errors": "error"}.get(kind, kind)
        message = _attributes(message=f"{status}: {why}" if why else status)
        note = ElementTree.SubElement(case, tag, message if kind == "skipped" else message | {"type": found.status})
        note.text = None if kind == "skipped" else lines.printable(why or status)
    if row.command:
        ElementTree.SubElement(case, "system-out").text = lines.printable(row.command)
    return kind


def _attributes(**values: str) -> dict[str, str]:
    return {name: lines.printable(value) for name, value in values.items()}
