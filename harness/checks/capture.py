"""`rosetta check capture`: does an engine hand out what it computed? A verdict on tensors is worth no more than that.

Three sessions feed themselves with the same values. The first reads every tensor at once, twice, and holds it to the
end; the second does the same again; the third reads nothing before all is done. A tensor must keep its bits after it
was handed over, lie in memory of its own, and be the same in all three.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..engines import available
from ..engines.protocol import Session
from ..errors import Unsupported, told
from ..judging.verdict import bitwise_equal
from ..network.solver import updated_here
from ..network.tensors import gradient
from ..running.prepare import Options, prepare
from ..running.workload import Workload

Name = tuple[str, str]
Tensors = dict[Name, np.ndarray[Any, Any]]


def check_capture(echo: Callable[[str], Any], name: str, net: str, batch: int, seed: int) -> int:
    """Run the check on an engine; prints what is found, gives 0, 1 if something is, or 3 if a step cannot be run.

    ``echo``: prints a line.
    ``name``, ``net``: engine and network.
    """
    work = prepare(Options(net, engines=(name,), input="random", batch=batch, seed=seed, threads=1))
    (engine,) = available([name])
    found: dict[Name, str] = {}
    notes: list[str] = []
    first, second = (_run(work, engine.name, found, notes, True) for _ in range(2))
    last = _run(work, engine.name, {}, [], False)
    for key in first:
        if key not in second or not bitwise_equal(first[key], second[key]):
            found.setdefault(key, "is another one in a second run of the same values")
        elif key not in last or not bitwise_equal(first[key], last[key]):
            found.setdefault(key, "depends on being read: without reading it after its step it is another one")
    for note in dict.fromkeys(notes):
        echo(f"- {note}")
    for (layer, tensor), text in found.items():
        echo(f"! {layer} {tensor} {text}")
    if not first:
        echo(f"{engine.name}: no tensor of {net} was read.")
        return 3
    kept = len(first.keys() - found.keys())
    echo(f"{kept} of {len(first)} tensors of {engine.name} are handed out as they were computed ({net}).")
    return 1 if found else 3 if notes else 0


def _run(work: Workload, engine: str, found: dict[Name, str], notes: list[str], reads: bool) -> Tensors:
    """The tensors of a session, as they were when they were handed over; ``found`` takes what is wrong with them."""
    session = work.open_sessions()[engine]
    held: Tensors = {}
    copies: Tensors = {}

    def read(keys: Sequence[Name]) -> None:
        for key in keys:
            try:
                held[key] = session.read(*key)
            except (KeyError, Unsupported):
                continue
            copies[key] = np.array(held[key])
            if reads and not bitwise_equal(session.read(*key), copies[key]):
                found.setdefault(key, "is another one when it is read again")
            if reads:
                _look(key)

    def _look(last: Name) -> None:
        for key, array in held.items():
            if not bitwise_equal(array, copies[key]):
                one = key != last and np.may_share_memory(array, held[last])
                where = f"lies in one buffer with {' '.join(last)}" if one else "changed after it had been handed over"
                found.setdefault(key, where)
                copies[key] = np.array(array)

    stopped = False
    for phase in (_forward, _backward):
        done: list[Name] = []
        for run, keys in phase(work, session):
            try:
                run()
            except Exception as error:
                why = str(error) if isinstance(error, Unsupported) else told(error)
                notes.append(f"the {phase.__name__[1:]} pass ends early, nothing behind that step is read: {why}")
                stopped = True
                break
            done += keys
            if reads:
                read(keys)
        if not reads:
            read(done)
        if stopped:
            break
        held.clear()  # a backward step may compute in the memory of what it needs no longer
    return copies


def _forward(work: Workload, session: Session) -> Iterator[tuple[Callable[[], Any], list[Name]]]:
    """What is run, and the tensors that are to be read then."""
    for layer in work.network.layers:
        given = [work.inputs.data[layer.name]] if layer.type == "data" else None
        name = "cost" if layer.type.startswith("cost.") else "acts"
        yield partial(session.forward, layer.name, given, work.mask(layer)), [(layer.name, name)]


def _backward(work: Workload, session: Session) -> Iterator[tuple[Callable[[], Any], list[Name]]]:
    """Likewise; the gradient of an output is complete when its last consumer has run."""
    graph = work.network.graph
    for layer in graph.backward_order():
        sources = [layer.inputs[i] for i in graph.wanted_inputs(layer)]
        keys = [(name, "acts_grad") for name in sources if graph.contributions(name)[-1][0] == layer.name]
        keys += [(layer.name, gradient(tensor)) for tensor in updated_here(graph, layer)]
        yield partial(session.backward, layer.name), keys
