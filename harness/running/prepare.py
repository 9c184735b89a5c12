"""One comparison: check what was asked for, prepare the values, open the engines, sweep, yield rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any, get_args

from threadpoolctl import threadpool_limits

from .. import engines, machine
from ..errors import BadInput, meant
from ..judging.finding import FAIL_ON, UNDECIDED
from ..judging.row import Row
from ..network.load import RULES, Network, load, noted
from ..quirks import LEDGER, find, levels
from ..quirks.settings import parse, quirk_of
from ..quirks.values import touched
from ..reference.views import PASS_TYPES
from ..values import inputs, parameters
from ..values.noise import Tape
from .exact_workload import ExactWorkload, check_batch, exact_network, exact_values
from .memory import check_memory, memory_needed
from .propagated import propagated_rows
from .steps import PASSES
from .sweep import Sweep
from .workload import Workload

MODES = ("isolated", "propagated")
PORT_ALGORITHMS = ("auto", "direct", "winograd")
PASS_TYPE_NAMES = tuple(PASS_TYPES)
MOST_PASSES = 10_000
"""Backward passes per update, each of which is run."""


@dataclass(frozen=True)
class Options:
    """What a comparison is asked for; the fields are the options of ``rosetta compare``.

    Attributes
    ----------
    net : str
        A shipped network, or the path of a layer-definition file.
    params : str or None
        The layer-parameter file; None: the one beside the definition.
    weights : str or None
        An npz file of weights and biases; None: they are drawn.
    engines : tuple of str
        Names of engines.
    input : str
        ``photos``, ``random``, ``exact`` or an npz file.
    batch : int
        Number of cases.
    seed : int
        Of everything that is drawn.
    mode : str
        ``isolated`` or ``propagated``.
    passes : tuple of str
        Of ``forward``, ``backward``, ``update``.
    threads : int or None
        Threads of the engines; None: all processors.
    quirks : tuple of str
        Switches, ``[ENGINE:]NAME=on`` or ``off``.
    level : str
        ``[ENGINE:]YEAR``: all switches as the release of 2011, 2012 or 2014 had them; `quirks` come on top.
    rules : tuple of str
        How layer files may be read besides: ``strict-2012``, ``salvage``, ``sched``.
    progress : float
        Share of the training that is done, 0 to 1, for the learning rates.
    update_every : int
        Backward passes per update.
    pass_type : str
        ``train``; ``test``, or ``views``, tests of three views of the same cases: then there is no backward pass.
    quantise : bool
        Round what goes between devices to half precision where the layer file says so.
    port_algorithm : str
        The port's algorithm of convolution: ``auto``, ``direct`` or ``winograd``.
    allow : tuple of str
        Of ``unsupported``, ``unavailable``, ``inconclusive``: what does not count against the run.
    fail_on : tuple of str
        Verdicts of `finding.FAIL_ON`: only these count against the run; by default all do.
    layers : tuple of str
        Layers whose rows are wanted; by default all.
    repeat : int
        How often full training steps are timed besides, for `reporting.diff`.

    Raises
    ------
    errors.BadInput
        A value that is none of these.
    """

    net: str
    params: str | None = None
    weights: str | None = None
    engines: tuple[str, ...] = engines.DEFAULT
    input: str = "photos"
    batch: int = 32
    seed: int = 0
    mode: str = "isolated"
    passes: tuple[str, ...] = PASSES
    threads: int | None = None
    quirks: tuple[str, ...] = ()
    level: str = ""
    rules: tuple[str, ...] = ()
    progress: float = 0.0
    update_every: int = 1
    pass_type: str = "train"
    quantise: bool = False
    port_algorithm: str = "direct"
    allow: tuple[str, ...] = ()
    fail_on: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    repeat: int = 0

    def __post_init__(self) -> None:
        require_kinds(self)
        if self.batch < 1:
            raise BadInput(f"a batch of {self.batch} has no cases", hint="--batch takes a number from 1")
        if self.seed < 0:
            raise BadInput(f"there is no seed {self.seed}", hint="--seed takes a number from 0")
        for given, known, what, hint in (
            ((self.mode,), MODES, "there is no mode {!r}", "modes: {}"),
            ((self.port_algorithm,), PORT_ALGORITHMS, "there is no algorithm {!r}", "--port-algorithm takes {}"),
            (self.passes or ("",), PASSES, "there is no pass {!r}", "passes: {}"),
            (self.rules, RULES, "there is no reading rule {!r}", "rules: {}"),
            (self.allow, UNDECIDED, "{!r} cannot be allowed", "--allow takes {}"),
            (self.fail_on, FAIL_ON, "there is no verdict {!r}", "--fail-on takes {}"),
            ((self.pass_type,), PASS_TYPES, "there is no pass type {!r}", "pass types: {}"),
        ):
            if unknown := [one for one in given if one not in known]:
                raise BadInput(what.format(", ".join(unknown)), hint=hint.format(", ".join(known)))
        if self.pass_type != "train":
            if self.passes not in (PASSES, ("forward",)) or self.input == "exact":
                raise BadInput("a test has one pass, forward, and no exact tier", hint="--passes forward")
            object.__setattr__(self, "passes", ("forward",))
        if self.repeat < 0 or (self.repeat and self.passes != PASSES):
            raise BadInput("what is timed again is whole training steps", hint="--repeat 9, without --passes")
        if len(set(self.engines)) < max(1, len(self.engines)):
            raise BadInput("engines must be given, each once", hint="for example --engines legacy-cpu,port")
        machine.threads(self.threads)
        if not 0 <= self.progress <= 1 or not 1 <= self.update_every <= MOST_PASSES:
            raise BadInput(
                "there is no such point of a training",
                expected=f"--progress 0 to 1, --update-every 1 to {MOST_PASSES}",
                actual=f"{self.progress}, {self.update_every}",
                hint="--progress 0.5 is the middle of a training, --update-every 8 collects eight gradients",
            )
        if self.update_every > 1 and self.mode != "isolated":
            raise BadInput("engines that feed themselves update after every pass", hint="--mode isolated")
        if self.input == "exact" and (self.progress > 0 or self.update_every > 1):
            raise BadInput("the exact tier has rates and divisors that are powers of two", hint="--input random")
        if self.quantise and self.input == "exact":
            raise BadInput("exact inputs leave nothing to round", hint="--quantise with photos, random or your own")


def require_kinds(options: Any) -> None:
    """BadInput unless every field of a dataclass holds a value of the kind that its annotation says.

    A path is as good as its text, and a list becomes a tuple.
    """
    kinds: dict[Any, Any] = {str: (str, PathLike), int: Integral, float: Real, bool: bool, type(None): type(None)}
    for field in fields(options):
        value = getattr(options, field.name)
        if field.type == tuple[str, ...]:
            fits = isinstance(value, tuple | list) and all(isinstance(one, str) for one in value)
            object.__setattr__(options, field.name, tuple(value) if fits else value)
        else:
            fits = any(isinstance(value, kinds[one]) for one in get_args(field.type) or (field.type,))
            fits = fits and (field.type is bool or not isinstance(value, bool))
        if not fits:
            kind = getattr(field.type, "__name__", field.type) if not get_args(field.type) else field.type
            raise BadInput(f"{field.name} is of the wrong kind", expected=str(kind), actual=repr(value)[:60])


def prepare(options: Options) -> Workload:
    """Check the options, refuse what cannot work, draw all values.

    Raises BadInput, port.config.ConfigError: what is wrong, with a hint. Nothing was written, and no large memory
    taken.
    """
    forward_only = options.passes == ("forward",)
    network = load(options.net, options.params, rules=options.rules, forward_only=forward_only)
    if options.weights is None:
        parameters.require_none_from_checkpoint(network)
    return workload(network, options)


def workload(network: Network, options: Options) -> Workload:
    """`prepare` for a network that was loaded already; ``net`` and ``params`` of the options are not used."""
    if not network.spec.has_params:
        raise BadInput(
            f"{network.definition}: learning rates are missing",
            hint="give the layer-parameter file with --params, or --passes forward, which needs none",
        )
    known = [layer.name for layer in network.layers if layer.type != "data"]
    for name in options.layers:
        if name not in known:
            hint = meant(name, known, f"layers: {', '.join(known)}")
            raise BadInput(f"{network.name} has no layer {name!r} to compare", hint=hint)
    chosen = engines.available(options.engines)
    if options.input == "exact":
        check_batch(options.batch)
    threads = machine.threads(options.threads)
    settings = parse(options.quirks, chosen, options.level)
    check_mode(settings, options.mode)
    cases = inputs.cases(network, options.input, options.batch)
    check_memory(network, cases, memory_needed(network, cases, options.engines, options.mode, options.passes))
    minibatch = inputs.make(network, options.input, options.batch, options.seed)
    values = parameters.make(network, options.seed, options.weights)
    tape = Tape(options.seed)
    point: dict[str, Any] = {
        "progress": options.progress,
        "update_every": options.update_every,
        "quantise": options.quantise,
        "port_algorithm": options.port_algorithm,
    }
    network = replace(network, **point, minibatch=minibatch.batch)
    if options.batch not in (minibatch.batch, Options.batch):
        note = f"{options.input} holds {minibatch.batch} cases: those are used, and --batch {options.batch} is not"
        network = noted(network, note)
    for text in options.quirks:
        if not touched(network, quirk_of(text)):
            network = noted(network, f"--quirk {text} touches no layer of {network.name}")
    unset = levels.left(options.level, filter(partial(touched, network), LEDGER)) if options.level else ()
    if unset:
        network = noted(network, f"--level {options.level} leaves where they stand: {', '.join(unset)}")
    if options.port_algorithm != "direct":
        network = noted(network, f"the port's algorithm of convolution: {options.port_algorithm}")
    if minibatch.note:
        network = noted(network, minibatch.note)
    more: dict[str, Any] = {"settings": settings, "explains": True, "pass_type": options.pass_type}
    more["layers"] = frozenset(options.layers)
    if options.input != "exact":
        return Workload(network, chosen, minibatch, values, tape, options.passes, threads, **more)
    values = exact_values(network, values, options.seed)
    return ExactWorkload(
        exact_network(network), chosen, minibatch, values, tape, options.passes, threads, **more, seed=options.seed
    )


def rows(work: Workload, mode: str) -> Iterator[Row]:
    """Yield the rows of a comparison as its layers finish."""
    with threadpool_limits(work.threads):
        found = propagated_rows(replace(work, layers=frozenset())) if mode == "propagated" else Sweep(work).rows()
        yield from (row for row in found if not work.layers or row.layer in work.layers or not row.shape)


def step_count(work: Workload, mode: str) -> int:
    """Number of (layer, pass) steps of a run, for progress bars."""
    if work.layers:
        return len(work.layers) * len(work.passes) * len(PASS_TYPES[work.pass_type])
    graph = work.network.graph
    order = graph.backward_order()
    weighted = {layer.name for layer in order if "weightShapes" in layer}
    forward = sum(layer.type != "data" for layer in work.network.layers) * len(PASS_TYPES[work.pass_type])
    isolated = {"forward": forward, "backward": len(order), "update": len(weighted)}
    # Engines that feed themselves are asked for gradients of outputs and of parameters alone.
    fed = {layer.inputs[i] for layer in order for i in graph.wanted_inputs(layer)}
    own_feed = isolated | {"backward": len(fed | weighted)}
    return sum(sum(counts[name] for name in work.passes)
               for counts in ([isolated, own_feed] if mode == "propagated" else [isolated]))  # fmt: skip


def check_mode(settings: Mapping[str, Mapping[str, bool]], mode: str) -> None:
    """Refuse switches that make tensors which the next layer of the engine could not take."""
    names = {name for own in settings.values() for name, on in own.items() if not on and find(name).needs_isolation}
    if names and mode != "isolated":
        raise BadInput(f"the quirk {min(names)} cannot be off where engines feed themselves", hint="--mode isolated")
