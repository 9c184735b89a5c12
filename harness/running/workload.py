"""The values of a run, which every sweep over the network shares."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engines.protocol import Engine, Session, lacking
from ..errors import NothingCompared, Unsupported
from ..judging.finding import Finding, finding_of
from ..judging.row import Row
from ..network.load import LayerSpec, Network, parameter_shapes
from ..network.solver import has_noise
from ..quirks.settings import open_session
from ..reference import Bounded
from ..values import parameters
from ..values.inputs import Inputs
from ..values.noise import Tape
from .threads import submit
from .times import Times


@dataclass
class Workload:
    """The values of a run: what every sweep over the network shares."""

    network: Network
    engines: list[Engine]
    inputs: Inputs
    values: parameters.Values  # parameters and momentum buffers, see `parameters.make`
    tape: Tape
    passes: tuple[str, ...]
    threads: int
    # called with each finished `TensorComparison`, for those who want the tensors themselves
    on_tensor: Callable[[Any], None] = lambda comparison: None
    # by engine, switches of quirks that are not where the engine has them
    settings: dict[str, dict[str, bool]] = field(default_factory=dict)
    explains: bool = False  # whether differences are traced to quirks
    logs: bool = False  # whether sessions that can record their launches do so
    sessions: dict[str, Any] = field(default_factory=dict)  # by engine, those that were opened last
    pass_type: str = "train"  # one of `views.PASS_TYPES`: what the forward pass is
    kind: str = "train"  # the pass of an engine that runs now
    times: Times = field(default_factory=Times)  # where the time of the run goes
    layers: frozenset[str] = frozenset()  # layers whose rows are wanted; empty: all

    @property
    def batch(self) -> int:
        """Number of cases N."""
        return self.inputs.batch

    def params(self, layer: LayerSpec) -> dict[str, Any]:
        """The parameters of a layer as the reference takes them."""
        own = self.values.get(layer.name, {})
        count = len(layer.get("weightShapes", ()))
        return {"weights": [own[f"weights[{i}]"] for i in range(count)], "biases": own.get("biases")}

    def mask(self, layer: LayerSpec) -> np.ndarray | None:
        """What is random in the forward pass of a layer (`Tape.mask`), None where nothing is."""
        return self.tape.mask(layer, self.batch, self.kind)

    def normals(self, layer: LayerSpec) -> np.ndarray | None:
        """The normals of a layer's learning rates (`Tape.normals`), None where they have no noise."""
        return self.tape.normals(layer, len(parameter_shapes(layer))) if has_noise(layer) else None

    def acts(self, layer: LayerSpec, reference: np.ndarray) -> np.ndarray:
        """What feeds the consumers of a layer: the reference's output."""
        return reference

    def acts_grad(self, layer: LayerSpec, reference: np.ndarray) -> np.ndarray:
        """What a layer's backward pass starts from: the reference's gradient of its output."""
        return reference

    def inspect(self, layer: LayerSpec, tensor: str, bounded: Bounded) -> None:
        """Called with every result of the reference before it is judged."""

    def adjust(self, row: Row) -> Row:
        """Called with each finished row, which may be changed; gives the row."""
        return row

    def open_sessions(self, broken: dict[str, Finding] | None = None) -> dict[str, Any]:
        """A session per engine, parameters written.

        ``broken``: takes what is to be said of the tensors of an engine that cannot be opened; its session is None.
        Without, or where none can be opened, that is an error.
        Raises errors.NothingCompared: no engine could be opened.
        """
        sessions: dict[str, Any] = {}
        for name, written in [(engine.name, self._open(engine)) for engine in self.engines]:
            try:
                sessions[name] = written.result()
            except Exception as error:
                if broken is None:
                    raise
                broken[name], sessions[name] = finding_of(error, "opening the network"), None
                cause = error
        if broken and len(broken) == len(sessions):
            reasons = "; ".join(f"{name}: {found.reason}" for name, found in broken.items())
            raise NothingCompared(f"no engine can build this network: {reasons}") from cause
        self.sessions = sessions
        return sessions

    def _open(self, engine: Engine) -> Future[Session]:
        """The engine's session, whose parameters are written in a thread."""
        try:
            session = open_session(engine, self.network, self.threads, self.settings.get(engine.name, {}))
            if lacks := lacking(session, Session):
                raise Unsupported(f"its session lacks {', '.join(lacks)}: derive it from engines.protocol.Session")
        except Exception as error:
            failed: Future[Session] = Future()
            failed.set_exception(error)
            return failed
        return submit(self._written, session)

    def _written(self, session: Session) -> Session:
        for layer, tensor, array in parameters.owned(self.network, self.values):
            session.write(layer, tensor, array)
        if self.logs:
            session.record_launches()
        return session
