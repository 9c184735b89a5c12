"""Which lines of a piece of source do something: no remark, text, blank, bare bracket, or head of a function."""

import ast
import re
from functools import cache

from alexnet_rosetta.harness.study import source


def executable(piece):
    """The numbers of the lines of a `source.Piece` that do something."""
    own = range(piece.first, piece.first + len(piece.lines))
    if piece.file.endswith(".py"):
        return _statements(piece.file) & set(own)
    bare = re.sub(r"\"\"\".*?\"\"\"", lambda text: re.sub(r"[^\n]", "", text[0]), piece.text, flags=re.DOTALL)
    remark = r"(?<!\S)#.*" if piece.file.endswith(".pyx") else r"//.*"
    found = {n for n, line in zip(own, bare.split("\n"), strict=True) if re.search(r"\w", re.sub(remark, "", line))}
    return found - _head(piece)


@cache
def _statements(file):
    """The lines of statements of a Python file, without definitions' heads and docstrings."""
    found = set()
    for node in ast.walk(ast.parse("\n".join(source.read(file)))):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if isinstance(node, ast.stmt) and not text and not isinstance(node, ast.FunctionDef | ast.ClassDef):
            inner = [part.lineno for field in ("body", "orelse", "handlers") for part in getattr(node, field, [])]
            found |= set(range(node.lineno, min([*inner, node.end_lineno + 1])))
    return found


def _head(piece):
    """The lines of a function's template, name and parameters; of a class the first."""
    place = next((place for place in source.PLACES if piece.file.startswith(f"legacy/{place}")), "port")
    whole = source.symbol(place, piece.symbol)
    depth, head, seen = 0, set(), False
    for number, line in enumerate(whole.lines, whole.first):
        head.add(number)
        depth += line.count("(") - line.count(")")
        seen = seen or "(" in line or re.match(r"(struct|class)\b", line)
        opened = re.search(r"[{:]([^{:]*)$", re.sub(r"//.*", "", line))
        if seen and not depth and opened:
            return head - ({number} if re.search(r"\w", line[line.find("{") + 1 :]) and "{" in line else set())
    return head
