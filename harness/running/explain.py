"""Which quirk explains a difference: the layer's step again, from the same values, with switches turned.

Nothing here runs unless something differs. An engine's switches are turned in a session of its own that is thrown away.
A switch explains a difference only if it stands otherwise than the reference computes; several may explain one that
vanishes when all of them are turned. Where the difference vanishes when a switch is turned *away* from the reference,
it only looks like that quirk: a fault hides in what the switch chooses, or the switch undoes it.

An engine without switches may follow any convention. There a copy of an engine that has switches is asked: a switch
explains the difference if the copy, with that one turned and all others where the reference has them, gives the same
bits.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import engines
from ..engines.protocol import Engine, Session
from ..judging.finding import EXPLAINABLE, Finding
from ..judging.verdict import bitwise_equal
from ..network.load import LayerSpec, parameter_shapes, sparse_inputs
from ..network.tensors import increment
from ..quirks import LEDGER
from ..quirks.settings import open_session, switches
from ..reference import Bounded
from .steps import Step, Tensor
from .tensor_comparison import TensorComparison
from .workload import Workload


class QuirkSearch:
    """Turns switches of the engines of a run."""

    def __init__(self, work: Workload) -> None:
        self.work = work
        self._last: tuple[Any, Any] = (None, None)

    def explain(
        self, comparison: TensorComparison, findings: Mapping[str, Finding]
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
        """The quirks that explain a row, and those that its faults look like: two dicts by engine.

        The first has, for engines whose difference is explained, the names of quirks. The second has, for engines whose
        difference is not explained but vanishes if a switch is turned that stands as the reference does, the name of
        that quirk.
        """
        own = {engine.name: engine for engine in self.work.engines}
        quirks: dict[str, tuple[str, ...]] = {}
        resembles: dict[str, tuple[str, ...]] = {}
        for name, finding in findings.items():
            if finding.status in EXPLAINABLE:
                if found := self._explain(own[name], comparison):
                    quirks[name] = found
                elif found := self._resembled(own[name], comparison):
                    resembles[name] = found
        self._last = (None, None)
        return quirks, resembles

    def _explain(self, engine: Engine, comparison: TensorComparison) -> tuple[str, ...]:
        apart, _ = self._candidates(engine, comparison)
        for name in apart:
            if self._agrees(engine, comparison, (name,)):
                return (name,)
        if len(apart) > 1 and self._agrees(engine, comparison, apart):
            for name in apart:
                fewer = tuple(other for other in apart if other != name)
                if self._agrees(engine, comparison, fewer):
                    apart = fewer
            return apart
        return () if engine.quirks() else self._copied(engine, comparison)

    def _resembled(self, engine: Engine, comparison: TensorComparison) -> tuple[str, ...]:
        apart, standing = self._candidates(engine, comparison)
        return next(((name,) for name in standing if self._agrees(engine, comparison, (*apart, name))), ())

    def _candidates(self, engine: Engine, comparison: TensorComparison) -> tuple[tuple[str, ...], list[str]]:
        """Switches that touch the layers of a step: those that stand otherwise than the reference, and the others."""
        names = _touching(switches(engine), comparison)
        apart = tuple(name for name in names if self._position(engine, name) != LEDGER[name].meant)
        return apart, [name for name in names if name not in apart]

    def _position(self, engine: Engine, name: str) -> bool:
        return self.work.settings.get(engine.name, {}).get(name, switches(engine)[name])

    def _agrees(self, engine: Engine, comparison: TensorComparison, turned: Sequence[str]) -> bool:
        """Whether the difference is gone when an engine's switches are turned."""
        settings = dict(self.work.settings.get(engine.name, {}))
        settings |= {name: not self._position(engine, name) for name in turned}
        found = self._again(engine, comparison.subject, settings)
        if found is None:
            return False
        subject = comparison.subject
        judged = TensorComparison(subject, {engine.name: found}, _nothing)
        for bounded, where in subject.step.bounded(subject.name):
            judged.add(bounded, where)
        return judged.findings()[engine.name].agrees

    def _copied(self, engine: Engine, comparison: TensorComparison) -> tuple[str, ...]:
        """The switch with which a copy of another engine gives the bits of this one, in a tuple."""
        for other in filter(lambda copy: copy.probe()[0], map(engines.find, engines.DEFAULT)):
            as_meant = {name: LEDGER[name].meant for name in other.quirks()}
            for name in _touching(as_meant, comparison):
                found = self._again(other, comparison.subject, as_meant | {name: not as_meant[name]})
                if found is not None and bitwise_equal(found, comparison.found[engine.name]):
                    return (name,)
        return ()

    def _again(self, engine: Engine, tensor: Tensor, settings: Mapping[str, bool]) -> np.ndarray | None:
        """A `steps.Tensor` of an engine that runs its step again; None if it cannot."""
        try:
            return tensor.step.read(self.session(engine, tensor.step, settings), tensor.name)
        except Exception:  # whatever stops it: then it is no explanation
            return None

    def session(self, engine: Engine, step: Step, settings: Mapping[str, bool]) -> Session:
        """A session in which the step has run; the last one is kept, since it may be asked for once more."""
        key = engine.name, settings
        if self._last[0] != key:
            self._last = (None, None)
            session = open_session(engine, self.work.network, self.work.threads, settings)
            if self.work.logs:
                session.record_launches()
            self._write_parameters(session, step.layers)
            step.again(session)
            self._last = key, session
        return self._last[1]

    def _write_parameters(self, session: Session, layers: Sequence[LayerSpec]) -> None:
        graph = self.work.network.graph
        for layer in layers:
            for i in sparse_inputs(layer):
                session.write(layer.name, f"filterConns[{i}]", self.work.values[layer.name][f"filterConns[{i}]"])
            for tensor in parameter_shapes(layer):
                owner, held = graph.owner(layer, tensor)
                for name in (held, increment(held)):
                    session.write(owner, name, self.work.values[owner][name])


def _touching(names: Iterable[str], comparison: TensorComparison) -> list[str]:
    types = {layer.type for layer in comparison.subject.step.layers}
    return [name for name in names if not types.isdisjoint(LEDGER[name].layers)]


def _nothing(layer: LayerSpec, tensor: str, bounded: Bounded) -> None:
    """Assertions about the reference were made the first time."""
