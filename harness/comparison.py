"""The comparison as a function: run, record, report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import machine
from .bench.measure import measure
from .engines import DEFAULT
from .engines.protocol import Session
from .errors import BadInput, TooLarge, meant
from .judging.places import described
from .judging.row import Row, run_code, sentence, step_lines, total_seconds
from .network.load import Network
from .quirks.settings import switches
from .reporting import report
from .reporting.record import Writer
from .reporting.report.words import repetition
from .running.prepare import Options, prepare, rows
from .running.tensor_comparison import TensorComparison
from .running.times import Times
from .running.workload import Workload

PICTURES = 32
LISTS = ("passes", "quirks", "rules", "allow", "fail_on", "layers")
"""Options that hold several names."""
Arrays = dict[str, NDArray[Any]]


@dataclass(repr=False)
class Comparison:
    """What a comparison found.

    Attributes
    ----------
    table : list of row.Row
        One for each tensor, in the order in which they were judged.
    record : Path or None
        The folder of the record, where one was asked for.
    report : Path or None
        The HTML report in it.
    status : str
        ``complete``, or ``interrupted`` by the user.
    allow : tuple of str
        Statuses of tensors that were not compared, or not decided, with which the exit code is 0 all the same.
    fail_on : tuple of str
        Verdicts that alone make the exit code other than 0; empty: all do.
    level : str
        The release whose quirks the engines had, as in the options; else "".
    note : str
        What is missing in the record, and why; else "".
    earlier : Path or None
        Where the record is now that had the folder before.
    parts : dict of str to float
        Where the wall seconds of the run went: ``prepare``, each engine, ``reference``, ``judging``, ``writing`` and
        the ``rest``.
    """

    table: list[Row]
    record: Path | None = None
    report: Path | None = None
    status: str = "complete"
    allow: tuple[str, ...] = ()
    fail_on: tuple[str, ...] = ()
    level: str = ""
    note: str = ""
    earlier: Path | None = None
    parts: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The sentence: what a prompt, and an assertion that fails, should show."""
        return self.sentence

    def _repr_html_(self) -> str:
        """The sentence, the numbers and the layer table, as a notebook shows them."""
        from .reporting.report.page import fragment

        return fragment(self)

    @property
    def sentence(self) -> str:
        """The one plain sentence that a run ends in."""
        return sentence(self.table, self.level)

    @property
    def exit_code(self) -> int:
        """0: all agree; 1: a local difference or failure; 3: something was not compared, or not decided."""
        return run_code(self.table, self.allow, self.fail_on)

    @property
    def rows(self) -> Any:
        """A pandas frame with a line for each tensor and engine."""
        import pandas

        return pandas.DataFrame([line for row in self.table for line in row.flat()])

    @property
    def layers(self) -> Any:
        """A pandas frame with a line for each layer and pass: worst verdict, seconds per engine."""
        import pandas

        return pandas.DataFrame(step_lines(self.table))

    def layer(self, name: str) -> Any:
        """A pandas frame with the lines of one layer; BadInput if the run has none of that name."""
        rows = self.rows
        known = list(dict.fromkeys(row.layer for row in self.table))
        if name not in known:
            raise BadInput(f"the run has no layer {name!r}", hint=meant(name, known, f"layers: {', '.join(known)}"))
        return rows[rows["layer"] == name].dropna(axis=1, how="all")

    def figure(self, what: str = "errors") -> Any:
        """A chart of the report as a matplotlib figure: ``errors``, ``distribution``, ``drift`` or ``time``."""
        from .reporting.report import charts

        kinds = {
            "errors": charts.share_chart,
            "distribution": charts.histogram_chart,
            "drift": charts.depth_chart,
            "time": charts.time_chart,
        }
        if what not in kinds:
            raise BadInput(f"there is no chart {what!r}", hint=meant(what, kinds, f"charts: {', '.join(kinds)}"))
        mode = "propagated" if what == "drift" else "isolated"
        rows = [row for row in self.table if row.mode == mode]
        if not rows:
            raise BadInput(f"the run has nothing for the chart {what}", hint="drift takes a run in propagated mode")
        return kinds[what](rows, list(dict.fromkeys(name for row in rows for name in row.findings)))


