"""A training: the loop of 2012 over one or more engines that see the same batches (data-checkpoints-tools 4).

Data batches come in ascending order, epoch after epoch; each is cut into minibatches in its own order. The share of the
training that is done, on which learning rates depend, is constant during a data batch. Every so many data batches the
networks are tested and stored. Several engines take each minibatch in turn, from the same weights.
"""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from math import isqrt
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .. import engines, files, machine
from ..data import Batch, DataSet, checkpoints, open_data, views
from ..data.historical import Checkpoint
from ..errors import BadInput, RosettaError, writing
from ..network.load import Network, load, texts
from ..running.memory import check_memory, memory_needed
from ..running.prepare import require_kinds
from ..values import parameters
from ..values.noise import generator
from ..values.parameters import Values
from .learner import Learner, feeds, initial
from .log import Log, read

BOTH = ("legacy-cpu", "port")
SETTINGS = "run.json"


class Diverged(RosettaError):
    """A cost that is no number any more."""

    exit_code = 1


@dataclass(frozen=True)
class Settings:
    """What a training is asked for; the fields are the options of ``rosetta train``."""

    # net, params, batch, update_every, seed, threads: as in `running.prepare.Options`
    net: str
    data: str = "photos"  # what `data.open_data` takes
    params: str | None = None
    engine: str = "port"  # the name of an engine, or ``both``
    epochs: int = 10  # how often all data batches are seen; not used with ``updates``
    updates: int | None = None  # end after that many updates of the weights
    batch: int = 128
    # train_range, test_range: ``A-B`` or one number: data batches; None: those that the data set means for it
    train_range: str | None = None
    test_range: str | None = None
    test_freq: int | None = None  # data batches between tests; None: an epoch
    update_every: int = 1
    mirror: bool = False  # turn pictures left and right in one of two cases
    colour_noise: float = 0.0  # strength of the colour noise of 2012
    seed: int = 0
    threads: int | None = None
    keep: int = 3  # checkpoints of each engine that are kept

    def __post_init__(self) -> None:
        require_kinds(self)
        for name in ("epochs", "updates", "batch", "test_freq", "update_every", "keep"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise BadInput(f"a training has no {name} of {number}", expected="1 or more")
        if self.seed < 0 or not 0 <= self.colour_noise <= 10:
            raise BadInput("a training has no such seed, or colour noise", expected="0 or more; 0 to 10")


@dataclass
class State:
    """Where a training is: so many minibatches into a data batch."""

    # epoch, batch: epoch, from 1, and number of the data batch
    epoch: int
    batch: int
    # mini, step: minibatches of this data batch, and of the whole training, that are done
    mini: int = 0
    step: int = 0
    # by engine and cost: the numbers of this data batch so far, sums over the cases
    sums: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # by engine, for them


class Training:
    """A training that runs.

    `folder` takes settings, log and checkpoints; an earlier training there is renamed by its date. `resume`: go on from
    the newest checkpoint in the folder that all engines have, or begin anew where there is none yet. `stop` is set from
    outside: store a checkpoint after this minibatch and end. `on_step` is called after every minibatch. `notes` say
    what became of an earlier training, and what is asked otherwise in a training that goes on.

    Raises BadInput or port.config.ConfigError: something does not fit; nothing was written.
    """

    def __init__(self, settings: Settings, folder: str | Path, resume: bool = False) -> None:
        self.settings, self.folder, self.stop, self.on_step = settings, Path(folder), False, lambda: None
        self.notes: list[str] = []
        self.engines = BOTH if settings.engine == "both" else (settings.engine,)
        chosen = engines.available(self.engines)
        stored = self._newest() if resume else None
        self.data, self.network = open_data(settings.data), network_of(settings, stored)
        self.texts = stored[0].about["network"] if stored else texts(self.network)
        self.train_range = parsed(settings.train_range, self.data.train, self.data, "--train-range")
        self.test_range = parsed(settings.test_range, self.data.test, self.data, "--test-range")
        self.size = fitting(self.network, self.data)
        self.threads = machine.threads(settings.threads)
        check_memory(self.network, settings.batch, memory_needed(self.network, settings.batch, self.engines, "alone"))
        if stored:
            self.state, values = self._restored(stored)
        else:
            self.state = State(1, self.train_range[0])
            values = dict.fromkeys(self.engines, initial(self.network, settings.seed))
        self.learners = [
            Learner(self.network, engine, self.threads, settings.seed, values[name])
            for name, engine in zip(self.engines, chosen, strict=True)
        ]
        self._begin(resume)

    @property
    def title(self) -> str:
        """Network, data and engines in words."""
        return f"{self.network.name} on {self.settings.data}: {' and '.join(self.engines)}"

    @property
    def steps(self) -> int | None:
        """Minibatches of the whole training; None if nobody said how many."""
        return self.settings.updates and self.settings.updates * self.settings.update_every

    @property
    def batches_done(self) -> int:
        """Whole data batches that are behind the state."""
        return len(self.train_range) * (self.state.epoch - 1) + self.train_range.index(self.state.batch)

    @property
    def progress(self) -> float:
        """The share of the training that is done, for the learning rates: constant during a data batch (4)."""
        if self.steps:
            return min(1.0, (self.state.step - self.state.mini) / self.steps)
        return min(1.0, self.batches_done / (self.settings.epochs * len(self.train_range)))

    @property
    def share(self) -> float:
        """The share of the minibatches that is done, about: data batches need not be of one size."""
        if self.steps:
            return min(1.0, self.state.step / self.steps)
        passed = self.batches_done or 1
        per_batch = (self.state.step - self.state.mini) / passed if self.batches_done else 0
        part = self.state.mini / per_batch if per_batch else 0
        return min(1.0, (self.batches_done + min(part, 1)) / (self.settings.epochs * len(self.train_range)))

    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.state.step >= self.steps if self.steps else self.state.epoch > self.settings.epochs

    def events(self) -> Iterator[dict[str, Any]]:
        """Train; yields what happened: a dict for every data batch, test and set of checkpoints.

        Raises Diverged: a cost is infinite or no number, no checkpoint of that is stored; BadInput: a batch cannot be
        read, a checkpoint not be written.
        """
        saved = self.state.step
        with threadpool_limits(self.threads), ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._read, self.state.epoch, self.state.batch)
            while not self.stop and not self.finished():
                batch = coming.result()
                coming = ahead.submit(self._read, *self._after())
                self._minibatches(batch)
                if self.state.mini * self.settings.batch >= batch.labels.shape[1]:
                    yield from self._batch_done(batch.labels.shape[1])
                    if self.batches_done % (self.settings.test_freq or len(self.train_range)) == 0:
                        coming.result()  # a DataSet reads one batch at a time
                        saved = self.state.step
                        yield from self._test_and_save()
            coming.result()
            if self.stop:
                yield self._save()
            elif saved != self.state.step:
                yield from self._test_and_save()

    def _read(self, epoch: int, number: int) -> Batch:
        """A data batch as the networks see it in training."""
        settings, random = self.settings, generator(self.settings.seed, "views", epoch, number)
        return views.for_training(self.data, self.data.read(number), random, self.size, mirror=settings.mirror,
                           colour_noise=settings.colour_noise)  # fmt: skip

    def _after(self) -> tuple[int, int]:
        """(epoch, number) of the data batch after this one."""
        place = self.train_range.index(self.state.batch) + 1
        last = place == len(self.train_range)
        return self.state.epoch + last, self.train_range[0 if last else place]

    def _minibatches(self, batch: Batch) -> None:
        """Run the minibatches of a data batch that are left, until the end of the training or a request to stop."""
        state, size, progress = self.state, self.settings.batch, self.progress
        every = self.settings.update_every
        if -(-batch.labels.shape[1] // size) % every:
            raise BadInput(f"{self.data.source}, batch {state.batch}: no whole number of updates, and so no checkpoint",
                           expected=f"a multiple of {every} minibatches of {size} cases",
                           actual=f"{batch.labels.shape[1]} cases", hint="--batch, --update-every")  # fmt: skip
        for first in range(state.mini * size, batch.labels.shape[1], size):
            part = slice(first, first + size)
            for learner in self.learners:
                before = learner.seconds
                numbers = learner.train(batch.data[:, part], batch.labels[:, part], state.step, progress)
                self._add(learner, numbers, learner.seconds - before)
            state.mini += 1
            state.step += 1
            self.on_step()
            if (self.stop and state.step % every == 0) or self.finished():
                return

    def _add(self, learner: Learner, numbers: dict[str, np.ndarray], seconds: float) -> None:
        """Add what a minibatch cost to the sums of its data batch."""
        state, sums = self.state, self.state.sums.setdefault(learner.name, {})
        for cost, values in numbers.items():
            if not np.isfinite(values).all():
                raise Diverged(f"{learner.name}: the cost {cost!r} is no number any more in epoch {state.epoch}, batch "
                               f"{state.batch}", hint="lower the learning rates")  # fmt: skip
            sums[cost] = [a + float(b) for a, b in zip(sums.get(cost, [0.0] * len(values)), values, strict=True)]
        state.seconds[learner.name] = state.seconds.get(learner.name, 0.0) + seconds

    def _batch_done(self, cases: int) -> Iterator[dict[str, Any]]:
        """Yield what a whole data batch cost each engine, and go on to the next one."""
        state, progress, after = self.state, self.progress, self._after()
        for learner in self.learners:
            seconds = state.seconds[learner.name]
            yield self._event("train", learner, state.sums[learner.name], cases, progress=progress, seconds=seconds)
        self.state = State(*after, step=state.step)

    def _event(self, kind: str, learner: Learner, sums: dict[str, Any], cases: int, **more: Any) -> dict[str, Any]:
        """Log what a data batch or a test cost per case; gives the event."""
        epoch, batch = self._last()
        per_case = {cost: [float(value) / cases for value in values] for cost, values in sums.items()}
        event = {"kind": kind, "engine": learner.name, "epoch": epoch, "batch": batch, "step": self.state.step}
        event |= {"cases": cases, "costs": per_case, **more}
        self.log.add(event)
        return event

    def _test_and_save(self) -> Iterator[dict[str, Any]]:
        for learner in self.learners:
            begin = perf_counter()
            sums, cases, _ = measured(learner, self.data, self.test_range, self.settings.batch)
            seconds = perf_counter() - begin
            yield self._event("test", learner, sums, cases, seconds=seconds, smooth=learner.smoothness())
        yield self._save()

    def _last(self) -> tuple[int, int]:
        """(epoch, number) of the data batch that was trained last, perhaps not to its end."""
        state, numbers = self.state, self.train_range
        place = numbers.index(state.batch)
        if state.mini:
            return state.epoch, state.batch
        return (state.epoch, numbers[place - 1]) if place else (state.epoch - 1, numbers[-1])

    def _begin(self, resume: bool) -> None:
        """Make the folder, with settings and log."""
        settings, events = self.folder / SETTINGS, read(self.folder, self.state.step) if resume else ()
        with writing(self.folder, "--out takes a folder"):
            if resume and settings.exists():
                now, before = asdict(self.settings), asdict(settings_of(self.folder))
                changed = (f"{name} is {now[name]} from here on, and was {before[name]}" for name in now
                           if name not in ("threads", "keep") and now[name] != before[name])  # fmt: skip
                self.notes += changed
            elif settings.exists():
                when = datetime.fromtimestamp(settings.stat().st_mtime)
                earlier = self.folder.rename(self.folder.with_name(f"{self.folder.name}.{when:%Y%m%d-%H%M%S}"))
                self.notes.append(f"the earlier training of that name is now {earlier}")
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write(settings, json.dumps(asdict(self.settings), indent=1).encode())
            self.log = Log(self.folder, events)

    def _save(self) -> dict[str, Any]:
        """Store a checkpoint of every engine, then delete the oldest ones; gives the event."""
        name = "{}.{}".format(*self._last())
        for learner in self.learners:
            about = {
                "engine": learner.name,
                "state": asdict(self.state),
                "settings": asdict(self.settings),
                "network": self.texts,
                "data": {"shape": self.data.shape, "label_names": self.data.label_names},
                "log": [event for event in self.log.events if event["engine"] == learner.name],
            }
            checkpoints.save(self.folder / learner.name / name, learner.values(), self.data.mean, about)
        for learner in self.learners:
            for old in checkpoints.names(self.folder / learner.name)[: -self.settings.keep]:
                old.unlink(missing_ok=True)
        return {"kind": "saved", "name": name, "step": self.state.step}

    def _newest(self) -> list[Checkpoint] | None:
        """The newest checkpoint of every engine, of those that all engines have: list of Checkpoint.

        None if the training was ended before all engines had stored their first one.
        """
        common = set.intersection(*({path.name for path in checkpoints.names(self.folder / name)}
                                    for name in self.engines))  # fmt: skip
        if not common:
            if sum(len(checkpoints.names(engine)) for engine in self.folder.glob("*/")) < len(self.engines):
                return None
            raise BadInput(
                f"{self.folder} has no checkpoint of {' and '.join(self.engines)}", hint="leave --resume out"
            )
        newest = max(common, key=checkpoints.place)
        found = [checkpoints.load(self.folder / name / newest) for name in self.engines]
        for checkpoint in found:
            if not checkpoint.about:
                raise BadInput(f"{checkpoint.path} is of no training", hint="delete it to take an older one")
        return found

    def _restored(self, stored: list[Checkpoint]) -> tuple[State, dict[str, Values]]:
        """(state, values by engine) of the checkpoints to go on from."""
        states = [checkpoint.about["state"] for checkpoint in stored]
        try:
            state = State(**states[0])
            fits = state.batch in self.train_range and min(state.epoch, state.mini + 1, state.step + 1) > 0
        except TypeError:
            fits = False
        if not fits or any(each["step"] != state.step for each in states):
            raise BadInput(
                f"{stored[0].path}: no state of this training to go on from", hint="delete it to take an older one"
            )
        return state, {name: each.values_for(self.network) for name, each in zip(self.engines, stored, strict=True)}


def settings_of(folder: str | Path, **changed: Any) -> Settings:
    """The settings of an earlier training, with what is given anew: `changed` without None.

    Raises BadInput: there is none, or it cannot be read.
    """
    path = Path(folder, SETTINGS)
    try:
        found = Settings(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        what = error if isinstance(error, BadInput) else f"no readable {path.name}"
        raise BadInput(f"{folder} holds no training: {what}", hint="--resume takes the folder of one") from error
    return replace(found, **{name: value for name, value in changed.items() if value is not None})


def network_of(settings: Settings, stored: list[Checkpoint] | None = None) -> Network:
    """The network of a training: of its files, or as it is in checkpoints; BadInput if it cannot learn."""
    network = stored[0].network() if stored else load(settings.net, settings.params)
    parameters.require_none_from_checkpoint(network)
    if not network.spec.has_params:
        raise BadInput(f"{network.definition}: learning rates are missing", hint="--params takes the parameter file")
    return replace(network, update_every=settings.update_every, minibatch=settings.batch)


def measured(
    learner: Learner, data: DataSet, numbers: Iterable[int], batch: int, count: int = 1
) -> tuple[dict[str, np.ndarray], int, np.ndarray | None]:
    """Test on data batches, with 1, 9 or 10 views of a case; `batch` is the cases of a minibatch.

    The result is the sums of every cost over the cases; the number of cases; and the confusion, (classes, classes):
    cases by their class (rows) and by the best answer (columns), None without a softmax.
    """
    sums: dict[str, Any] = {}
    cases, confusion = 0, None
    for _, _, probabilities, costs, labels in answers(learner, data, numbers, batch, count):
        cases += labels.shape[1]
        for cost, values in costs.items():
            sums[cost] = sums.get(cost, 0.0) + values
        if probabilities is not None:
            confusion = np.zeros((len(probabilities),) * 2, int) if confusion is None else confusion
            np.add.at(confusion, (labels[0].astype(int), probabilities.argmax(axis=0)), 1)
    return sums, cases, confusion


def answers(
    learner: Learner, data: DataSet, numbers: Iterable[int], batch: int, count: int = 1
) -> Iterator[tuple[int, int, np.ndarray | None, dict[str, np.ndarray], np.ndarray]]:
    """Yield what a network says of data batches, minibatch by minibatch; parameters as `measured`.

    That is the data batch, and the first case of the minibatch in it; the probabilities, float32 (classes, N), the mean
    over the views, or None; the sums of the costs over the cases; the labels, (1, N).
    """
    size = fitting(learner.network, data)
    for number in numbers:
        whole = data.read(number)
        for first in range(0, whole.labels.shape[1], batch):
            part = replace(
                whole, pixels=whole.pixels[:, first : first + batch], labels=whole.labels[:, first : first + batch]
            )
            seen = views.for_test(data, part, size, count).data
            costs, probabilities = learner.test(np.split(seen, count, axis=1), part.labels)
            yield number, first, probabilities, costs, part.labels


def parsed(text: str | None, default: Iterable[int], data: DataSet, option: str) -> tuple[int, ...]:
    """The numbers of a range ``A-B`` or of one number; ``default`` if there is no text."""
    if text is None:
        return tuple(default)
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()) or len(text) > 20:
        raise BadInput(f"{option} takes a range", expected="A-B or one number", actual=repr(text)[:40])
    wanted = range(int(first), int(last or first) + 1)
    found = tuple(number for number in data.batches if number in wanted)
    if not wanted or len(found) < len(wanted):
        raise BadInput(f"{option}: {data.source} has no such batches", actual=text,
                       expected=f"numbers from {data.batches[0]} to {data.batches[-1]}",
                       hint="'rosetta data info' says which there are")  # fmt: skip
    return found


def fitting(network: Network, data: DataSet) -> int:
    """The side of the pictures that a network wants from a data set.

    Raises BadInput: the network wants other channels, larger pictures, or has too few classes.
    """
    layer, _ = feeds(network)
    channels, stored, _ = data.shape
    side = isqrt(layer.outputs // channels)
    if channels * side * side != layer.outputs or not 0 < side <= stored:
        raise BadInput(f"{data.source} does not fit {network.definition}",
                       expected=f"dims={layer.outputs} in the layer {layer.name}",
                       actual=f"pictures of {' x '.join(map(str, data.shape))}",
                       hint="--data photos, fashion, or a folder")  # fmt: skip
    if data.classes > (network.classes() or data.classes):
        raise BadInput(f"{data.source} has more classes than {network.definition}", actual=data.classes,
                       expected=f"at most {network.classes()}")  # fmt: skip
    return side
