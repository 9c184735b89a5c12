import re
from html.parser import HTMLParser

import numpy as np
import pytest
from small_nets import BentFilter, Faulty, write_net

from alexnet_rosetta.harness import api, record
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.report import images, page, write

VOID = {"meta", "link", "img", "br", "input"}


class Balance(HTMLParser):
    """Notes elements that are closed out of order, and everything that is fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.fetched, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [
            value for name, value in attrs if name in ("src", "href") and value[:1] != "#" and tag != "use"
        ]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    from alexnet_rosetta.harness import engines

    real = engines.find
    monkeypatch.setattr(engines, "find", lambda name: Faulty(BentFilter) if name == "bent" else real(name))
    found = api.compare(
        write_net(tmp_path), engines=["reference", "bent"], batch=4, mode="propagated", out=tmp_path / "run"
    )
    return found.record


def test_the_page_is_whole_offline_and_says_it_all(folder):
    parser = Balance()
    text = (folder / "report.html").read_text()
    parser.feed(text)
    assert parser.wrong == []
    assert parser.open == []
    assert all(address.startswith("data:") for address in parser.fetched)
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons\.org|matplotlib\.org)", text)
    words = " ".join(parser.text)
    for word in (
        "How to read this",
        "Where it comes from",
        "astronaut",
        "inherited",
        "SHA-256",
        "the first to differ is",
    ):
        assert word in words + text
    assert text.count("<svg") == 4


def test_names_from_files_cannot_become_markup(tmp_path):
    found = api.compare(write_net(tmp_path), engines=["reference"], batch=4, out=tmp_path / "run")
    broken = record.read(found.record)
    broken.rows[0].layer = "<script>alert(1)</script>"
    broken.about["network"]["name"] = "<b>bold</b>"
    text = page.render(broken)
    assert "<script>alert" not in text
    assert "<b>bold" not in text


def test_a_cost_may_be_infinite(tmp_path):
    found = record.read(api.compare(write_net(tmp_path), engines=["reference"], batch=4, out=tmp_path / "run").record)
    (name,) = found.about["costs"]
    found.about["costs"][name] = ["inf", 4.0, 2.0]
    assert f"Cost {name}: inf per case" in page.render(found)


def test_a_file_that_cannot_be_written(folder):
    with pytest.raises(BadInput, match=r"cannot be written.*--out"):
        write(folder, folder / "record.json" / "x.html")


def test_filters_are_stretched_and_framed():
    filters = np.zeros((3 * 2 * 2, 5), np.float32)
    filters[0, 0] = 1
    assert images.filter_grid(filters).startswith("data:image/png;base64,")
    assert len(images.thumbnails(np.zeros((2, 8, 8, 3), np.uint8))) == 2