def compare(
    net: str,
    *,
    engines: Sequence[str] = DEFAULT,
    out: str | Path | None = None,
    keep: bool = False,
    **options: Any,
) -> Comparison:
    """Run engines side by side on one network and judge every tensor.

    Parameters
    ----------
    net : str
        A shipped network or the path of a layer-definition file.
    engines : sequence of str, or str
        Names of engines; a text is one name, here and in `options`.
    out : path, optional
        Folder for a record with its report; by default nothing is written.
    keep : bool
        Store whole tensors in the record.
    **options
        The fields of :class:`~alexnet_rosetta.harness.Options`:
        ``params, weights, input, batch, seed, mode, passes, threads, quirks, level,
        rules, progress, update_every, quantise, allow, fail_on, layers, repeat, pass_type, port_algorithm``.

    Returns
    -------
    Comparison

    Raises
    ------
    errors.RosettaError, port.config.ConfigError
        Something cannot be used; the message says what, and what to try.

    Examples
    --------
    >>> found = compare("tiny", engines=["reference"], batch=4)
    >>> found.exit_code
    0
    """
    lists = {name: options.pop(name, getattr(Options, name)) for name in LISTS}
    several: dict[str, Any] = {
        name: (value,) if isinstance(value, str) else tuple(value)
        for name, value in {"engines": engines, **lists}.items()
    }
    return execute(Options(net, **several, **options), out=out, keep=keep)


def execute(
    options: Options,
    out: str | Path | None = None,
    keep: bool = False,
    started: Callable[[Workload], object] = lambda work: None,
    on_row: Callable[[Row], object] = lambda row: None,
    work: Workload | None = None,
    page: bool = True,
) -> Comparison:
    """Run a comparison, calling ``started(work)`` once and ``on_row(row)`` for each row; Ctrl-C ends it early.

    ``work`` is the Workload of these options, where there is one already; without ``page`` the record gets no report.
    Whatever ends the run, the rows that were finished are in the record.
    """
    times = Times()
    writer = Writer(out) if out is not None else None
    comparison = Comparison([], allow=options.allow, fail_on=options.fail_on, level=options.level)
    arrays: Arrays = {}
    costs: dict[str, list[float]] = {}
    failure: BaseException | None = None
    try:
        with times.part("prepare"):
            work = work or prepare(options)
        on_tensor = _keeper(work, arrays, costs, writer if keep else None)
        work = replace(work, logs=writer is not None, on_tensor=on_tensor, times=times)
        with times.part("prepare"):
            about = describe(options, work) if writer is not None else {}
        if writer is not None:
            writer.begin(about)
        started(work)
        try:
            watch = machine.Watch(work.threads)
            for row in rows(work, options.mode):
                row.command = repetition(asdict(options), row)
                if writer is not None:
                    with times.part("writing"):
                        writer.add(row)
                comparison.table.append(row)
                on_row(row)
        except BaseException as error:
            comparison.status = "interrupted"
            failure = _ending(error, comparison.table)
        problem = writer.problem if writer is not None else ""
        comparison.note = "; ".join(filter(None, (watch.note(), problem)))
        if writer is not None and (comparison.table or failure is None):
            facts: dict[str, Any] = {
                "status": comparison.status,
                "note": comparison.note,
                "sentence": comparison.sentence,
            }
            facts["seconds"], facts["parts"] = times.total(), times.seconds
            about = facts | about | {"totals": total_seconds(comparison.table), "costs": costs}
            about["kernels"] = kernels(work.sessions)
            about["timings"] = {}
            if options.repeat and comparison.status == "complete":
                with times.part("timing"):
                    about["timings"] = timings(options, work)
            with times.part("writing"):
                comparison.record = writer.finish(about, comparison.table, arrays | _arrays(work))
                comparison.earlier = writer.earlier
                comparison.report = report.write(comparison.record) if page else None
    finally:
        if writer is not None:
            writer.discard()
    comparison.parts = times.seconds
    if failure is not None:
        raise failure
    return comparison


