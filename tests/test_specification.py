"""Every citation of the specification leads to a section of docs/specification, in code, tests and pages alike."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHAPTERS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs/specification").glob("*.md"))}
CHAPTERS.pop("index")
SECTION = r"(?:\d+(?:\.\d+)*|[HQ]\d+)"
CITATION = re.compile(rf"\b({'|'.join(CHAPTERS)}) ({SECTION}(?:(?:, | and | to | ?- ?){SECTION})*)(?![\w%])")
# A section number whose chapter is not named leads nowhere, and so does the name of a text that is not in the project.
ADRIFT = re.compile(
    r"(?i)\bspec(?:ification)?s? (?:section )?\d|\bspecification, (?:section )?\d"
    r"|golden readme|\bdesign, section|pool-norm-elementwise"
    rf"|(?:{'|'.join(CHAPTERS)}),? sections? \d"
)
SUFFIXES = {".py", ".pyx", ".pxi", ".pxd", ".cpp", ".h", ".cuh", ".cfg", ".md", ".txt", ".toml"}
FOLDERS = ("legacy", "port", "harness", "tests", "docs")


def is_ours(path):
    """True for a text that people wrote: neither a built page, nor Cython's output, nor this file."""
    cython = path.suffix == ".cpp" and path.name.startswith("_")
    return path.suffix in SUFFIXES and "_build" not in path.parts and not cython and path != Path(__file__)


FOUND = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if is_ours(path))
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *FOUND]


def text_of(path):
    """A file's text with the line breaks inside comments and paragraphs taken out."""
    return re.sub(r"\s*\n\s*(?:(?://|#)\s*)?", " ", path.read_text(encoding="utf-8"))


def sections(chapter):
    """The numbers of a chapter's headings, and those of its entries in bold: 8, 8.2, 6.3, H1, Q10."""
    text = CHAPTERS[chapter]
    return set(re.findall(rf"^#+ ({SECTION})[. ]", text, re.M)) | set(re.findall(rf"\*\*({SECTION})[. *]", text))


def citations(text):
    """(chapter, section) of every citation in a text."""
    return [(chapter, one) for chapter, list_ in CITATION.findall(text) for one in re.findall(SECTION, list_)]


SECTIONS = {chapter: sections(chapter) for chapter in CHAPTERS}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_citations_lead_to_a_section(path):
    text = text_of(path)
    lost = [f"{chapter} {one}" for chapter, one in citations(text) if one not in SECTIONS[chapter]]
    assert not lost
    assert not ADRIFT.findall(text)


def test_the_code_cites_the_specification():
    found = {chapter for path in FILES if path.suffix != ".md" for chapter, _ in citations(text_of(path))}
    assert found == set(CHAPTERS)


@pytest.mark.parametrize("text", ["conv-kernels 99", "pool-norm H77", "network-and-solver 8.2 and 8.99"])
def test_a_citation_of_nothing_is_found(text):
    assert any(one not in SECTIONS[chapter] for chapter, one in citations(text))


@pytest.mark.parametrize("text", ["see the network specification 6.3", "design, section 5", "golden README 10"])
def test_a_section_without_a_chapter_is_found(text):
    assert ADRIFT.search(text)
