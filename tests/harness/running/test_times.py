"""Where the time of a run goes."""

from contextlib import suppress

import pytest

from alexnet_rosetta.harness import comparison
from alexnet_rosetta.harness.reporting import lines, record
from alexnet_rosetta.harness.reporting.report import page
from alexnet_rosetta.harness.running import times


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [0.0]
    monkeypatch.setattr(times, "perf_counter", lambda: now[0])
    return now


def test_parts_add_up_and_an_inner_part_is_not_counted_twice(clock):
    found = times.Times()
    clock[0] = 1
    with found.part("outer"):
        clock[0] = 3
        with suppress(ZeroDivisionError), found.part("inner"):
            clock[0] = 7
            _ = 1 / 0
        clock[0] = 8
    clock[0] = 10
    assert found.total() == 10
    assert found.seconds == {"rest": 3, "outer": 3, "inner": 4}


def test_what_is_done_with_the_items_is_another_part(clock):
    def items():
        for item in "ab":
            clock[0] += 1
            yield item
        clock[0] += 1

    found = times.Times()
    for _ in found.each("making", items()):
        clock[0] += 10
    found.total()
    assert found.seconds == {"rest": 20, "making": 3}


def test_a_comparison_says_where_its_time_went(tmp_path):
    found = comparison.compare("tiny", engines=["port", "reference"], batch=2, out=tmp_path / "run")
    names = {"prepare", "port", "reference", "judging", "writing", "rest"}
    assert found.parts.keys() == names
    assert all(seconds > 0 for seconds in found.parts.values())
    kept = record.read(found.record)
    assert kept.about["parts"].keys() == names
    assert kept.about["seconds"] == pytest.approx(sum(kept.about["parts"].values()), rel=0.05)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"<h2>{page.PARTS_TITLE}</h2>" in html
    assert lines.parts(kept.about["parts"]) in html
    del kept.about["parts"]  # a record of an earlier version
    assert page.PARTS_TITLE not in page.render(kept)


def test_parts_in_words():
    assert lines.parts({"b": 1.0, "a": 2.25}) == "a 2.2 s, b 1.0 s; 3.2 s in all"
