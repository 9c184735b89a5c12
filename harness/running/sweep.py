"""What one sweep over a network keeps: engine sessions, the reference's tensors, and who still needs them.

*Isolated* (``own_feed=False``): the reference's tensors, rounded once to float32, feed every engine's layer, so that a
difference belongs to the layer where it shows. *Own feed*: each engine feeds itself, while the reference follows the
same path as before; differences then also show where they were inherited.

The reference evaluates in chunks of images, and what it says about a chunk (value and rounding allowance) is forgotten
once the engines' slices have been judged; only values rounded to float32 are kept, until the last layer that needs
them is done.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import BadInput, Unsupported
from ..judging.finding import Finding, finding_of
from ..judging.places import axes
from ..judging.row import Row
from ..network.load import LayerSpec, parameter_shapes, plain
from ..network.solver import trainable
from ..reference import Bounded, UnsupportedLayer, op
from ..reference.half_precision import half
from ..reference.views import PASS_TYPES, seen
from .afterwards import Afterwards
from .contributions import OutputGradient, ParameterGradients
from .explain import QuirkSearch
from .steps import PASSES, Backward, Collected, Forward, Step, Tensor, Update
from .tensor_comparison import TensorComparison
from .workload import Workload


class Sweep:
    """Runs the passes over a network and yields a Row for each tensor as soon as it is judged.

    `own_feed`: engines read their own acts and gradients.
    """

    def __init__(self, work: Workload, own_feed: bool = False) -> None:
        self.work = work
        self.graph = work.network.graph
        self.own_feed = own_feed
        self.passes = PASSES[: 1 + max(map(PASSES.index, work.passes))]
        self.ops = {
            layer.name: _formulas(layer, work.values.get(layer.name))
            for layer in work.network.layers
            if layer.type != "data"
        }
        self.acts: dict[str, np.ndarray] = {}  # the reference's outputs, rounded to float32, while somebody needs them
        self.acts_grad: dict[str, np.ndarray] = {}  # their gradients, likewise
        # what the backward pass leaves for the update, by layer and tensor
        self.gradients: dict[str, dict[str, np.ndarray]] = {}
        self.views: dict[str, list[np.ndarray]] = {}  # probabilities of the views so far, by cost
        self.problems: dict[tuple[str, str, str], Finding] = {}
        self._stopped: dict[str, Finding] = {}
        self._wrong: set[tuple[str, str, str]] = set()
        self._search = QuirkSearch(work) if work.explains and not own_feed else None
        self._afterwards = Afterwards(work)
        with work.times.part("prepare"):
            self.sessions = work.open_sessions(self._stopped)
        self._order = self.graph.backward_order()
        self._backward = {layer.name for layer in self._order}
        self._units = {name: cost for name, cost in self.graph.fused.items() if name in self._backward}
        self._readers: dict[str, set[str]] = {}
        self._runs = self._running()

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the passes that were asked for; earlier passes run because later ones need them."""
        passes = {"forward": self._forward, "backward": self._backward_pass, "update": self._update}
        for name in self.passes:
            for row in passes[name]():
                if name in self.work.passes and (not self.work.layers or row.layer in self.work.layers):
                    yield row
            yield from self.work.times.each("judging", self._afterwards.changed(self.sessions, name))
        yield from self.work.times.each("judging", self._afterwards.touched(self.sessions, self.passes[-1]))
        yield from self._afterwards.odd_seconds()

    def _running(self) -> Set[str]:
        """Names of the layers that engines run: those whose rows are wanted, and what runs together with them."""
        layers, wanted = self.graph.layers, self.work.layers
        if not wanted or self.own_feed:
            return layers.keys()
        found = set(wanted)
        for name, layer in layers.items():
            if any(self.graph.owner(layer, tensor)[0] in wanted for tensor in parameter_shapes(layer)):
                found.add(name)
            sent = {consumer for consumer, _ in self.graph.contributions(name)}
            if name in wanted and (len(sent) > 1 or self.work.network.quantise):
                found |= sent
        return found | {self.graph.fused[name] for name in found & self.graph.fused.keys()}

    def _does_run(self, step: Step) -> bool:
        return all(layer.name in self._runs for layer in step.layers)

    def _up_to_the_last(self, layers: Sequence[LayerSpec]) -> Sequence[LayerSpec]:
        """The layers without those behind the last one that runs."""
        last = max((k for k, layer in enumerate(layers) if layer.name in self._runs), default=-1)
        return layers[: last + 1]

    # Passes

    def _forward(self) -> Iterator[Row]:
        """Yield the row of each layer's acts (of a cost layer: its cost), in topological order, pass by pass."""
        for kind, name in PASS_TYPES[self.work.pass_type].items():
            self._begin(kind)
            layers = self.work.network.layers
            for layer in self._up_to_the_last(layers) if self.passes == ("forward",) else layers:
                step = Forward(self, layer, name)
                if layer.type != "data":
                    yield from self._layer_forward(step)
                    continue
                self.acts[layer.name] = step.given[0]
                if self.own_feed:
                    self.run(step)

    def _layer_forward(self, step: Forward) -> Iterator[Row]:
        self.run(step)
        for tensor in step.tensors():
            comparison = self.compare(tensor)
            if tensor.name == "acts":
                self.acts[step.layer.name] = self.work.acts(step.layer, comparison.reference)
            yield self.row(comparison)
            if not self.own_feed:
                self._drop(step.layer, tensor.name)
        if self._idle_after_forward(step.layer.name):
            self.free(step.layer.name)

    def _backward_pass(self) -> Iterator[Row]:
        """Yield the rows of ``inputs_grad[i]``, of parameter gradients and of sums over consumers, costs first.

        Once the last consumer of an output has contributed, the sum of the contributions, rounded once, feeds the next
        layer. The sum is a row of its own where there are several consumers.
        """
        below = {layer.name: OutputGradient(self, layer) for layer in self._order}
        parameters = ParameterGradients(self, self._order)
        finished = []
        for layer in self._up_to_the_last(self._order):
            step = Backward(self, layer)
            self.run(step)
            yield from self._inputs_grad(step, below)
            for collected in self.work.times.each("reference", parameters.add(step) if self._does_run(step) else ()):
                yield self._parameter_row(collected, timed=step.layer is collected.layer)
            sources = list(dict.fromkeys(layer.inputs[i] for i in step.wanted))
            for source in sources:
                if below[source].complete():
                    yield from self._acts_grad(below[source])
            finished.append((layer.name, sources))
            while finished and all(below[source].complete() for source in finished[0][1]):
                self.free(finished.pop(0)[0])

    def _inputs_grad(self, step: Backward, below: Mapping[str, OutputGradient]) -> Iterator[Row]:
        for i, tensor in zip(step.wanted, step.tensors(), strict=True):
            source = below[step.layer.inputs[i]]
            if self.own_feed:  # then engines are asked for the sums alone
                source.add(step, i, [bounded for bounded, _ in step.bounded(tensor.name)])
                continue
            parts: list[Bounded] = []
            comparison = self.compare(tensor, None if source.alone else parts)
            source.add(step, i, comparison.reference if source.alone else parts)
            yield self.row(comparison)

    def _acts_grad(self, below: OutputGradient) -> Iterator[Row]:
        """The gradient of a layer's output, and its row where it is more than one fresh inputs_grad."""
        with self.work.times.part("reference"):
            layer, grad = below.layer, below.take()
        if not isinstance(grad, np.ndarray):
            comparison = self.compare(next(grad.tensors()))
            grad = comparison.reference
            yield self.row(comparison, timed=False)
        self.acts_grad[layer.name] = self.work.acts_grad(layer, grad)

    def _parameter_row(self, collected: Collected, timed: bool) -> Row:
        comparison = self.compare(next(collected.tensors()))
        self.gradients.setdefault(collected.layer.name, {})[comparison.tensor] = comparison.reference
        return self.row(comparison, timed)

    def _update(self) -> Iterator[Row]:
        """Yield the rows of new weights, biases and momentum buffers, layer by layer in definition order."""
        for layer in self.work.network.layers:
            if layer.name in self._backward & self._runs and trainable(self.graph, layer):
                step = Update(self, layer)
                self.run(step)
                for tensor in self.work.times.each("reference", step.tensors()):
                    yield self.row(self.compare(tensor))

    # Values

    def inputs_of(self, layer: LayerSpec) -> list[np.ndarray]:
        """What feeds a layer: list of float32 (rows, N), the reference's tensors, those from other devices rounded."""
        if layer.type == "data":
            return [seen(self.work.inputs.data[layer.name], self.work.kind)]
        crosses = self.graph.crosses
        return [
            half(self.acts[source]) if crosses(source, layer.name, "quantF") else self.acts[source]
            for source in layer.inputs
        ]

    def _begin(self, kind: str) -> None:
        """Begin a forward pass of all layers; engines that know training passes only are left out of others."""
        self.work.kind = kind
        self._readers = {name: {reader for reader, _ in pairs} for name, pairs in self.graph.consumers.items()}
        for name, session in self.sessions.items() if kind != "train" else ():
            try:
                session.set_pass_type(kind)
            except Unsupported as error:
                self._stopped[name] = Finding("unsupported", reason=str(error))

    # Engines

    def run(self, step: Step) -> None:
        """Run a step in every engine; one that cannot is remembered, and reported with the tensors of the step."""
        layer, pass_name = step.layer, step.pass_name
        for name, session in self.sessions.items() if self._does_run(step) else ():
            if self._problem(name, step):
                continue
            self._afterwards.begins(name, layer, pass_name)
            try:
                with self.work.times.part(name):
                    step.run(session)
            except Exception as error:
                self.problems[name, layer.name, pass_name] = found = finding_of(error, f"{layer.name} {pass_name}")
                if self.own_feed:
                    reason = f"{layer.name} {pass_name}, which comes before, is {found.status}"
                    self._stopped[name] = Finding("unavailable", reason=reason)

    def compare(self, tensor: Tensor, parts: list[Bounded] | None = None) -> TensorComparison:
        """The TensorComparison of one `steps.Tensor` of all engines; ``parts`` takes the reference's chunks."""
        found = {name: self._fetch(name, tensor) for name in self.sessions if self._does_run(tensor.step)}
        comparison = TensorComparison(tensor, found, self.work.inspect, self.own_feed)
        times = self.work.times
        for bounded, where in times.each("reference", tensor.step.bounded(tensor.name)):
            with times.part("judging"):
                comparison.add(bounded, where)
            if parts is not None:
                parts.append(bounded)
        return comparison

    def row(self, comparison: TensorComparison, timed: bool = True) -> Row:
        """The Row of a finished comparison, with the seconds that its layer and step took."""
        seconds, layer, pass_name = {}, comparison.layer, comparison.step
        for name in comparison.found:
            session = self.sessions[name]
            if timed and not self._problem(name, comparison.subject.step):
                with _harmless(layer, pass_name):
                    seconds[name] = session.seconds(layer.name, pass_name if pass_name in PASSES else "forward")
                    self._afterwards.took(name, layer, pass_name, seconds[name])
        with self.work.times.part("judging"):
            lie = axes(self.graph.layers, layer, comparison.tensor, comparison.shape or ())
            row = Row.of(comparison, seconds, lie)
            self._afterwards.judged(comparison)
        if not self.work.layers or layer.name in self.work.layers:
            self.work.on_tensor(comparison)
        row = self.work.adjust(row)
        if self._search:
            row.quirk, row.resembles = self._search.explain(comparison, row.findings)
        if not self.own_feed:
            self._trace(row)
        return row

    def _trace(self, row: Row) -> None:
        """Mark the difference of a sum over consumers as inherited where one of them sends a wrong gradient."""
        failed = {name for name, found in row.findings.items() if found.fails}
        if row.tensor.startswith("inputs_grad"):
            self._wrong |= {(row.layer, row.tensor, name) for name in failed}
        elif row.tensor == "acts_grad":
            sent = [(consumer, f"inputs_grad[{i}]") for consumer, i in self.graph.contributions(row.layer)]
            row.origin = {name: "inherited" for name in failed if any((*key, name) in self._wrong for key in sent)}

    def _problem(self, engine: str, step: Step) -> Finding | None:
        keys = [(engine, step.layer.name, name) for name in (step.pass_name, "forward")]
        return next((self.problems[key] for key in keys if key in self.problems), self._stopped.get(engine))

    def _fetch(self, engine: str, tensor: Tensor) -> np.ndarray | Finding:
        step = tensor.step
        try:
            with self.work.times.part(engine):
                return self._problem(engine, step) or step.read(self.sessions[engine], tensor.name)
        except KeyError:
            return Finding("missing", reason="the engine has no such tensor")
        except Exception as error:
            return finding_of(error, f"{step.layer.name} {step.pass_name}")

    # Memory

    def _drop(self, layer: LayerSpec, tensor: str) -> None:
        """Tell every engine that a tensor will not be read again; where engines feed themselves, they read it."""
        for session in filter(None, self.sessions.values()):
            with _harmless(layer, "drop"):
                session.drop(layer.name, tensor)

    def free(self, name: str) -> None:
        """Free the state of a layer in every engine after its last step, and the inputs that no other layer needs."""
        layer = self.graph.layers[name]
        self.acts_grad.pop(name, None)
        if not self.own_feed:
            for session in self.sessions.values():
                with _harmless(layer, "release"):
                    session.release(name)
        for source in layer.inputs:
            self._readers[source].discard(name)
            if not self._readers[source]:
                self.acts.pop(source, None)
        if name in self._units and "backward" in self.passes:
            self.free(self._units[name])

    def _idle_after_forward(self, name: str) -> bool:
        """Whether a layer has nothing to do in the backward pass."""
        return "backward" not in self.passes or (name not in self._backward and name not in self._units.values())


@contextmanager
def _harmless(layer: LayerSpec, step: str) -> Iterator[None]:
    """For verbs of an engine that say nothing about values: what they raise is only logged."""
    try:
        yield
    except Exception as error:
        finding_of(error, f"{layer.name} {step}")


def _formulas(layer: LayerSpec, values: Mapping[str, np.ndarray] | None) -> Any:
    try:
        return op(plain(layer, values))
    except UnsupportedLayer as error:
        raise BadInput(f"layer {layer.name}: {error}", hint="such a layer cannot be compared") from error
