"""What one sweep over a network keeps: engine sessions, the reference's tensors, and who still needs them.

*Isolated* (``own_feed=False``): the reference's tensors, rounded once to float32, feed every engine's layer, so that a
difference belongs to the layer where it shows. *Own feed*: each engine feeds itself, while the reference follows the
same path as before; differences then also show where they were inherited.

The reference evaluates in chunks of images, and what it says about a chunk (value and rounding allowance) is forgotten
once the engines' slices have been judged; only values rounded to float32 are kept, until the last layer that needs
them is done.
"""

from contextlib import contextmanager

from ..errors import BadInput
from ..judging.finding import Finding, finding_of
from ..judging.places import axes
from ..judging.row import Row
from ..network.load import plain
from ..reference import UnsupportedLayer, op
from ..reference.half_precision import half
from . import backward, forward, update
from .afterwards import Afterwards
from .explain import Attribution
from .tensor_comparison import TensorStream

STEPS = {"forward": forward.rows, "backward": backward.rows, "update": update.rows}


class Sweep:
    """Runs the passes over a network and yields a Row for each tensor as soon as it is judged.

    Parameters
    ----------
    work : workload.Workload
        Network, engines, values of a run.
    own_feed : bool
        True: engines read their own acts and gradients.

    Attributes
    ----------
    acts : dict of str to ndarray
        The reference's outputs, rounded to float32, while somebody needs them.
    acts_grad : dict of str to ndarray
        Their gradients, likewise.
    gradients : dict of str to dict of str to ndarray
        What the backward pass leaves for the update, by layer and tensor.
    views : dict of str to list of ndarray
        Probabilities of the views so far, by cost.
    """

    def __init__(self, work, own_feed=False):
        self.work = work
        self.graph = work.network.graph
        self.own_feed = own_feed
        self.passes = list(STEPS)[: 1 + max(list(STEPS).index(name) for name in work.passes)]
        self.ops = {
            layer.name: _formulas(layer, work.values.get(layer.name))
            for layer in work.network.layers
            if layer.type != "data"
        }
        self.acts, self.acts_grad, self.gradients, self.views = {}, {}, {}, {}
        self.problems, self._stopped, self._wrong = {}, {}, set()
        self._attribution = Attribution(work) if work.explains and not own_feed else None
        self._afterwards = Afterwards(work)
        self.sessions = work.open_sessions(self._stopped)
        self._awaited = self._readers()

    def rows(self):
        """Yield the rows of the passes that were asked for; earlier passes run because later ones need them."""
        for name in self.passes:
            for row in STEPS[name](self):
                if name in self.work.passes:
                    yield row
            yield from self._afterwards.changed(self.sessions, name)
        yield from self._afterwards.touched(self.sessions, self.passes[-1])
        yield from self._afterwards.odd_seconds()

    def inputs_of(self, layer):
        """The reference's tensors that feed a layer: list of float32 (rows, N), those from other devices rounded."""
        crosses = self.graph.crosses
        return [
            half(self.acts[source]) if crosses(source, layer.name, "quantF") else self.acts[source]
            for source in layer.inputs
        ]

    def begins(self, kind):
        """A forward pass of all layers begins; engines that know training passes only are left out of others."""
        self.work.kind = kind
        self._awaited = self._readers()
        for name, session in self.sessions.items() if kind != "train" else ():
            if hasattr(session, "set_pass_type"):
                session.set_pass_type(kind)
            else:
                self._stopped[name] = Finding("unsupported", reason="the engine knows training passes only")

    # Engines

    def each(self, layer, step, action):
        """Run ``action(session)`` for every engine; one that cannot is remembered, and reported with its tensors."""
        for name, session in self.sessions.items():
            if self._problem(name, layer, step):
                continue
            self._afterwards.begins(name, layer, step)
            try:
                action(session)
            except Exception as error:
                self.problems[name, layer.name, step] = found = finding_of(error, f"{layer.name} {step}")
                if self.own_feed:
                    reason = f"{layer.name} {step}, which comes before, is {found.status}"
                    self._stopped[name] = Finding("unavailable", reason=reason)

    def stream(self, layer, step, tensor, shape, fetch=None):
        """A TensorStream over the engines' versions of one tensor, got by ``fetch(session)``."""
        fetch = fetch or (lambda session: session.read(layer.name, tensor))
        found = {name: self._fetch(name, layer, step, fetch) for name in self.sessions}
        return TensorStream(layer, step, tensor, shape, found, self.work.inspect, self.own_feed)

    def row(self, stream, timed=True):
        """The Row of a finished stream, with the seconds that its layer and step took."""
        seconds = {}
        for name, session in self.sessions.items():
            if timed and not self._problem(name, stream.layer, stream.step):
                with _harmless(stream.layer, stream.step):
                    step = stream.step if stream.step in STEPS else "forward"
                    seconds[name] = session.seconds(stream.layer.name, step)
                    self._afterwards.took(name, stream.layer, stream.step, seconds[name])
        self._afterwards.judged(stream)
        self.work.kept(stream)
        lie = axes(self.graph.layers, stream.layer, stream.tensor, stream.shape)
        row = self.work.settle(Row.of(stream, seconds, lie))
        if self._attribution and stream.rerun:
            row.quirk, row.resembles = self._attribution.explain(stream, row.findings)
        if not self.own_feed:
            self._trace(row)
        return row

    def _trace(self, row):
        """Mark the difference of a sum over consumers as inherited where one of them sends a wrong gradient."""
        failed = {name for name, found in row.findings.items() if found.fails}
        if row.tensor.startswith("inputs_grad"):
            self._wrong |= {(row.layer, row.tensor, name) for name in failed}
        elif row.tensor == "acts_grad":
            sent = [(consumer, f"inputs_grad[{i}]") for consumer, i in self.graph.contributions(row.layer)]
            row.origin = {name: "inherited" for name in failed if any((*key, name) in self._wrong for key in sent)}

    def _problem(self, engine, layer, step):
        found = self.problems.get((engine, layer.name, step)) or self.problems.get((engine, layer.name, "forward"))
        return found or self._stopped.get(engine)

    def _fetch(self, engine, layer, step, fetch):
        try:
            return self._problem(engine, layer, step) or fetch(self.sessions[engine])
        except KeyError:
            return Finding("missing", reason="the engine has no such tensor")
        except Exception as error:
            return finding_of(error, f"{layer.name} {step}")

    # Memory

    def done(self, name):
        """A layer has done its last step: nobody will ask its engines' state again, nor its inputs for its sake."""
        layer = self.graph.layers[name]
        self.acts_grad.pop(name, None)
        if not self.own_feed:
            for session in self.sessions.values():
                with _harmless(layer, "release"):
                    session.release(name)
        for source in layer.inputs:
            self._awaited[source].discard(name)
            if not self._awaited[source]:
                self.acts.pop(source, None)
        if name in self._units and "backward" in self.passes:
            self.done(self._units[name])

    def idle_after(self, name, step):
        """True if a layer has nothing to do after that step (of ``forward`` and ``backward``)."""
        if step == "backward" or "backward" not in self.passes:
            return True
        return name not in self._backward and name not in self._units.values()

    def _readers(self):
        self._backward = {layer.name for layer in self.graph.backward_order()}
        self._units = {name: cost for name, cost in self.graph.fused.items() if name in self._backward}
        return {name: {consumer for consumer, _ in pairs} for name, pairs in self.graph.consumers.items()}


@contextmanager
def _harmless(layer, step):
    """For verbs of an engine that say nothing about values: what they raise is only logged."""
    try:
        yield
    except Exception as error:
        finding_of(error, f"{layer.name} {step}")


def _formulas(layer, values):
    try:
        return op(plain(layer, values))
    except UnsupportedLayer as error:
        raise BadInput(f"layer {layer.name}: {error}", hint="such a layer cannot be compared") from error
