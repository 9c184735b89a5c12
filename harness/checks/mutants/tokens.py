"""Mutants of kernels, host code and Cython by rule: every token where a small change fits, and the text with it."""

import re
from collections.abc import Iterator
from pathlib import Path

from .mutate import Mutant

SWAPPED = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "/", "<": "<=", "<=": "<", ">": ">=", ">=": ">",
           "==": "!=", "!=": "==", "&&": "||", "||": "&&", "+=": "-=", "-=": "+=", "*=": "+="}  # fmt: skip
WORDS = {"min": "max", "max": "min", "atLeast": "atMost", "atMost": "atLeast", "true": "false", "false": "true",
         "True": "False", "False": "True", "and": "or", "or": "and", "x": "y", "y": "x", "tx": "ty", "ty": "tx",
         "top": "left", "left": "top", "bottom": "right", "right": "bottom", "row": "col", "col": "row",
         "rows": "columns", "columns": "rows", "i": "0", "images": "target"}  # fmt: skip
UNSAID = (
    r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])'|\"(?:\\.|[^\"\\\n])*\"|^[ \t]*#(?!define)[^\n]*|\bstatic_assert\([^;]*;"
)
CYTHON = r"\"\"\".*?\"\"\"|#[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|^\s*c?import[^\n]*|^\s*from[^\n]*"
TOKEN = re.compile(
    r"(?<= )(?P<binary>[-+*/%<>]=?|[=!]=|&&|\|\|)(?= )"
    r"|(?P<sign>(?:(?<=[(\[])|(?<=[,=?:] ))-(?=[\w(])|(?<=[( ])!(?=[\w(]))"
    r"|(?<![\w.])(?P<real>\d+\.\d*(?:e[-+]?\d+)?)f?\b|(?<![\w.:])(?P<whole>\d+)(?![\w.'])"
    r"|(?<!int )(?<!float )(?<!auto )\b(?P<word>[A-Za-z]+)\b"
)
STATEMENT = re.compile(
    r"(?<=[;{}) ])\n[ \t]+(?P<statement>(?!return|using|const|else|case|break)[\w*(][^;{}\n]*;)(?=\s*\n)"
)


def mutants(path: Path, root: Path) -> list[Mutant]:
    """All mutants of a file; the function is that of the last line in front that begins in the first column."""
    text = path.read_text(encoding="utf-8")
    found = []
    for number, (begin, end, new) in enumerate(_changes(text, path.suffix)):
        first, last = text.rfind("\n", 0, begin) + 1, text.find("\n", end)
        before, after = text[first:last].strip(), (text[first:begin] + new + text[end:last]).strip()
        heads = re.findall(r"^(?!#|//|template|namespace)\w[^\n]*?(\w+)\(", text[:begin], re.MULTILINE)
        line = text.count("\n", 0, begin) + 1
        file = path.relative_to(root).as_posix()
        found.append(Mutant(file, line, heads[-1] if heads else "", before, after, number))
    return found


def mutated(path: Path, number: int) -> str:
    """The text of a file with one mutant."""
    text = path.read_text(encoding="utf-8")
    begin, end, new = list(_changes(text, path.suffix))[number]
    return text[:begin] + new + text[end:]


def _changes(text: str, suffix: str) -> Iterator[tuple[int, int, str]]:
    """(begin, end, what stands there then) of each change, in order."""
    code = re.sub(CYTHON if suffix == ".pyx" else UNSAID, _blank, text, flags=re.DOTALL | re.MULTILINE)
    code = re.sub(r"\btext(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))", _blank, code)
    for token in (*TOKEN.finditer(code), *STATEMENT.finditer(code)):
        kind = str(token.lastgroup)
        begin, end, said = token.start(kind), token.end(kind), token[kind]
        for new in _instead(kind, said):
            yield begin, end, new


def _instead(kind: str, said: str) -> Iterator[str]:
    if kind == "whole":
        yield from (str(int(said) + 1), *([str(int(said) - 1)] if int(said) else []))
    elif kind == "real":
        yield repr(float(said) * 1.001 if float(said) else 1.0)
    elif kind == "sign":
        yield ""
    elif kind == "statement":
        yield ";"
    elif said in (table := SWAPPED if kind == "binary" else WORDS):
        yield table[said]


def _blank(unsaid: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", unsaid[0])
