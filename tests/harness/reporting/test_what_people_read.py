"""A table of rows with known numbers, through the record, the terminal, results.csv, the report and its charts."""

import csv
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from math import inf
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from alexnet_rosetta.harness.comparison import Comparison
from alexnet_rosetta.harness.errors import BadInput, RosettaError
from alexnet_rosetta.harness.judging.finding import HISTOGRAM_BINS, LOWEST_EXPONENT, Finding, Worst
from alexnet_rosetta.harness.judging.row import Row
from alexnet_rosetta.harness.reporting import formats, record, report
from alexnet_rosetta.harness.reporting import lines as display
from alexnet_rosetta.harness.reporting.report import charts, page


def spread(bins):
    counts = [0] * HISTOGRAM_BINS
    for at, count in bins.items():
        counts[at] = count
    return tuple(counts)


SAME = Finding("identical", 12, notices=2e-5, histogram=spread({0: 12}))
NEAR = Finding(
    "equivalent", 12, 0.25, Worst((5, 1), 1.5, 1.25, 1.0), 3, 2, notices=2e-5, histogram=spread({0: 10, 31: 2})
)
FAR = Finding("different", 12, 4.0, Worst((2, 0), 5.0, 1.0, 1.0), 9, 12, 2, loose=0.25)
FARTHER = Finding("different", 12, 12.0, Worst((3, 1), -11.0, 1.0, 1.0), 7, 12, 3, signs=1, loose=0.5)
COPIED = Finding("different", 12, inf, Worst((0, 1), 0.0, 2.0, 0.0), 0, 1, 1, signs=1)
LOST = Finding("nonfinite", 12, inf, Worst((4, 1), float("nan"), 3.0, 0.5), 0, 2, 2, 2)
WIDE = Finding("inconclusive", 12, 0.5, Worst((1, 1), 0.1, 0.2, 0.2), 1, 4, loose=1.0, notices=0.75)
REFUSED = Finding("unsupported", reason="no such layer here")

ACTS = {"channel": 3, "y": 1, "x": 2, "image": 2}
WEIGHTS = {"channel": 1, "y": 3, "x": 2, "filter": 2}
ROWS = [
    Row("conv1", "conv", "forward", "acts", (6, 2), {"a": SAME, "b": NEAR}, {"a = b": 2}, {"a": 1.0, "b": 4.0},
        axes=ACTS),
    Row("conv1", "conv", "backward", "weights_grad[0]", (6, 2), {"a": FAR, "b": FARTHER}, {"a = b": 12},
        {"a": 2.0, "b": 5.0}, quirk={"a": ("lrn",)}, axes=WEIGHTS),
    Row("fc1", "fc", "backward", "biases_grad", (6, 2), {"a": REFUSED, "b": WIDE}, {}, {"b": 0.5}),
    Row("conv1", "conv", "update", "weights[0]", (6, 2), {"a": COPIED, "b": SAME}, {"a = b": 1}, {"a": 3.0, "b": 6.0},
        quirk={"a": ("ties", "ceil")}, axes=WEIGHTS),
    Row("conv1", "conv", "forward", "acts", (6, 2), {"a": FARTHER, "b": SAME}, {"a = b": 12}, {}, "propagated",
        {"a": {"norm": 0.5, "largest": 12.0}, "b": {"norm": 0.0, "largest": 0.0}}, {"a": "inherited"}, axes=ACTS),
    Row("fc1", "fc", "forward", "acts", (6, 2), {"a": NEAR, "b": LOST}, {"a = b": 4}, {}, "propagated",
        {"a": {"norm": 2e-7, "largest": 0.25}, "b": {"norm": 0.75, "largest": 9.0}}, {"b": "local"}),
]  # fmt: skip

TERMINAL = [
    "~ conv1 conv forward acts equivalent 25% 2,0,1,1 3 2 differ 1.0000 4.0000 0.25",
    "! conv1 conv backward weights_grad[0] different 12 x 0,1,1,1 sign 12 differ 2.0000 5.0000 0.40",
    "? fc1 fc backward biases_grad inconclusive 50% 1,1 1 0.5000",
    "* conv1 conv update weights[0] different bits 0,0,0,1 sign 1 differ 3.0000 6.0000 0.50",
    "> conv1 conv forward acts inherited 12 x 5.0e-01 1,0,1,1 sign 12 differ",
    "! fc1 fc forward acts local bits 7.5e-01 4,1 3 4 differ",
]
"""The words of each row's line, without the spaces between columns."""

