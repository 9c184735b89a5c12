"""Pieces of source, found by name and by expressions, so that no line number is written down anywhere."""

import ast
import re
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
    def text(self):
        """The lines as one text."""
        return "\n".join(self.lines)


def pieces(spec, place, **names):
    """The pieces that a text of the concordance names, ``NAME from /X/ to /Y/; NAME``: Y itself is not part of it.

    Parameters
    ----------
    spec : str
        With ``{kernel}`` and the like in the place of `names`.
    place : str
        ``host`` or ``kernels`` of the legacy room, ``port`` or ``reference``.

    Raises
    ------
    LookupError
        There is no such symbol, or no line that an expression finds.
    """
    found = []
    for name, start, end in PART.findall(spec.format(**names)):
        whole = symbol(place, name)
        first = _line(whole, start, 0) if start else 0
        last = _line(whole, end, first + 1) if end else len(whole.lines)
        found.append(Piece(whole.file, whole.first + first, whole.lines[first:last], whole.symbol))
    return found


def _line(piece, expression, begin):
    for k, line in enumerate(piece.lines[begin:], begin):
        if re.search(expression, line):
            return k
    raise LookupError(f"{piece.file}: no line of {piece.symbol} matches {expression!r}")


@cache
def symbol(place, name, overload=0):
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


def _in_file(file, attributes):
    if file.endswith(".py"):
        return _in_python(ast.parse("\n".join(read(file))), attributes)
    return (in_cython if file.endswith(".pyx") else in_cpp)(read(file), *attributes)


def _cut(file, span, name):
    first, last = span
    return Piece(file, first, tuple(read(file)[first - 1 : last]), name)


def path(file):
    """The path of a file that is named from its room on; None where this installation lacks it."""
    room, _, rest = file.partition("/")
    spec = find_spec(f"alexnet_rosetta.{room}")
    found = (
        [Path(folder, rest) for folder in spec.submodule_search_locations if Path(folder, rest).is_file()]
        if spec
        else []
    )
    return found[0] if found else None


def files(room, pattern):
    """The files of a room, named from it on."""
    spec = find_spec(f"alexnet_rosetta.{room}")
    folders = [Path(folder) for folder in spec.submodule_search_locations] if spec else []
    return [
        f"{room}/{one.relative_to(folder).as_posix()}" for folder in folders for one in sorted(folder.glob(pattern))
    ]


@cache
def read(file):
    """The lines of a file that is named from its room on."""
    return tuple(path(file).read_text(encoding="utf-8").splitlines())


def in_cpp(lines, name, scope="", skip=0):
    """(first, last) line, from 1, of a function, class or struct in C++ with the template and remarks above; else None.

    Parameters
    ----------
    lines : sequence of str
    name : str
    scope : str, optional
        The class of a member that is defined outside of it.
    skip : int
        How many definitions of that name come first.
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


def _inside_template(code, k):
    """Whether a line is the end of a list of template parameters that began above."""
    above = code[k - 1] if k else ""
    return (
        code[k].rstrip().endswith(">") and above.lstrip().startswith("template <") and not above.rstrip().endswith(">")
    )


def _body(text, parenthesis):
    """Where the body of a function begins whose parameters begin there; None of a call or a declaration."""
    after = closing(text, parenthesis) + 1
    match = re.compile(r"(?:\s|const\b|noexcept\b|override\b|:[^;{}]*(?:\{[^{}]*\}[^;{}]*)*?(?=\{))*\{").match(
        text, after
    )
    return match and match.end() - 1


def closing(text, opening):
    """Where the bracket closes that opens there."""
    pair = {"{": "}", "(": ")", "[": "]"}[text[opening]]
    depth = 0
    for k in range(opening, len(text)):
        depth += (text[k] == text[opening]) - (text[k] == pair)
        if not depth:
            return k
    return len(text) - 1


def in_cython(lines, name):
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


def _in_python(tree, attributes):
    """(first, last) line of a function, class or method; of one that the class lacks, a base's in that file."""
    body, name = tree.body, attributes[0]
    found = next((node for node in body if getattr(node, "name", None) == name), None)
    if found is None or len(attributes) == 1:
        return found and (min([found.lineno, *(d.lineno for d in found.decorator_list)]), found.end_lineno)
    own = _in_python(found, attributes[1:])
    bases = [base.id for base in found.bases if isinstance(base, ast.Name)]
    return own or next(filter(None, (_in_python(tree, [base, *attributes[1:]]) for base in bases)), None)
