"""The decision ledger of a run in which each engine feeds itself: what was decided otherwise, what nothing explains."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .row import Row


@dataclass
class Entry:
    """What a layer decided in a pass, and what it made that its own operands do not give."""

    layer: str
    step: str
    what: str = ""  # ``signs``, ``winners``, ``answers``; "" where nothing is decided
    count: int = 0
    differ: dict[str, int] = field(default_factory=dict)  # by engine, decisions that are not the reference's
    # the largest margin of those, as a share of what the operands may be off: above 1 nothing explains it
    margin: float = 0.0
    # by engine, tensors outside the bound of the formula from the engine's own operands, and decisions beyond theirs
    unexplained: dict[str, list[str]] = field(default_factory=dict)


def ledger(rows: "Sequence[Row]") -> list[Entry]:
    """The entries of all layers and passes that decide something, or make something unexplained.

    A gradient that one layer alone sends is that layer's.
    """
    found: dict[tuple[str, str], Entry] = {}
    for row in rows:
        wrong = row.unexplained()
        if not row.decisions and not wrong:
            continue
        layer, tensor = row.layer, row.tensor
        if len(row.sent_by) == 1:
            layer, tensor = row.sent_by[0], "inputs_grad"
        elif row.sent_by:
            tensor += f", which {' and '.join(row.sent_by)} send"
        entry = found.setdefault((layer, row.step), Entry(layer, row.step))
        for name in wrong:
            entry.unexplained.setdefault(name, []).append(tensor)
        for name, made in row.decisions.items():
            entry.what, entry.count, entry.differ[name] = made["what"], made["count"], made["differ"]
            entry.margin = max(entry.margin, made["margin"])
    return list(found.values())


def explained(rows: "Sequence[Row]") -> str:
    """The sentence about all decisions; "" where no engine fed itself."""
    entries = ledger(rows)
    if not any(row.own for row in rows):
        return ""
    differ = sum(sum(entry.differ.values()) for entry in entries)
    count = sum(entry.count * len(entry.differ) for entry in entries)
    places = [f"{entry.layer} {entry.step}" for entry in entries if entry.unexplained]
    named = f" ({', '.join(places[:3])}{' ...' if len(places) > 3 else ''})" if places else ""
    made = f"{differ:,} of {count:,} decisions are not the reference's"
    return f"{made}; unexplained: {len(places)}{named}."


HEAD = "decisions that are not the reference's; margin: the largest, as a share of what the operands may be off there"


def table(rows: "Sequence[Row]", engines: Sequence[str]) -> Iterator[str]:
    """The ledger as lines of text; none where no engine fed itself."""
    entries = ledger(rows)
    if not any(row.own for row in rows):
        return
    width = max([5, *(len(entry.layer) for entry in entries)])
    yield HEAD
    heads = " ".join(f"{name:>10}" for name in engines)
    yield f"{'layer':{width}} {'pass':8} {'decisions':>10} {'of':8} {heads} {'margin':>8}  unexplained"
    for one in entries:
        counts = " ".join(f"{one.differ.get(name, ''):>{max(10, len(name))}}" for name in engines)
        wrong = "; ".join(f"{name}: {', '.join(tensors)}" for name, tensors in one.unexplained.items()) or "0"
        margin = f"{one.margin:.3g}" if any(one.differ.values()) else ""
        yield f"{one.layer:{width}} {one.step:8} {one.count or '':>10} {one.what:8} {counts} {margin:>8}  {wrong}"