HTML = [
    [
        "~",
        "equivalent",
        "0.25",
        "b",
        "channel 2, y 0, x 1, image 1",
        "1.5",
        "1.25",
        "1",
        "3",
        "0.0 %",
        "2.5e-05",
        "2 differ",
    ],
    [
        "!",
        "different",
        "12",
        "b",
        "channel 0, y 1, x 1, filter 1",
        "-11",
        "1",
        "1",
        "sign",
        "50.0 %",
        "nothing",
        "12 differ",
    ],
    ["?", "inconclusive", "0.5", "b", "row 1, column 1", "0.1", "0.2", "0.2", "1", "100.0 %", "1.1e+00", ""],
    [
        "*",
        "different",
        "bits",
        "a",
        "channel 0, y 0, x 0, filter 1",
        "0",
        "2",
        "0",
        "sign",
        "0.0 %",
        "2.0e-05",
        "1 differ",
    ],
    [
        ">",
        "inherited",
        "12",
        "a",
        "channel 1, y 0, x 1, image 1",
        "-11",
        "1",
        "1",
        "sign",
        "50.0 %",
        "2.0e-05",
        "12 differ",
    ],
    ["!", "local", "bits", "b", "row 4, column 1", "nan", "3", "0.5", "3", "0.0 %", "2.5e-05", "4 differ"],
]
"""The cells of each row in the table of all tensors, but for its name, type and shape."""

NOTES = [
    [],
    ["a: different: explained by quirk lrn",
     "b: 3 of 12 elements outside the bound; at channel 0, y 1, x 1, filter 1: -11, reference 1, allowed ±1"],
    ["a: unsupported: no such layer here"],
    ["a: different: explained by quirk ties with ceil"],
    [],
    ["b: 2 of 12 elements outside the bound; at row 4, column 1: nan, reference 3, allowed ±0.5"],
]  # fmt: skip
"""What is said below each row, in the terminal and in the report."""

STEPS = [
    ["~", "conv1", "forward", "isolated", "equivalent", "0.25", "conv", "1", "1.0000", "4.0000", "0.25"],
    ["!", "conv1", "backward", "isolated", "different", "12", "conv", "1", "2.0000", "5.0000", "0.40"],
    ["?", "fc1", "backward", "isolated", "inconclusive; a not compared", "0.5", "fc", "1", "", "0.5000", ""],
    ["*", "conv1", "update", "isolated", "different: ties, ceil", "bits", "conv", "1", "3.0000", "6.0000", "0.50"],
    [">", "conv1", "forward", "propagated", "inherited", "12", "conv", "1", "", "", ""],
    ["!", "fc1", "forward", "propagated", "nonfinite", "bits", "fc", "1", "", "", ""],
]
"""The cells of the layer table."""

CSV = {
    0: {"a": ("identical", "", "", 0.0, None, None, None, None, 0, 0, 0, 1.0),
        "b": ("equivalent", "", "", 0.25, "channel 2, y 0, x 1, image 1", 1.5, 1.25, 1.0, 3, 0, 0, 4.0)},
    1: {"a": ("different", "", "lrn", 4.0, "channel 0, y 1, x 0, filter 0", 5.0, 1.0, 1.0, 9, 0, 2, 2.0),
        "b": ("different", "", "", 12.0, "channel 0, y 1, x 1, filter 1", -11.0, 1.0, 1.0, 7, 1, 3, 5.0)},
    2: {"a": ("unsupported", "", "", 0.0, None, None, None, None, 0, 0, 0, None),
        "b": ("inconclusive", "", "", 0.5, "row 1, column 1", 0.1, 0.2, 0.2, 1, 0, 0, 0.5)},
    3: {"a": ("different", "", "ties ceil", inf, "channel 0, y 0, x 0, filter 1", 0.0, 2.0, 0.0, 0, 1, 1, 3.0),
        "b": ("identical", "", "", 0.0, None, None, None, None, 0, 0, 0, 6.0)},
    4: {"a": ("different", "inherited", "", 12.0, "channel 1, y 0, x 1, image 1", -11.0, 1.0, 1.0, 7, 1, 3, None),
        "b": ("identical", "", "", 0.0, None, None, None, None, 0, 0, 0, None)},
    5: {"a": ("equivalent", "", "", 0.25, "row 5, column 1", 1.5, 1.25, 1.0, 3, 0, 0, None),
        "b": ("nonfinite", "local", "", inf, "row 4, column 1", "nan", 3.0, 0.5, 0, 0, 2, None)},
}  # fmt: skip
"""By row and engine: verdict, origin, quirk, share, place, actual, reference, bound, ulps, signs, outside, seconds."""
COLUMNS = ("verdict", "origin", "quirk", "share", "worst_at", "worst_actual", "worst_reference", "worst_bound", "ulps",
           "signs", "outside", "seconds")  # fmt: skip