def _ending(error: BaseException, rows: Sequence[Row]) -> BaseException | None:
    """What to raise when the rows that were finished are safe, for what ended a run: None for Ctrl-C."""
    if isinstance(error, KeyboardInterrupt):
        return None
    if isinstance(error, MemoryError):
        after = f" after {rows[-1].layer} {rows[-1].step}" if rows else ""
        return TooLarge(f"there was not enough memory{after}", hint="choose a smaller --batch")
    return error


def describe(options: Options, work: Workload) -> dict[str, Any]:
    """Everything about a run that is not a result."""
    network = work.network
    files = [Path(path) for path in (network.definition, network.params, options.weights) if path]
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": asdict(options),
        "network": {
            "name": network.name,
            "parameters": network.parameter_count(),
            "files": [{"name": str(path), "sha256": sha256(path.read_bytes()).hexdigest()} for path in files],
            "layers": described(network.layers),
            "warnings": network.spec.warnings,
        },
        "engines": {engine.name: engine.probe()[1] for engine in work.engines},
        "quirks": {engine.name: switches(engine) | work.settings.get(engine.name, {}) for engine in work.engines},
        "environment": machine.environment(work.threads),
        "inputs": {"kind": work.inputs.kind, "cases": work.batch, "sha256": work.inputs.hashes()},
        "captions": work.inputs.captions[:PICTURES],
    }


def timings(options: Options, work: Workload) -> dict[str, dict[str, dict[str, list[float]]]]:
    """By engine, layer and pass: the seconds of ``options.repeat`` training steps."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    plain = replace(work, logs=False, layers=frozenset())
    for (layer, step, engine), samples in measure(options, options.repeat, work=plain).samples.items():
        found.setdefault(engine, {}).setdefault(layer, {})[step] = samples
    return found


def kernels(sessions: Mapping[str, Session | None]) -> dict[str, dict[str, dict[str, list[str]]]]:
    """Of sessions that record their launches, by engine, layer and pass: the kernels, in order, each once.

    An engine that could not open the network has None for a session.
    """
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for name, session in sessions.items():
        for launch in session.launches() if session else ():
            own = found.setdefault(name, {}).setdefault(launch["layer"], {}).setdefault(launch["pass"], [])
            if launch["kernel"] not in own:
                own.append(launch["kernel"])
    return found


def first_filters(network: Network) -> list[Any]:
    """The convolutions that read colour images from a data layer: their filters can be shown as pictures."""
    layers = network.graph.layers
    return [
        x for x in network.layers if x.type == "conv" and layers[x.inputs[0]].type == "data" and x["channels"][0] == 3
    ]


def _keeper(
    work: Workload, arrays: Arrays, costs: dict[str, list[float]], writer: Writer | None
) -> Callable[[TensorComparison], None]:
    shown = {layer.name for layer in first_filters(work.network)}

    def keep(comparison: TensorComparison) -> None:
        reference: Any = comparison.reference
        if comparison.layer.name in shown and comparison.tensor == "weights_grad[0]":
            arrays.setdefault(f"filters_grad.{comparison.layer.name}", reference)
        if comparison.tensor == "cost":
            costs.setdefault(comparison.layer.name, reference.tolist())
        if writer is not None:
            for whose, found in {"reference": reference, **comparison.found}.items():
                if isinstance(found, np.ndarray):
                    writer.keep(comparison.layer.name, comparison.step, comparison.tensor, whose, found)

    return keep


def _arrays(work: Workload) -> Arrays:
    arrays = {f"filters.{x.name}": work.values[x.name]["weights[0]"] for x in first_filters(work.network)}
    for (layer, step, k), drawn in work.tape.masks.items():
        arrays[f"mask.{layer}.{step}.{k}"] = np.packbits(drawn, axis=1) if drawn.dtype == bool else drawn
    if work.inputs.pictures is not None:
        arrays["pictures"] = work.inputs.pictures[:PICTURES]
    return arrays
