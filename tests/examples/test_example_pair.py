"""The example of docs/own-pair.md, copied elsewhere and run as the page says."""

import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "pair"
pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(EXAMPLE, tmp_path / "pair", ignore=shutil.ignore_patterns("__pycache__"))


def run(folder, *arguments):
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True)


def test_a_stencil_and_a_transform_are_judged(folder):
    ended = run(folder, "judge.py")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 of 4 tensors agree" in ended.stdout
    suites = ElementTree.parse(folder / "verdict" / "junit.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("4", "0")
    assert "python judge.py" in (folder / "verdict" / "report.html").read_text()


def test_what_the_page_breaks_is_found(folder):
    code = folder / "harness" / "heat.c"
    code.write_text(code.read_text().replace("u[i - 1]", "u[i - 2]"))
    ended = run(folder, "judge.py")
    assert (ended.returncode, "heat legacy: different" in ended.stdout) == (1, True)
    assert "cause unknown" in ended.stdout
    assert "cause unknown" in (folder / "verdict" / "report.md").read_text()


def test_it_is_a_test_suite_too(folder):
    ended = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rosetta-report", "out")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (folder / "out" / "junit.xml").exists()