ABOUT = {
    "status": "complete",
    "sentence": "What it all comes to.",
    "seconds": 30.0,
    "created": "2012-09-30T12:00:00+00:00",
    "options": {"net": "small", "mode": "propagated", "passes": ("forward", "backward", "update")},
    "network": {"name": "small", "parameters": 18, "files": [], "layers": [], "warnings": []},
    "engines": {"a": "an engine", "b": "another"},
    "quirks": {},
    "environment": {"processor": "p", "instructions": "i", "architecture": "x", "threads": 1, "processors": 1,
                    "system": "s", "python": "3", "packages": {}},
    "inputs": {"kind": "random", "cases": 2, "sha256": {}},
    "captions": [],
    "totals": {},
    "costs": {},
}  # fmt: skip


class Tables(HTMLParser):
    """The cells of the tables, by section and row; the classes of the sentence; the tiles' numbers."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.sentence, self.tiles, self._section, self._open = {}, "", [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "section":
            self._section = attrs["id"]
        elif tag == "p" and "sentence" in (attrs.get("class") or ""):
            self.sentence = attrs["class"]
        elif tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._section][-1].append("")
            self._open = "cell"
        elif tag == "b" and not self._section:
            self.tiles.append("")
            self._open = "tile"

    def handle_endtag(self, tag):
        if tag in ("td", "th", "b"):
            self._open = None

    def handle_data(self, data):
        if self._open == "cell":
            self.rows[self._section][-1][-1] += data
        elif self._open == "tile":
            self.tiles[-1] += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return record.Writer(tmp_path_factory.mktemp("read") / "run").finish(ABOUT, ROWS, {})


@pytest.fixture(scope="module")
def tables(folder):
    return Tables(page.render(record.read(folder)))


def ids(row):
    return f"{row.mode} {row.layer} {row.step}"


each_row = pytest.mark.parametrize("at", range(len(ROWS)), ids=[ids(row) for row in ROWS])


@each_row
def test_terminal(at):
    layers = [SimpleNamespace(name=row.layer, type=row.type) for row in ROWS]
    lines = display.Lines(layers, ["a", "b"], ROWS[at].mode)
    assert " ".join(lines.row(ROWS[at], True).split()) == TERMINAL[at]
    assert [note.strip() for note in display.explanations(ROWS[at])] == NOTES[at]


def test_the_legend_has_all_marks_and_stands_in_the_guide():
    assert all(f"{mark} " in display.LEGEND for mark in (*display.MARKS.values(), display.FAILED, display.EXPLAINED))
    guide = Path(__file__).parents[3] / "docs" / "first-ten-minutes.md"
    assert display.LEGEND in guide.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("mode", "width", "explained"),
    [
        ("isolated", None, ["bound used", "worst at"]),
        ("propagated", None, ["bound used", "worst at", "distance"]),
        ("propagated", 80, ["bound used", "distance"]),
    ],
)
def test_the_columns_that_are_shown_are_explained(mode, width, explained):
    lines = display.Lines([SimpleNamespace(name="conv1", type="conv")], ["a", "b"], mode, width)
    assert [part.partition(":")[0] for part in lines.reading().split("   ")] == explained
    assert all(name in lines.header() for name in explained)


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0"),
        (0.004, "0.004"),
        (0.25, "25%"),
        (3.14159, "3.14 x"),
        (19_712.0, "19,712 x"),
        (2.5e9, "2e+09 x"),
        (inf, "bits"),
    ],
)
def test_shares_of_the_bound_in_the_terminal(share, shown):
    row = replace(ROWS[0], findings={"a": replace(NEAR, share=share)})
    layers = [SimpleNamespace(name="conv1", type="conv")]
    assert f" {shown} 2,0,1,1 " in " ".join(display.Lines(layers, ["a"]).row(row, True).split())


@each_row
def test_results_csv(folder, at):
    with open(folder / "results.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == sum(len(row.findings) for row in ROWS)
    row = ROWS[at]
    key = (row.mode, row.layer, row.step, row.tensor)
    found = {x["engine"]: x for x in lines if (x["mode"], x["layer"], x["pass"], x["tensor"]) == key}
    for engine, values in CSV[at].items():
        wanted = tuple("" if value is None else str(value) for value in values)
        assert tuple(found[engine][column] for column in COLUMNS) == wanted, engine
    assert found.keys() == CSV[at].keys()


@each_row
def test_report(tables, at):
    assert tables.rows["layers"][1 + at] == STEPS[at]
    body = [cells for cells in tables.rows["tensors"][1:] if len(cells) > 2]
    row, (mark, verdict, share, *rest) = ROWS[at], HTML[at]
    step = row.step if row.mode == "isolated" else f"{row.step} (own feed)"
    place, _, command = body[at][9].partition("rosetta explain ")
    found = [*body[at][:9], place, *body[at][10:]]
    assert found == [mark, row.layer, step, row.tensor, verdict, share, row.type, "6×2", *rest]
    at = ["--at", ",".join(re.findall(r"\d+", place))] if place else []
    asked = shlex.split(command) if command else []
    assert asked == (["small", row.layer, row.step, row.tensor, *at] if place else [])


def test_tiles_and_banner(tables):
    """Agree: 5, of them bit for bit 3; different 4, undecided 2, inherited 1."""
    assert tables.tiles[:5] == ["5", "3", "4", "2", "1"]
    assert tables.sentence == "sentence bad"


@pytest.mark.parametrize(
    ("chosen", "banner"),
    [
        ([0], "good"),
        ([0, 2], "open"),
        ([1], "bad"),
        ([0, 3], "bad"),
        ([2], "open"),
        ([0, 4], "good"),
        ([0, 5], "bad"),
        ([4], "good"),
    ],
)
def test_the_banner_is_the_exit_code(folder, chosen, banner):
    found = record.read(folder)
    found.rows = [found.rows[at] for at in chosen]
    assert Tables(page.render(found)).sentence == f"sentence {banner}"
    assert Comparison(found.rows).exit_code == {"good": 0, "bad": 1, "open": 3}[banner]


def test_the_sentence():
    assert Comparison(ROWS).sentence == (
        "3 of 8 tensors agree, 2 of them bit for bit, 3 different, 1 inconclusive, 1 not compared; "
        "the closest call, b conv1 forward acts, used 0.25 of what rounding allows; "
        "the first to differ is a conv1 backward weights_grad[0]. "
        "Not compared: 1 of a (fc1). "
        "Explained by quirks: 2 of 3 differences (lrn, ties with ceil); 1 unexplained. "
        "Where each engine feeds itself, 2 of 4 tensors agree, 1 differ by what earlier layers hand on, "
        "1 in layers that differ in isolation too."
    )


def test_the_sentence_of_the_exact_tier():
    exact = [replace(ROWS[0], exact=True), replace(ROWS[3], exact=True), ROWS[0]]
    assert "2 of the 4 tensors that must match bit for bit do." in Comparison(exact).sentence
    same = replace(ROWS[0], findings={"a": SAME, "b": SAME}, exact=True)
    assert "All 2 tensors that must match bit for bit do." in Comparison([same, ROWS[0]]).sentence
    assert "must match" not in Comparison(ROWS).sentence


def test_one_engine_does_not_explain_the_other():
    assert not ROWS[1].explained()
    assert ROWS[3].explained()


def test_undecided_is_compared_but_does_not_agree():
    sentence = Comparison([ROWS[2]]).sentence
    assert sentence.startswith("0 of 2 ")
    assert "1 inconclusive" in sentence
    assert "agree, all" not in sentence


def points(figure):
    (axes,) = figure.axes
    return {line.get_label(): line.get_ydata().tolist() for line in axes.lines if line.get_label()[:1] != "_"}


def test_no_point_of_the_chart_is_cut_at_the_bound():
    isolated = [row for row in ROWS if row.mode == "isolated"]
    found = points(charts.share_chart(isolated, ["a", "b"]))
    assert found["b forward"] == [0.25]
    assert found["a backward"] == [4.0]
    assert found["b backward"] == [12.0, 0.5]
    assert found["a update"] == [1000.0], "what has no room at all stands at the top"
    assert found["a forward"] == [1e-5], "what used nothing stands at the bottom"


def test_the_other_charts():
    isolated, propagated = ([row for row in ROWS if row.mode == mode] for mode in ("isolated", "propagated"))
    assert points(charts.depth_chart(propagated, ["a", "b"])) == {"a": [0.5, 2e-7], "b": [0.0, 0.75]}
    histogram = charts.histogram_chart(isolated[:1], ["a", "b"])
    (same, near) = (patch.get_data() for patch in histogram.axes[0].patches)
    assert not same.values.any()
    assert near.values[30] == 2 / 12
    assert near.edges[30] == LOWEST_EXPONENT + 30
    bars = charts.time_chart(isolated, ["a", "b"]).axes[0].containers
    assert {bar.get_label(): [patch.get_width() for patch in bar] for bar in bars} == {
        "a forward": [1.0, 0.0],
        "a backward": [2.0, 0.0],
        "a update": [3.0, 0.0],
        "b forward": [4.0, 0.0],
        "b backward": [5.0, 0.5],
        "b update": [6.0, 0.0],
    }
    assert np.allclose([bar.patches[0].get_x() for bar in bars], [0, 1, 3, 0, 4, 9])


def test_a_failure_has_its_reason_or_the_quirks_that_explain_it():
    cells = [formats._failure(row, engine) for row, engine in zip(ROWS, ("a", "b", "a", "a", "a", "b"), strict=True)]
    assert [(mark, verdict) for mark, *_, verdict, _, _ in cells] == [
        ("=", "identical"),
        ("!", "different"),
        ("-", "unsupported: no such layer here"),
        (display.EXPLAINED, "different: ties with ceil"),
        ("!", "different"),
        ("!", "nonfinite"),
    ]
    assert [(step, engine) for _, _, step, _, engine, *_ in cells] == [
        ("forward", "a"), ("backward", "b"), ("backward", "a"), ("update", "a"),
        ("forward (own feed)", "a"), ("forward (own feed)", "b"),
    ]  # fmt: skip
    assert formats._failure(ROWS[1], "a")[5] == "different: lrn"


def widths(names, **options):
    layers = [SimpleNamespace(name=name, type=kind) for name, kind in (("low", "fc"), ("top_neuron", "neuron"))]
    return display.Lines(layers, names, **options).columns


def test_columns_are_as_wide_as_what_stands_in_them_and_go_where_there_is_no_room():
    found = widths(("port", "legacy-cpu"))
    own = {" ": 1, "layer": 10, "type": 6, "pass": 8, "tensor": 14, "verdict": 12, "bound used": 10, "worst at": 13,
           "ULP": 6, "bitwise": 9, "port s": 8, "legacy-cpu s": 12}  # fmt: skip
    (ratio,) = found.keys() - own.keys()
    assert found == own | {ratio: max(6, len(ratio))}
    assert widths(("port", "legacy-cpu"), mode="propagated") == found | {"distance": 8}
    three = widths(("port", "torch", "b"))
    assert three["verdict"] == len("unsupported: torch")
    assert widths(("port",)).keys() == own.keys() - {"legacy-cpu s"}
    total = sum(found.values()) + len(found)
    assert widths(("port", "legacy-cpu"), width=total) == found
    assert found.keys() - widths(("port", "legacy-cpu"), width=total - 1) == {"type"}
    assert found.keys() - widths(("port", "legacy-cpu"), width=total - 8) == {"type", "worst at"}
    assert found.keys() - widths(("port", "legacy-cpu"), width=1) == {"type", "worst at", "bitwise", "ULP", ratio}
    short = display.Lines([SimpleNamespace(name="a", type="fc")], ("port",)).columns
    assert (short["layer"], short["type"]) == (5, 4)


def test_each_chart_has_its_title_and_says_what_it_shows():
    isolated, propagated = ROWS[:4], ROWS[4:]
    told = page.chart_list(isolated, propagated, ("a", "b"))
    assert [(title, text) for title, text, *_ in told] == [
        ("Errors", page.SHARE_TEXT),
        ("Distribution", page.HISTOGRAM_TEXT),
        ("Drift", page.DEPTH_TEXT),
        ("Time", page.TIME_TEXT),
    ]
    assert all(f"{title}. {figures}" in svg for title, _, figures, svg in told)
    assert [title for title, *_ in page.chart_list([], propagated, ("a", "b"))] == ["Drift"]
    assert page.chart_list([], [], ("a",)) == []


@pytest.mark.parametrize("more", [0, 1, 12])
def test_a_pull_request_is_told_how_many_more_fail(more):
    count = formats.MOST_FAILURES + more
    rows = [Row(f"low{k}", "fc", "forward", "acts", (6, 2), {"a": FAR}) for k in range(count)]
    text = formats.markdown("net", rows).decode()
    assert text.count("| low") >= formats.MOST_FAILURES
    assert (f"and {more} more." in text) is (more > 0)
    assert ("and -" in text or "and 0 more" in text) is False


def test_only_the_page_asks_for_charts(monkeypatch, tmp_path):
    def lacking(folder):
        raise BadInput("there is nothing to draw with")

    monkeypatch.setattr(report, "_require_charts", lacking)
    with pytest.raises(BadInput, match="nothing to draw with"):
        report.rendered(tmp_path)
    with pytest.raises(RosettaError, match="there is no record"):
        report.rendered(tmp_path, "markdown")
