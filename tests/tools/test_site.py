"""The check of the built guide finds links that lead nowhere and pages that fetch something."""

import pytest

from tools import site

GOOD = '<h1 id="top">A</h1> <a href="b.html#here">b</a> <a href="#top">up</a> <a href="https://example.org/x">away</a>'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<p id="here"></p> <img src="d/p.png?v=3">')
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "p.png").write_bytes(b"")
    (tmp_path / "d" / "s.css").write_text("p { background: url(p.png) }")
    return tmp_path


def test_a_whole_site_has_no_problems(folder, capsys):
    assert list(site.problems(folder)) == []
    assert site.main(folder) == 0
    assert "every link leads somewhere" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('<a href="c.html">c</a>', "a.html: there is no c.html"),
        ('<a href="b.html#there">b</a>', "a.html: b.html#there has no such place"),
        ('<img src="d/q.png">', "a.html: there is no d/q.png"),
        ('<script src="https://example.org/s.js"></script>', "a.html fetches https://example.org/s.js"),
        ('<link rel="stylesheet" href="//example.org/s.css">', "a.html fetches //example.org/s.css"),
    ],
)
def test_each_kind_of_problem_is_told(folder, more, told):
    (folder / "a.html").write_text(GOOD + more)
    assert list(site.problems(folder)) == [told]
    assert site.main(folder) == 1


def test_a_style_sheet_that_fetches(folder):
    (folder / "d" / "s.css").write_text('@import "https://example.org/font.css";')
    assert list(site.problems(folder)) == ["d/s.css fetches something"]


def test_an_empty_folder_is_a_problem(tmp_path):
    assert site.main(tmp_path) == 1
