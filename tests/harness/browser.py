"""Pages in a real browser: Chromium without a window, driven through selenium; what it says and asks for is kept."""

import json
import shutil
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest


@contextmanager
def chromium():
    """A `Browser`; the test is skipped, and says so, where selenium, Chromium or its driver is absent."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[browser]'")
    names = ("chromium", "chromium-browser", "google-chrome")
    program, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    quiet = ("background-networking", "component-update", "sync", "gpu", "dev-shm-usage")
    for flag in (
        "headless=new",
        "no-sandbox",
        "no-first-run",
        "hide-scrollbars",
        *(f"disable-{name}" for name in quiet),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield Browser(chrome)
    finally:
        chrome.quit()


class Browser:
    """What tests ask of a browser.

    Attributes
    ----------
    driver : selenium.webdriver.Chrome
    """

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1280, dark=False, medium="screen"):
        """Open a file, in a window of that width, in light or dark, on screen or as printed."""
        do = self.driver.execute_cdp_cmd
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        do("Emulation.setEmulatedMedia", {"media": medium, "features": [scheme]})
        do(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.driver.get(path.as_uri())
        return self

    def run(self, script, *arguments):
        """The value of a JavaScript function body."""
        return self.driver.execute_script(script, *arguments)

    def texts(self, selector):
        """The texts of all elements that a selector finds."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())", selector)

    def count(self, selector):
        """How many elements a selector finds that can be seen."""
        return self.run(
            "return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length).length",
            selector,
        )

    def press(self, *keys):
        """Press keys, one after the other, wherever the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        for key in keys:
            ActionChains(self.driver).send_keys(getattr(Keys, key.upper()) if len(key) > 1 else key).perform()
        return self

    def tab_to(self, selector, most=200):
        """Reach an element by the Tab key alone; AssertionError where that takes too many."""
        for _ in range(most):
            self.press("tab")
            if self.run("return document.activeElement.matches(arguments[0])", selector):
                return self
        raise AssertionError(f"no Tab leads to {selector}")

    def problems(self):
        """Console messages since the page was opened, and requests for anything but files of the page itself."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return said + [url for url in asked if urlsplit(url).scheme not in ("file", "data")]

    def overflow(self):
        """By how many pixels the page is wider than its window: what would make a reader scroll sideways."""
        return self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def contrast(self):
        """The contrast of text to background of the body, as WCAG counts it."""
        return self.run("""
            const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255).map(
              x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
              return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
            const style = getComputedStyle(document.body);
            const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x);
            return (a + .05) / (b + .05);""")

    def broken_links(self):
        """Addresses within the page that lead to no place of it."""
        return self.run("""
            return [...document.querySelectorAll("a[href^='#']")].map(a => a.getAttribute("href"))
              .filter(address => !document.getElementById(address.slice(1)));""")
