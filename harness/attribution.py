"""Which quirk explains a difference: the layer's step again, from the same values, with switches turned.

Nothing here runs unless something differs. An engine's switches are turned in a session of its own that is thrown away;
a difference is explained by a quirk if it vanishes when that one is turned, or by several if it takes all of them.
"""

from .names import increment
from .networks import parameter_shapes, sparse_inputs
from .quirks import LEDGER
from .quirks.settings import open_session, switches
from .stream import TensorStream

EXPLAINABLE = ("different", "nonfinite", "shape")


class Attribution:
    """Turns switches of the engines of a run.

    Parameters
    ----------
    work : workload.Workload
    """

    def __init__(self, work):
        self.work = work
        self._last = (None, None)

    def explain(self, stream, findings):
        """The quirks that explain a row.

        Parameters
        ----------
        stream : stream.TensorStream
            With the ``rerun`` that it came from.
        findings : dict of str to Finding

        Returns
        -------
        dict of str to tuple of str
            By engine whose difference is explained, names of quirks.
        """
        engines = {engine.name: engine for engine in self.work.engines}
        found = {}
        for name, finding in findings.items():
            if finding.status in EXPLAINABLE:
                quirks = self._explain(engines[name], stream)
                if quirks:
                    found[name] = quirks
        self._last = (None, None)
        return found

    def _explain(self, engine, stream):
        candidates = self._candidates(engine, stream.rerun.layers)
        for name in candidates:
            if self._agrees(engine, stream, (name,)):
                return (name,)
        together = tuple(name for name in candidates if self._position(engine, name) != LEDGER[name].meant)
        if len(together) < 2 or not self._agrees(engine, stream, together):
            return ()
        for name in together:
            fewer = tuple(other for other in together if other != name)
            if self._agrees(engine, stream, fewer):
                together = fewer
        return together

    def _candidates(self, engine, layers):
        """Quirks that touch these layers and have a switch; first those that are not where the reference has them."""
        types = {layer.type for layer in layers}
        names = [name for name in switches(engine) if not types.isdisjoint(LEDGER[name].layers)]
        return sorted(names, key=lambda name: self._position(engine, name) == LEDGER[name].meant)

    def _position(self, engine, name):
        return self.work.settings.get(engine.name, {}).get(name, switches(engine)[name])

    def _agrees(self, engine, stream, turned):
        again = stream.rerun
        try:
            found = again.fetch(self._session(engine, again, turned))
        except (NotImplementedError, KeyError):
            return False
        judged = TensorStream(stream.layer, stream.step, stream.tensor, stream.shape, {engine.name: found}, _nothing)
        for bounded, part in again.bounded():
            judged.add(bounded, part)
        return judged.findings()[engine.name].agrees

    def _session(self, engine, again, turned):
        """A session in which the step has run; the last one is kept for the step's other tensors."""
        key = engine.name, turned, again.key
        if self._last[0] != key:
            self._last = (None, None)
            settings = dict(self.work.settings.get(engine.name, {}))
            settings |= {name: not self._position(engine, name) for name in turned}
            session = open_session(engine, self.work.network, self.work.threads, settings)
            self._write_parameters(session, again.layers)
            again.run(session)
            self._last = key, session
        return self._last[1]

    def _write_parameters(self, session, layers):
        graph = self.work.network.graph
        for layer in layers:
            for i in sparse_inputs(layer):
                session.write(layer.name, f"filterConns[{i}]", self.work.values[layer.name][f"filterConns[{i}]"])
            for tensor in parameter_shapes(layer):
                owner, held = graph.owner(layer, tensor)
                for name in (held, increment(held)):
                    session.write(owner, name, self.work.values[owner][name])


def _nothing(layer, tensor, bounded):
    """Assertions about the reference were made the first time."""
