"""What the source of a kernel says of one launch: template arguments, phases, shared tiles, and the work of a block."""

import ast
import operator
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from . import source
from .source import Piece

FACTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
WORK = re.compile(r"\b(?:THREADS|THREAD_ROWS|STAGE_ROWS|STAGE)\s*\(")
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.floordiv}
BYTES = 4  # of a number in shared memory


@dataclass(frozen=True)
class Axis:
    """One axis of what a launch computes: how long it is, and how much of it a block has."""

    name: str
    size: int
    whole: int

    @property
    def blocks(self) -> int:
        """How many blocks share the axis."""
        return -(-self.whole // self.size)


@dataclass(frozen=True)
class CourseStep:
    """A line of the course of a kernel: ``kind`` is loop, phase or barrier, ``depth`` the loops around it."""

    kind: str
    depth: int
    text: str
    place: str


def name_and_arguments(kernel: str) -> tuple[str, list[str]]:
    """``f<1, g<2>>`` → ("f", ["1", "g<2>"])."""
    name, _, rest = kernel.partition("<")
    return name, _parts(rest.removesuffix(">")) if rest else []


def template(kernel: str) -> list[tuple[str, str, str]]:
    """(name, value, explanation) of the template arguments of a kernel string."""
    name, values = name_and_arguments(kernel)
    heads = (_head(name, overload)[0] for overload in (0, 1))
    names = next([words.split()[-1] for words in head] for head in heads if len(head) == len(values))
    return [(key, value, FACTS["arguments"].get(key, "")) for key, value in zip(names, values, strict=True)]


def axes(launch: Mapping[str, Any]) -> list[Axis]:
    """What a launch computes, axis by axis; [] of a kernel that nobody has described.

    ``launch``: a launch record.
    """
    name, _ = name_and_arguments(launch["kernel"])
    values = values_of(launch)
    texts = (re.fullmatch(r"(.+): (.+) of (.+)", text) for text in FACTS["blocks"].get(name, ()))
    return [Axis(text[1], *(evaluate(size, values) for size in text.group(2, 3))) for text in texts if text]


def strides(kernel: str) -> bool:
    """Whether blocks go on to further pieces of the result, because there may be more pieces than blocks."""
    return name_and_arguments(kernel)[0] in FACTS["strided"]["kernels"].split()


def values_of(launch: Mapping[str, Any]) -> dict[str, Any]:
    """The whole numbers that a launch gives its kernel, by name: template arguments, parameters, size of the grid."""
    name, _ = name_and_arguments(launch["kernel"])
    arguments = zip(_head(name)[1][1:], launch["args"], strict=True)  # the first is the block itself
    values = {parameter.split()[-1].lstrip("*&"): value for parameter, value in arguments}
    return values | _numbers(launch["kernel"]) | {"gridX": launch["grid"][0], "gridY": launch["grid"][1]}


def _numbers(kernel: str) -> dict[str, int]:
    words = {"true": 1, "false": 0}
    given = {key: words.get(value, value) for key, value, _ in template(kernel)}
    return {key: int(value) for key, value in given.items() if re.fullmatch(r"-?\d+", str(value))}


def evaluate(expression: str, values: Mapping[str, Any]) -> int:
    """A sum, difference, product or quotient of names and whole numbers.

    Raises LookupError: it is something else, or has an unknown name.
    """

    def of(node: ast.AST) -> int:
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
            return OPERATIONS[type(node.op)](of(node.left), of(node.right))
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return int(node.value)
        if isinstance(node, ast.Name) and isinstance(values.get(node.id), int):
            return values[node.id]
        raise LookupError(f"no number: {expression}")

    try:
        return of(ast.parse(expression.strip(), mode="eval").body)
    except SyntaxError as error:
        raise LookupError(f"no number: {expression}") from error


def tiles(kernel: str) -> list[tuple[str, list[int], int]]:
    """(name, extents, bytes) of what a block of a kernel has in shared memory, from the source of the kernel."""
    name, _ = name_and_arguments(kernel)
    return _tiles(name, _numbers(kernel))


def _tiles(name: str, values: Mapping[str, int]) -> list[tuple[str, list[int], int]]:
    text, _ = _code(name)
    known, found, working = dict(values), [], helpers(name)
    for names in re.findall(r"\bconstexpr int ([^;]+);", text):
        for key, expression in (part.split("=") for part in _parts(names)):
            known |= _known({key.strip(): expression}, known)
    for kind, tile, extents in re.findall(r"\bSHARED ([\w:]+(?:<[^;]*?>)?) (\w+)((?:\[[^;]*?\])*);", text):
        turned = re.match(r"TurnedTile<(.*)>", kind)
        texts = _parts(turned[1]) if turned else re.findall(r"\[(.*?)\]", extents)
        sizes = [evaluate(size, known) for size in texts]
        sizes = [sizes[0], sizes[1] + 1] if turned else sizes
        found.append((tile, sizes, BYTES * prod(sizes)))
    for callee, arguments in re.findall(r"\b(\w+)(?:<([^;{}()]*)>)?\(", text):
        if callee in working:
            names = [words.split()[-1] for words in _head(callee)[0]]
            given = dict(zip(names, _parts(arguments), strict=False))
            found += _tiles(callee, _known(given, known))
    return found


def _known(expressions: Mapping[str, str], values: Mapping[str, int]) -> dict[str, int]:
    """The numbers among some expressions; flags and types are left out."""
    found = {}
    for key, expression in expressions.items():
        try:
            found[key] = evaluate(expression, values)
        except LookupError:
            continue
    return found


def helpers(name: str) -> list[str]:
    """The functions that do a kernel's work, where the kernel itself only calls them, and those that these call."""
    text, _ = _code(name)
    body = text[text.index("{", text.index(f"{name}(")) :] if text else ""
    called = dict.fromkeys(re.findall(r"\b(\w+)(?:<[^;{}()]*>)?\(", body))
    own = [one for one in called if one != name and (WORK.search(_code(one)[0]) or "SYNC" in _code(one)[0])]
    return list(dict.fromkeys([*own, *(inner for one in own for inner in helpers(one))]))


PARTS = ("kernel", "body", "inner")


def parts(kernel: str) -> dict[str, str]:
    """What the concordance calls the kernel, the function that does its work, and the first that this one calls."""
    body = next(iter(helpers(kernel)), "")
    return dict(zip(PARTS, (kernel, body, next(iter(helpers(body)), body) if body else ""), strict=True))


def course(kernel: str) -> list[CourseStep]:
    """The course of a block through a kernel: its loops, phases and barriers, in the order of the source."""
    return list(_merged(_course(name_and_arguments(kernel)[0], 0)))


def _course(name: str, depth: int) -> Iterator[CourseStep]:
    text, piece = _code(name)
    start = text.index("{", text.index(f"{name}("))
    yield from _block(text, start + 1, source.closing(text, start), depth, piece, name)


def _block(text: str, at: int, end: int, depth: int, piece: Piece, own: str) -> Iterator[CourseStep]:
    """The steps between two places of a text."""
    token = re.compile(r"\bfor \(|\bSYNC\b|\b(?:\w+\.(?:template )?)?(\w+)(?:<[^;{}()]*>)?(?: \w+)?\(")
    while (match := token.search(text, at, end)) is not None:
        place = f"{piece.file}:{piece.first + text.count(chr(10), 0, match.start())}"
        if match[0] == "SYNC":
            yield CourseStep("barrier", depth, "", place)
            at = match.end()
        elif match[0] == "for (":
            head = source.closing(text, match.end() - 1)
            last = _statement(text, head + 1)
            inner = list(_block(text, head + 1, last, depth + 1, piece, own))
            if any(step.kind == "barrier" for step in inner):
                yield CourseStep("loop", depth, " ".join(text[match.start() : head + 1].split()), place)
                yield from inner
            elif inner:
                yield CourseStep("phase", depth, ", ".join(dict.fromkeys(step.text for step in inner)), place)
            at = last
        elif WORK.match(match[0]):
            at = _statement(text, source.closing(text, match.end() - 1) + 1)
            yield CourseStep("phase", depth, _written(text[match.start() : at]), place)
        else:
            callee, closed = match[1], source.closing(text, match.end() - 1)
            code = _code(callee)[0] if callee != own else ""
            if code and any(re.search(r"\bSYNC\b", _code(one)[0]) for one in (callee, *helpers(callee))):
                yield from _course(callee, depth)
            elif WORK.search(code) or callee == "stage":
                yield CourseStep("phase", depth, callee, place)
            at = closed if code or callee == "stage" else match.end()


def _merged(steps: Iterable[CourseStep]) -> Iterator[CourseStep]:
    """Phases without a barrier between them are one."""
    last = None
    for step in steps:
        if last and last.kind == step.kind == "phase" and last.depth == step.depth:
            last = CourseStep("phase", last.depth, f"{last.text}, {step.text}", last.place)
            continue
        if last:
            yield last
        last = step
    if last:
        yield last


def _statement(text: str, at: int) -> int:
    """Where the statement ends that begins there: a block, or what ends with a semicolon, after any heads."""
    while (head := re.compile(r"\s*(?:if|for|[A-Z_]{4,})\s*(?:constexpr )?(?=\()").match(text, at)) is not None:
        at = source.closing(text, head.end()) + 1
    place = len(text) - len(text[at:].lstrip())
    return source.closing(text, place) + 1 if text[place] == "{" else text.index(";", place) + 1


def _written(text: str) -> str:
    """What a phase writes, in words."""
    names = re.findall(r"(?<![\w.])(\w+)(?:\[[^;=]*?\]|\([^;=()]*\))+\s*[+|]?=(?!=)", text)
    called = [name for name in re.findall(r"\b(\w+)(?:<[^;{}()]*>)?\(", text) if re.search(r"write|sumOver", name)]
    return ", ".join(dict.fromkeys([*called, *names])) or "the rest"


@cache
def _code(name: str, overload: int = 0) -> tuple[str, Piece]:
    """(text without remarks, Piece) of a function of the kernels; an empty one where there is none."""
    try:
        piece = source.symbol("kernels", name, overload)
    except LookupError:
        return "", Piece("", 1, (), name)
    return re.sub(r"//[^\n]*", lambda match: " " * len(match[0]), piece.text), piece


@cache
def _head(name: str, overload: int = 0) -> tuple[list[str], list[str]]:
    """(template parameters, parameters) of a function of the kernels, as they are written."""
    text, _ = _code(name, overload)
    opening = text.index("(", text.index(name))
    given = re.search(r"template <(.*?)>\s*(?:KERNEL|PHASE|DEVICE)", text, re.DOTALL)
    parameters = _parts(text[opening + 1 : source.closing(text, opening)])
    return (_parts(given[1]) if given else []), parameters


def _parts(text: str) -> list[str]:
    """What commas part that are in no bracket."""
    found, depth = [""], 0
    for character in text:
        depth += (character in "<([") - (character in ">)]")
        if character == "," and not depth:
            found.append("")
        else:
            found[-1] += character
    return [part.strip() for part in found if part.strip()]
