"""The report and the study pages in a real browser: by keyboard, light and dark, narrow, printed, with no request."""

import pytest
from browser import chromium

from alexnet_rosetta.harness import comparison
from alexnet_rosetta.harness.study import counted, page

pytestmark = pytest.mark.browser

LOOKS = [{}, {"dark": True}, {"width": 400}, {"medium": "print"}]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A record of tiny with its report, and a study with two layers' pages."""
    made = tmp_path_factory.mktemp("pages")
    comparison.compare("tiny", engines=["reference", "port"], batch=4, passes=["forward"], out=made / "run")
    page.write(made / "site", "tiny", batch=16, record=made / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROSETTA_CACHE", str(made / "cache"))
        counted.play(made / "played.html", "tiny", "conv1", batch=16, passes=["forward"])
    return made


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize(
    "name",
    ["run/report.html", "site/index.html", "site/layer-04-conv2b.html", "site/layer-08-pool1.html", "played.html"],
)
def test_a_page_is_quiet_and_fits_its_window(browser, folder, name, look):
    browser.open(folder / name, **look)
    assert browser.texts("h1") != [""]
    assert browser.problems() == []
    assert browser.broken_links() == []
    assert browser.contrast() > 7
    if look.get("medium") != "print":
        assert browser.overflow() <= 0


def test_dark_is_dark(browser, folder):
    colours = []
    for dark in (False, True):
        browser.open(folder / "site" / "layer-04-conv2b.html", dark=dark)
        colours.append(browser.run("return getComputedStyle(document.querySelector('.code .q0')).color"))
    assert colours[0] != colours[1]


def test_the_report_sorts_and_filters_by_keyboard(browser, folder):
    browser.open(folder / "run" / "report.html")
    first = ".sortable tbody tr:first-child td:nth-child(2)"
    before = browser.texts(first)[0]
    browser.tab_to("#layers th:nth-child(2) [role=button]").press("enter", "enter")
    assert browser.run("return document.activeElement.closest('th').getAttribute('aria-sort')") == "descending"
    assert browser.texts(first)[0] != before
    browser.tab_to("#filter").press(*"conv2b")
    assert browser.texts("#shown")[0].split()[0] == str(browser.count("table.filtered tbody tr:not(.note)"))
    rows = "[...document.querySelectorAll('table.filtered tbody tr')].filter(row => !row.hidden)"
    assert [row for row in browser.run(f"return {rows}.map(row => row.textContent)") if "conv2b" not in row] == []
    assert browser.problems() == []


def test_a_quantity_lights_up_in_all_columns_by_keyboard(browser, folder):
    browser.open(folder / "site" / "layer-08-pool1.html")
    browser.run("document.querySelector('.legend button').focus()")
    browser.tab_to(".legend button[data-q]").press("enter")
    (lit,) = browser.run("return [...document.querySelectorAll('[aria-pressed=true]')].map(b => b.dataset.q)")
    columns = browser.run(
        "const cells = [...document.querySelectorAll('b.lit-up')].map(b => b.closest('.cell'));"
        "return [...new Set(cells.map(cell => cell.querySelector('h4').textContent))]"
    )
    assert len(columns) >= 2
    assert browser.count("b.lit-up") == browser.count(f".code b.{lit}") > 0
    browser.press("escape")
    assert browser.count("b.lit-up") == 0
    browser.run("document.querySelector('.code b').click()")
    assert browser.count("b.lit-up") > 0
    assert browser.problems() == []


def test_brackets_lead_from_layer_to_layer(browser, folder):
    browser.open(folder / "site" / "layer-04-conv2b.html").press("]")
    assert browser.texts("h1") == ["max1: eltmax"]
    browser.press("[", "[")
    assert browser.texts("h1") == ["conv2a: conv"]


def test_the_drawing_of_the_network_leads_to_a_layer(browser, folder):
    browser.open(folder / "site" / "index.html")
    browser.tab_to("svg.network a").press("enter")
    assert browser.texts("h1")[0].startswith("conv1: ")
    browser.driver.back()
    assert browser.count("svg.network a") >= 15


def test_a_page_can_be_read_without_javascript(browser, folder):
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(folder / "site" / "layer-04-conv2b.html")
        texts = [element.text for element in browser.driver.find_elements("css selector", ".row .cell")]
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert any("multiplyTile" in text for text in texts)
    assert any("direct_unit" in text for text in texts)


def test_the_browser_notices_what_a_page_must_not_do(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<p style="width:3000px"><a href="#none">x</a><img src="http://localhost:9/x.png"><script>console.log("heard")</script>'
    )
    browser.open(bad)
    problems = browser.problems()
    assert any("heard" in text for text in problems)
    assert "http://localhost:9/x.png" in problems
    assert browser.broken_links() == ["#none"]
    assert browser.overflow() > 1000


def test_a_block_is_played_by_keyboard(browser, folder):
    """Phases forward and back, another thread; what changed in a tile, and who did it, shows."""
    browser.open(folder / "played.html")
    first = ".play:first-of-type "
    phase = first + ".said b"
    browser.tab_to(first + ".board")
    assert browser.texts(phase) == ["Phase 1 of 15", "Thread 0"]
    assert browser.count(first + ".fresh") == 12 * (16 + 32)
    browser.press("right")
    assert browser.texts(phase)[0] == "Phase 2 of 15"
    assert (browser.count(first + ".fresh"), browser.count(first + ".held")) == (0, 12 * (16 + 32))
    browser.press("left", "down")
    assert browser.texts(phase) == ["Phase 1 of 15", "Thread 1"]
    browser.press("end")
    assert browser.texts(phase)[0] == "Phase 15 of 15"
    browser.tab_to(first + ".bar button").press("enter")
    assert browser.texts(phase)[0] == "Phase 1 of 15"
    assert browser.problems() == []
