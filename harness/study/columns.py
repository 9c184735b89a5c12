"""Source columns: pieces of the engine, the port, the reference and the release that face each other, row by row."""

import re
from collections.abc import Iterator, Sequence, Set

from markupsafe import Markup, escape

from .. import concordance
from ..concordance import Operation, Part
from . import kernels, source
from .source import Piece

LIBRARY = "sgemm"


def paired_pieces(
    layer_type: str, step: str, launched: Sequence[str], called: Set[str]
) -> list[tuple[str, dict[str, list[Piece]], tuple[str, ...]]]:
    """The rows of one pass of a layer: what each does, and the pieces of source in each room.

    ``launched``: names of kernels.
    ``called``: names of the port's functions.
    Returns: what; pieces by column (legacy, port, reference); functions of the release.
    """
    found = []
    for family in concordance.families():
        for operation in family.operations if layer_type in family.layers else ():
            own = [name for name in launched if name in operation.kernels]
            asked = {name.split(".")[1] for name in operation.port} & called
            idle = step == "update" and asked  # the solver asks all of its rules, also those that have nothing to do
            if operation.step != step or not (own or idle) or (called and not asked):
                continue
            parts = [part for part in family.parts if part.of == operation.what] or [_whole(operation, own, asked)]
            for k, part in enumerate(parts):
                what = f"{operation.what}: {part.what}" if part.what else operation.what
                found.append((what, _cells(part, own), operation.release if not k else ()))
    return found


def _whole(operation: Operation, own: Sequence[str], asked: Set[str]) -> Part:
    """An operation as one piece, with the loops that its functions of the port hand their work to."""
    port = [name for name in operation.port if name.split(".")[1] in asked] or operation.port
    inner = []
    for name in port:
        for module, loop in re.findall(r"\b(_loops|_gemm|_conv)\.(\w+)\(", source.symbol("port", name).text):
            inner += [f"{module}.{loop}", *([f"_loops.h.{loop}"] if module == "_loops" else [])]
    used = [name for name in own if name != LIBRARY]
    helpers = [name for kernel in used for name in kernels.helpers(kernel)]
    return concordance.Part(operation.what, "", "; ".join(operation.host), "; ".join(dict.fromkeys([*used, *helpers])),
                            "; ".join(dict.fromkeys([*port, *inner])), "; ".join(operation.reference))  # fmt: skip


def _cells(part: Part, own: Sequence[str]) -> dict[str, list[Piece]]:
    kernel = next((name for name in own if name != LIBRARY), "")
    names = kernels.parts(kernel) if kernel else dict.fromkeys(kernels.PARTS, "")
    cells = {
        place: source.pieces(getattr(part, place), place, **names) for place in ("host", "kernels", "port", "reference")
    }
    return {"legacy": cells["host"] + cells["kernels"], "port": cells["port"], "reference": cells["reference"]}


def quantities(layer_types: Sequence[str]) -> list[tuple[str, dict[str, set[str]]]]:
    """[(label, {column: names})] of the quantities that some families of layers name in several rooms."""
    merged: dict[str, tuple[str, dict[str, set[str]]]] = {}
    for family in concordance.families():
        for row in family.parameters if set(family.layers) & set(layer_types) else ():
            names = merged.setdefault(
                row.port or row.key or row.legacy, (row.legacy, {"legacy": set(), "other": set()})
            )[1]
            names["legacy"] |= {row.legacy}
            names["other"] |= {row.port, row.key, *row.also.split()} - {""}
    return [(label, names) for label, names in merged.values() if names["other"]]


def markup(piece: Piece, column: str, known: Sequence[tuple[str, dict[str, set[str]]]]) -> Markup:
    """The lines of a piece as HTML: numbers, code, quantities in their colours, remarks dimmed.

    ``column``: legacy, port, reference or release.
    ``known``: as `quantities` gives them.
    """
    side = "legacy" if column in ("legacy", "release") else "other"
    classes = {name: f"q{k}" for k, (_, names) in enumerate(known) for name in names[side]}
    remark = re.compile(r"(?<!\S)#" if piece.file.endswith((".py", ".pyx")) else r"(?<!:)//")
    shown = list(_without_docstrings(piece))
    dent = min((len(line) - len(line.lstrip()) for _, line in shown if line.strip()), default=0)
    code = "\n".join(_line(line[dent:], classes, remark) for _, line in shown)
    numbers = "\n".join(str(number) for number, _ in shown)
    return Markup(f'<pre class="numbers" aria-hidden="true">{numbers}</pre><pre><code>{code}</code></pre>')


def _line(line: str, classes: dict[str, str], remark: re.Pattern[str]) -> str:
    found = remark.search(line)
    end = found.start() if found else len(line)
    words = (
        f'<b class="{classes[word]}">{escape(word)}</b>' if word in classes else str(escape(word))
        for word in re.split(r"(\w+)", line[:end])
    )
    return "".join(words) + (f"<i>{escape(line[end:])}</i>" if found else "")


def _without_docstrings(piece: Piece) -> Iterator[tuple[int, str]]:
    """(number, line) without all but the first line of docstrings."""
    inside = False
    for number, line in enumerate(piece.lines, piece.first):
        quotes = line.count('"""') if piece.file.endswith((".py", ".pyx")) else 0
        if not inside:
            yield number, line + (" …" if quotes == 1 else "")
        inside ^= quotes == 1
