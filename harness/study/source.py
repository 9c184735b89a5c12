"""Pieces of source, found by name and by expressions, so that no line number is written down anywhere."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PART = re.compile(r"(\S+)(?: from /(.*?)/)?(?: to /(.*?)/)?\s*(?:;|$)")
PLACES = {"host": ("legacy", "host/*.cpp", "host/*.h"), "kernels": ("legacy", "kernels/*.cuh")}
"""Where the functions of C++ are looked for: the room, then files in the order in which they are asked."""


@dataclass(frozen=True)
class Piece:
    """Consecutive lines of a file: its name from the room on, the number of the first line, the lines, the symbol."""

    file: str
    first: int
    lines: tuple[str, ...]
    symbol: str

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def pieces(spec: str, place: str, **names: str) -> list[Piece]:
    """The pieces that a text of the concordance names, ``NAME from /X/ to /Y/; NAME``: Y itself is not part of it.

    ``spec``: with ``{kernel}`` and the like in the place of `names`.
    ``place``: ``host`` or ``kernels`` of the legacy room, ``port`` or ``reference``.
    Raises LookupError: there is no such symbol, or no line that an expression finds.
    """
    found = []
    for name, start, end in PART.findall(spec.format(**names)):
        whole = symbol(place, name)
        first = _line(whole, start, 0) if start else 0
        last = _line(whole, end, first + 1) if end else len(whole.lines)
        found.append(Piece(whole.file, whole.first + first, whole.lines[first:last], whole.symbol))
    return list(dict.fromkeys(found))


def _line(piece: Piece, expression: str, begin: int) -> int:
    for k, line in enumerate(piece.lines[begin:], begin):
        if re.search(expression, line):
            return k
    raise LookupError(f"{piece.file}: no line of {piece.symbol} matches {expression!r}")


@cache
def symbol(place: str, name: str, overload: int = 0) -> Piece:
    """The whole definition of a function, method or class; LookupError where there is none.

    Functions of C++ may have several of a name in a file; `overload` counts them.
    """
    module, *attributes = name.split(".")
    if place in PLACES:
        room, *patterns = PLACES[place]
        patterns = [pattern.replace("*", module) for pattern in patterns] if attributes else patterns
        for file in (file for pattern in patterns for file in files(room, pattern)):
            if span := in_cpp(read(file), (attributes or [module])[-1], skip=overload):
                return _cut(file, span, name)
        raise LookupError(f"no definition of {name} in {place}")
    folder = "port" if place == "port" else "harness/reference"
    endings = ["h"] if attributes[:1] == ["h"] else ["py", "pyx"]
    for file in (f"{folder}/{module}.{ending}" for ending in endings):
        if path(file) and (span := _in_file(file, attributes[len(attributes) > 1 and endings == ["h"] :])):
            return _cut(file, span, name)
    raise LookupError(f"no definition of {name} in {place}")


def _in_file(file: str, attributes: Sequence[str]) -> tuple[int, int] | None:
    if file.endswith(".py"):
        return _in_python(ast.parse("\n".join(read(file))), attributes)
    return (in_cython if file.endswith(".pyx") else in_cpp)(read(file), *attributes)


def _cut(file: str, span: tuple[int, int], name: str) -> Piece:
    first, last = span
    return Piece(file, first, tuple(read(file)[first - 1 : last]), name)


def path(file: str) -> Path | None:
    """The path of a file that is named from its room on; None where this installation lacks it."""
    room, _, rest = file.partition("/")
    return next((folder / rest for folder in folders(room) if (folder / rest).is_file()), None)


def folders(room: str) -> list[Path]:
    """Where the files of a room are; nowhere where this installation lacks it."""
    spec = find_spec(f"alexnet_rosetta.{room}")
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def files(room: str, pattern: str) -> list[str]:
    """The files of a room, named from it on."""
    return [
        f"{room}/{one.relative_to(folder).as_posix()}"
        for folder in folders(room)
        for one in sorted(folder.glob(pattern))
    ]


@cache
def read(file: str) -> tuple[str, ...]:
    """The lines of a file that is named from its room on."""
    found = path(file)
    if found is None:
        raise LookupError(f"this installation lacks {file}")
    return tuple(found.read_text(encoding="utf-8").splitlines())


def in_cpp(lines: Sequence[str], name: str, scope: str = "", skip: int = 0) -> tuple[int, int] | None:
    """(first, last) line, from 1, of a function, class or struct in C++ with the template and remarks above; else None.

    ``scope``: the class of a member that is defined outside of it.
    ``skip``: how many definitions of that name come first.
    """
    code = [re.sub(r"//.*", "", line) for line in lines]
    text = "\n".join(code)
    called = rf"{re.escape(scope)}::{re.escape(name)}" if scope else rf"(?<![\w:.>]){re.escape(name)}"
    for match in re.finditer(
        rf"^(?:class|struct) {re.escape(name)}\b[^;{{]*{{|^(?:[\w:<>*&~,]+\s+)*?[*&]?{called}\s*\(", text, re.M
    ):
        opening = match.end() - 1 if match[0].endswith("{") else _body(text, match.end() - 1)
        if opening is None or re.match(r"\s*(return|else|new)\b", match[0]):
            continue
        if skip:
            skip -= 1
            continue
        first, last = text.count("\n", 0, match.start()) + 1, text.count("\n", 0, closing(text, opening)) + 1
        while first > 1 and (re.match(r"\s*(//|template\b)", lines[first - 2]) or _inside_template(code, first - 2)):
            first -= 1
        return first, last
    return None


def _inside_template(code: Sequence[str], k: int) -> bool:
    """Whether a line is the end of a list of template parameters that began above."""
    above = code[k - 1] if k else ""
    return (
        code[k].rstrip().endswith(">") and above.lstrip().startswith("template <") and not above.rstrip().endswith(">")
    )


def _body(text: str, parenthesis: int) -> int | None:
    """Where the body of a function begins whose parameters begin there; None of a call or a declaration."""
    after = closing(text, parenthesis) + 1
    match = re.compile(r"(?:\s|const\b|noexcept\b|override\b|:[^;{}]*(?:\{[^{}]*\}[^;{}]*)*?(?=\{))*\{").match(
        text, after
    )
    return match and match.end() - 1


def closing(text: str, opening: int) -> int:
    """Where the bracket closes that opens there."""
    pair = {"{": "}", "(": ")", "[": "]"}[text[opening]]
    depth = 0
    for k in range(opening, len(text)):
        depth += (text[k] == text[opening]) - (text[k] == pair)
        if not depth:
            return k
    return len(text) - 1


def in_cython(lines: Sequence[str], name: str) -> tuple[int, int] | None:
    """(first, last) line of a function in Cython."""
    for k, line in enumerate(lines):
        if re.match(rf"(?:def|cdef|cpdef)\b[^(]*\b{re.escape(name)}\(", line):
            last = k + 1
            while last < len(lines) and (not lines[last].strip() or lines[last][0] in " )"):
                last += 1
            while not lines[last - 1].strip():
                last -= 1
            return k + 1, last
    return None


def _in_python(tree: ast.Module | ast.ClassDef, attributes: Sequence[str]) -> tuple[int, int] | None:
    """(first, last) line of a function, class or method; of one that the class lacks, a base's in that file."""
    named = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    found = next((node for node in named if node.name == attributes[0]), None)
    if found is not None and len(attributes) == 1:
        return min([found.lineno, *(d.lineno for d in found.decorator_list)]), found.end_lineno or found.lineno
    if not isinstance(found, ast.ClassDef):
        return None
    own = _in_python(found, attributes[1:])
    bases = [base.id for base in found.bases if isinstance(base, ast.Name)]
    return own or next(filter(None, (_in_python(tree, [base, *attributes[1:]]) for base in bases)), None)
