"""Damaged and hostile records: record.json, or the rows.jsonl of a killed run, read and made a page of.

Each is reported, with no markup but our own on the page, or refused with the error of a bad record that names the
folder; in little time and memory.
"""

import json
import re
import time
from functools import cache
from html.parser import HTMLParser

from alexnet_rosetta.harness import comparison as api
from alexnet_rosetta.harness import machine
from alexnet_rosetta.harness.errors import RecordError
from alexnet_rosetta.harness.reporting import record
from alexnet_rosetta.harness.reporting.report import page, write

from . import runner
from .archives import PATIENCE, TAKEN, bent, folder, small_nets

SECONDS = 10.0  # of the processor, for a record that is reported
CHARTS = 40  # one trial of so many draws the charts, which take the most time
NUMBERS = [0, -1, 1, 2**31, 2**63, 10**30, 10**5000, 0.5, -0.0, 1e308, float("nan"), float("inf"), True, False, None]
TEXTS = ["", "different", "identical", "\x1b[2J", "\0", "a" * 10_000, "$\\frac{$", "é\u202e", "\ud800", "10", "inf",
         "-1e999", "update", "propagated", "inherited", "=1+1", "{{ 7 * 7 }}", "{% raw %}", "2026-01-01"]  # fmt: skip
MARKUP = ["<script>canary()</script>", '"><img src=x onerror=canary()>', "</svg><script>canary()", "]]><b id=canary>"]


class Tags(HTMLParser):
    """Notes scripts, and attributes that speak of a canary."""

    def __init__(self):
        super().__init__()
        self.scripts, self.wrong, self.last = 0, [], ""

    def handle_data(self, data):
        """Called for text, that of a script too."""
        self.wrong += ["script"] if self.last == "script" and "canary" in data else []

    def handle_starttag(self, tag, attrs):
        """Called for each element."""
        self.scripts += tag == "script"
        self.last = tag
        self.wrong += [(tag, name) for name, value in attrs if name[:2] == "on" or (name, value) == ("id", "canary")]


@cache
def sound():
    """The files of a small record: {name: bytes}, rows.jsonl among them."""
    found = api.compare(small_nets.write_net(folder()), engines=["reference", "port"], batch=2, input="random",
                        mode="propagated", out=folder() / "sound", passes=("forward", "backward"))  # fmt: skip
    about = json.loads((found.record / "record.json").read_text())
    about["rows"] = about["rows"][:4] + about["rows"][-4:]
    facts = {name: value for name, value in about.items() if name not in ("rows", "sentence", "totals")}
    lines = [facts, *({"elapsed": 0.5 * i, "row": row} for i, row in enumerate(about["rows"]))]
    return {
        "record.json": json.dumps(about, indent=1).encode(),
        "rows.jsonl": b"".join(json.dumps(line).encode() + b"\n" for line in lines),
        "arrays.npz": (found.record / "arrays.npz").read_bytes(),
    }


def places(value, found):
    """Every (container, key) below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        places(item, found)
    return found


def strange(rng, d):
    """A value that stands nowhere in a record."""
    way = d(8)
    if way < 2:
        return NUMBERS[d(len(NUMBERS))]
    if way < 4:
        return TEXTS[d(len(TEXTS))]
    if way == 4:
        return MARKUP[d(len(MARKUP))]
    if way == 5:
        return [[], {}, [[]], [{}], {"": {}}, [None], [1, 2, 3], {"port": 1}][d(8)]
    value = 0
    for _ in range(d(1, 60)):
        value = [value] if way == 6 else {"a": value}
    return value


def changed(rng, whole):
    """A record with some of its values changed, lost, doubled or moved."""
    d = lambda *bounds: int(rng.integers(*bounds))  # noqa: E731
    for _ in range(d(1, 4)):
        everywhere = places(whole, [])
        holder, key = everywhere[d(len(everywhere))]
        other, at = everywhere[d(len(everywhere))]
        way = d(9)
        if way < 4:
            holder[key] = strange(rng, d)
        elif way == 4:
            del holder[key]
        elif way == 5:
            holder[key] = json.loads(json.dumps(other[at]))
        elif way == 6 and isinstance(holder, dict):
            holder[[*TEXTS, *MARKUP][d(len(TEXTS) + len(MARKUP))]] = holder.pop(key)
        elif way == 7 and isinstance(holder, list):
            holder.extend(json.loads(json.dumps(holder[key : key + 1] * d(1, 100))))
        elif isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = NUMBERS[d(len(NUMBERS))]
    return whole


def draw(rng):
    """(name of the file, its bytes, whether the charts are drawn)."""
    name = ["record.json", "record.json", "rows.jsonl"][int(rng.integers(3))]
    charts, data = int(rng.integers(CHARTS)) == 0, sound()[name]
    if rng.integers(4) == 0:
        return name, bent(rng, data), charts
    if rng.integers(60) == 0:
        hopeless = [b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe{\0", b"\xef\xbb\xbf" + data, b"", b"null"]
        return name, hopeless[int(rng.integers(6))], charts
    if name == "record.json":
        return name, dumped(changed(rng, json.loads(data))), charts
    lines = data.splitlines(keepends=True)
    at = int(rng.integers(len(lines)))
    lines[at] = dumped(changed(rng, json.loads(lines[at]))) + b"\n"
    if rng.integers(3) == 0:
        lines[-1] = lines[-1][: int(rng.integers(len(lines[-1])))] + b"\0" * int(rng.integers(3))
    return name, b"".join(lines), charts


def dumped(value):
    """JSON, with numbers that are as long as they are."""
    return re.sub(r'"10\*\*5000"', "1" + "0" * 5000, json.dumps(_short(value))).encode()


def _short(value):
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return "10**5000" if isinstance(value, int) and value == 10**5000 else value


def check(name, data, charts):
    """Report bytes as that file of a record; returns the outcome, asserts what must hold."""
    home = folder() / "damaged"
    home.mkdir(exist_ok=True)
    for old in home.iterdir():
        old.unlink()
    (home / name).write_bytes(data)
    (home / "arrays.npz").write_bytes(sound()["arrays.npz"])
    real, said = page.chart_list, None
    if not charts:
        page.chart_list = lambda *_: []
    machine.reset_peak_memory()
    before, begin = machine.peak_memory(), time.process_time()
    try:
        record.recover(home)
        write(home)
    except RecordError as error:
        said = str(error)
    finally:
        page.chart_list = real
    assert time.process_time() - begin < SECONDS, "too much time"
    assert machine.peak_memory() - before < TAKEN, "too much memory"
    if said is not None:
        assert str(home) in said, "the record is not named"
        assert len(said) < 1000, "a message without end"
        assert not (home / "report.html").exists()
        return "refused"
    text = (home / "report.html").read_text(encoding="utf-8")
    if "canary" in text:
        tags = Tags()
        tags.feed(text)
        assert (tags.scripts, tags.wrong) == (1, []), "markup of the record's own"
    return "accepted"


def trial(rng):
    """One record."""
    name, data, charts = draw(rng)
    with runner.noted(lambda: f"{name}: {data[:3000]!r}" if len(data) < 10**6 else name):
        return check(name, data, charts)


if __name__ == "__main__":
    runner.main(trial, patience=PATIENCE)
