"""What stands in the report, gathered from a record and put into the template."""

from collections import Counter
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .. import display
from ..table import decisive, step_lines, total_seconds
from ..verdicts import AGREES, FAILS, exit_code
from . import charts, images

HERE = Path(__file__).parent


def render(record):
    """The page as text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((HERE / "report.html").read_text(encoding="utf-8"))
    return template.render(facts(record))


def facts(record):
    """The names that the template uses."""
    about, rows = record.about, record.rows
    engines = list(about["engines"])
    isolated = [row for row in rows if row.mode == "isolated"]
    propagated = [row for row in rows if row.mode == "propagated"]
    return {
        "about": about,
        "created": datetime.fromisoformat(about["created"]).strftime("%d %B %Y, %H:%M UTC"),
        "engines": engines,
        "code": exit_code(found for _, found in decisive(rows)),
        "counts": counts(rows),
        "totals": total_seconds(rows),
        "steps": [step_line(line, engines) for line in step_lines(rows)],
        "tensors": [tensor_line(row) for row in rows],
        "charts": chart_list(isolated, propagated, engines),
        "pictures": list(zip(images.thumbnails(record.arrays.get("pictures", ())), about["captions"], strict=False)),
        "filters": filter_pictures(record.arrays),
        "style": Markup((HERE / "style.css").read_text(encoding="utf-8")),
        "script": Markup((HERE / "script.js").read_text(encoding="utf-8")),
    }


def counts(rows):
    """How many tensors got which verdict, in four groups."""
    statuses = Counter(found.status for _, found in decisive(rows))
    agree, fail = sum(statuses[name] for name in AGREES), sum(statuses[name] for name in FAILS)
    return {
        "agree": agree,
        "identical": statuses["identical"],
        "different": fail,
        "other": statuses.total() - agree - fail,
        "inherited": sum(list(row.origin.values()).count("inherited") for row in rows if row.mode == "propagated"),
    }


def step_line(line, engines):
    """One line of the layer table."""
    return line | {
        "mark": display.EXPLAINED if line["quirk"] else display.MARKS.get(line["verdict"], display.FAILED),
        "seconds": [line.get(f"seconds {engine}") for engine in engines],
    }


def tensor_line(row):
    """One line of the tensor table."""
    worst = max(row.findings.items(), key=lambda item: item[1].share)
    return {
        "mark": display.mark(row),
        "row": row,
        "verdict": display.verdict(row),
        "share": worst[1].share,
        "ulps": display.ulps(row),
        "loose": max(found.loose for found in row.findings.values()),
        "worst": worst[1].worst,
        "engine": worst[0],
        "bitwise": "; ".join("same" if not n else f"{n:,} differ" for n in row.bitwise.values()),
        "elements": max(found.elements for found in row.findings.values()),
        "notes": list(display.explanations(row)),
    }


def chart_list(isolated, propagated, engines):
    """(title, what it shows, SVG) of the charts that the rows have something for."""
    found = []
    if any(finding.elements for row in isolated for finding in row.findings.values()):
        found.append(("Errors", SHARE_TEXT, Markup(charts.share_chart(isolated, engines))))
        found.append(("Distribution", HISTOGRAM_TEXT, Markup(charts.histogram_chart(isolated, engines))))
    if any(row.distances for row in propagated):
        found.append(("Drift", DEPTH_TEXT, Markup(charts.depth_chart(propagated, engines))))
    if any(row.seconds for row in isolated):
        found.append(("Time", TIME_TEXT, Markup(charts.time_chart(isolated, engines))))
    return found


def filter_pictures(arrays):
    """(caption, address) of the first layer's filters and of their gradients."""
    captions = {"filters": "filters of", "filters_grad": "their gradients, "}
    return [
        (f"{captions[kind]} {layer}", images.filter_grid(arrays[name]))
        for name in sorted(arrays, key=lambda name: name.split(".", 1)[::-1])
        for kind, _, layer in [name.partition(".")]
        if kind in captions
    ]


SHARE_TEXT = (
    "Each point is one tensor: the element that came closest to the limit of what rounding may do to it. "
    "Below the dashed line the engine computes what the formula says; above it, it computes something else."
)
HISTOGRAM_TEXT = "All elements of all tensors: how much of its own bound each one used."
DEPTH_TEXT = (
    "Each engine fed itself. Small roundings grow with depth, and one flipped ReLU or pooling maximum makes a jump; "
    "that is no fault of the layer where it shows."
)
TIME_TEXT = "Wall seconds of each layer: full colour forward, lighter backward, lightest update."
