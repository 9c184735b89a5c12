"""Mutants of a Python file, by rule: every place where one of some small changes fits, and the text with the change.

In front of the statement that was changed stands a call of ``__mutant__()``, which tells the ladder where the statement
ran.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = "__mutant__"
COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
}  # fmt: skip

SAYING = {"require": 1, "check": 1, "advise": 1, "threads_for": 0}
"""Calls of which only so many arguments are changed: the others are words for people, or only change the time."""
EITHER_WAY = (
    "array_equal", "shares_memory", "may_share_memory", "max", "min", "maximum", "minimum", "multiply", "logaddexp",
)  # fmt: skip
"""Calls that say the same with their arguments swapped."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str  # from the root of the package
    line: int
    function: str  # with its class; "" at the level of the module
    before: str  # the expression or statement, as Python writes it; of other languages the line
    after: str
    number: int  # of the mutants of the file, in order

    @property
    def name(self) -> str:
        """What stays the same while lines move."""
        return f"{self.file}: {self.function}: {self.before} -> {self.after}"


def mutants(path: Path, root: Path) -> list[Mutant]:
    """All mutants of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    file = path.relative_to(root).as_posix()
    return [
        Mutant(file, node.lineno, function, before, after, number)
        for number, (node, function, _, before, after) in enumerate(_changes(tree))
    ]


def mutated(path: Path, number: int) -> str:
    """The text of a file with one mutant, and the mark in front of its statement."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for at, (node, _, change, _, _) in enumerate(_changes(tree)):
        if at == number:
            change()
            _mark(tree, node)
            return ast.unparse(ast.fix_missing_locations(tree))
    raise IndexError(number)


def _changes(tree: ast.Module) -> Iterator[tuple[Any, str, Callable[[], None], str, str]]:
    """(node, function, what makes the change, before, after) of each mutant, in order."""
    for node, function, parents in _walk(tree):
        for change, new in _of(node, parents):
            yield node, function, change, _first_line(node), _first_line(new) if new is not None else "nothing"


def _first_line(node: ast.AST) -> str:
    return ast.unparse(node).partition("\n")[0]


def _walk(tree: ast.Module) -> Iterator[tuple[Any, str, list[ast.AST]]]:
    """Every node that computes something, with its function and the nodes around it; no annotations or docstrings."""

    def inside(node: ast.AST, function: str, parents: list[ast.AST]) -> Iterator[tuple[Any, str, list[ast.AST]]]:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            function = f"{function}.{node.name}".lstrip(".")
        if function and hasattr(node, "lineno"):
            yield node, function, parents
        for name, field in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "bases", "type_params"):
                continue
            told = SAYING.get(_called(node)) if name in ("args", "keywords") else None
            for child in field[: told if name == "args" else 0] if told is not None else _several(field):
                if isinstance(child, ast.keyword) and child.arg == "strict":
                    continue  # of zip: an assertion
                if isinstance(child, ast.AST) and not isinstance(child, (ast.JoinedStr, ast.Raise, ast.Assert)):
                    yield from inside(child, function, [*parents, node])

    yield from inside(tree, "", [])


def _of(node: Any, parents: list[ast.AST]) -> Iterator[tuple[Callable[[], None], ast.AST | None]]:
    """The changes of one node: what makes each, and what stands there then (None: nothing)."""

    def setting(name: str, value: Any, target: Any = node) -> Callable[[], None]:
        return lambda: setattr(target, name, value)

    def replaced(new: ast.expr) -> tuple[Callable[[], None], ast.AST]:
        return (lambda: _replace(parents[-1], node, new)), new

    op: Any
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
        op = COMPARED[type(node.ops[0])]()
        yield setting("ops", [op]), ast.Compare(node.left, [op], node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in COMPUTED:
        op = COMPUTED[type(node.op)]()
        yield setting("op", op), ast.BinOp(node.left, op, node.right)
        if isinstance(node.op, (ast.Add, ast.Mult)):
            yield replaced(node.left)
            yield replaced(node.right)
    elif isinstance(node, ast.AugAssign) and type(node.op) in COMPUTED:
        op = COMPUTED[type(node.op)]()
        yield setting("op", op), ast.AugAssign(node.target, op, node.value)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield replaced(node.operand)
    elif isinstance(node, ast.BoolOp):
        op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield setting("op", op), ast.BoolOp(op, node.values)
    elif isinstance(node, ast.Constant) and not isinstance(node.value, (str, bytes, type(None), type(Ellipsis))):
        value = node.value
        for new in (not value,) if isinstance(value, bool) else (value + 1, value - 1) if isinstance(value, int) else (
            value * 1.001, 0.0 if value else 1.0):  # fmt: skip
            if new != value:
                yield setting("value", new), ast.Constant(new)
    elif (
        isinstance(node, ast.Call)
        and len(node.args) > 1
        and _called(node) not in (*SAYING, *EITHER_WAY)
        and not any(isinstance(x, ast.Starred) for x in node.args[:2])
    ):
        args = [node.args[1], node.args[0], *node.args[2:]]
        yield setting("args", args), ast.Call(node.func, args, node.keywords)
    elif isinstance(node, ast.Slice) and (node.lower or node.upper):
        yield (
            setting("upper" if node.upper else "lower", None),
            ast.Slice(None if not node.upper else node.lower, None, node.step),
        )
    elif isinstance(node, ast.IfExp):
        yield (lambda: _swap(node)), ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.If):
        test = ast.UnaryOp(ast.Not(), node.test)
        yield setting("test", test), test
    if isinstance(node, (ast.AugAssign, ast.Expr)) and not _documents(node):
        yield (lambda: _replace(parents[-1], node, ast.copy_location(ast.Pass(), node))), None
    elif (
        isinstance(node, ast.Return)
        and node.value is not None
        and isinstance(node.value, ast.Tuple)
        and len(node.value.elts) == 2
    ):
        turned = ast.Tuple(node.value.elts[::-1], ast.Load())
        yield setting("value", turned), turned


def _called(node: ast.AST) -> str:
    """The last name of what a call calls."""
    called = node.func if isinstance(node, ast.Call) else None
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""


def _several(field: Any) -> list[Any]:
    return field if isinstance(field, list) else [field]


def _documents(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _swap(node: ast.IfExp) -> None:
    node.body, node.orelse = node.orelse, node.body


def _replace(parent: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for name, field in ast.iter_fields(parent):
        if field is old:
            setattr(parent, name, new)
        elif isinstance(field, list) and any(item is old for item in field):
            setattr(parent, name, [new if item is old else item for item in field])


def _mark(tree: ast.Module, node: ast.AST) -> None:
    """Put the mark in front of the statement with this line, in the innermost body."""
    call = ast.Expr(ast.Call(ast.Name(MARK, ast.Load()), [], []))
    best: Any = None
    for parent in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(parent, name, None)
            for at, statement in enumerate(body if isinstance(body, list) else []):
                around = statement.lineno <= node.lineno <= (statement.end_lineno or 0)  # type: ignore[attr-defined]
                if around and (best is None or statement.lineno >= best[0]):
                    best = statement.lineno, body, at
    if best is not None:
        _, body, at = best
        body.insert(at, call)
