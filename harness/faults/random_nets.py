"""Random small networks that every engine can run: valid layer files over all layer types, drawn from a seed.

A network grows layer by layer; a layer reads tensors that nobody has read yet, or, less often, any tensor there is, so
that some have several readers. Filters come in 16s per group and channels in 4s, because the historical kernels need
that. What nobody has read in the end goes into the last full connection, below a softmax and its cost.
"""

from dataclasses import dataclass

from ..draws import generator

NEURONS = (
    "relu", "relu", "abs", "logistic", "softrelu", "square", "ident", "tanh[1.5,0.5]", "linear[0.7,-0.3]",
    "brelu[0.8]", "drelu[0.6]",
)  # fmt: skip
POSITIVE = ("logistic", "softrelu")
SCHEDULES = (
    "linear[tgtFactor=10,noiseStdev=0]", "exp[tgtFactor=100,noiseStdev=0]",
    "dexp[tgtFactor=100,noiseStdev=0,numSteps=1]", "jdexp[tgtFactor=10,noiseStdev=0,numSteps=4]",
)  # fmt: skip
LARGEST_SIDE = 11
MOST_CHANNELS = 64
CLASSES = (2, 5, 10, 17)


@dataclass(eq=False)
class Tensor:
    """What a layer puts out: images of ``channels`` maps and side ``size``, or units, which have the size 1."""

    name: str
    channels: int
    size: int = 1
    image: bool = True
    positive: bool = False
    read: bool = False

    @property
    def units(self):
        """Values per case."""
        return self.channels * self.size**2

    @property
    def shape(self):
        """Channels, side, and whether they are images."""
        return self.channels, self.size, self.image


@dataclass(frozen=True)
class RandomNet:
    """A network: its layer-definition and layer-parameter file in one text, and a number of cases."""

    text: str
    batch: int


def random_net(seed):
    """The RandomNet of a seed."""
    random = generator(seed, "random network")
    return RandomNet(_Builder(random).network(), int(random.choice((1, 2, 3, 5, 7, 9, 12, 31, 33))))


class _Builder:
    def __init__(self, random):
        self.random = random
        self.sections, self.tensors = [], []

    def network(self):
        """The text of a whole network."""
        self._data()
        kinds = (self._conv,) * 4 + (self._pool,) * 3 + (self._norm, self._join, self._fc, self._dropout, self._neuron)
        self._conv()
        for _ in range(self._integer(2, 7)):
            self._pick(kinds)()
        self._heads()
        return "\n".join(self.sections)

    # Draws

    def _integer(self, low, high):
        """From low to high, both included."""
        return int(self.random.integers(low, high, endpoint=True))

    def _chance(self, share):
        return self.random.random() < share

    def _pick(self, options):
        return options[self._integer(0, len(options) - 1)]

    def _tensor(self, suits):
        """A tensor that suits; rather one that nobody has read; None if there is none."""
        suitable = [tensor for tensor in self.tensors if suits(tensor)]
        unread = [tensor for tensor in suitable if not tensor.read]
        return self._pick(unread if unread and self._chance(0.75) else suitable) if suitable else None

    # Sections

    def _section(self, kind, inputs, **keys):
        """Write a section; the name of its layer."""
        name = f"{kind.removeprefix('cost.')}{len(self.sections)}"
        sources = {"inputs": _listed(inputs)} if inputs else {}
        lines = [f"{key}={value}" for key, value in {"type": kind, **sources, **keys}.items()]
        self.sections.append("\n".join([f"[{name}]", *lines, ""]))
        return name

    def _add(self, kind, inputs, shape, attach=True, **keys):
        """Write a section, sometimes with a neuron of its own; what it puts out has the given shape."""
        neuron = keys.get("neuron")
        if attach and self._chance(0.35):
            neuron = keys["neuron"] = self._pick(NEURONS)
        name = self._section(kind, [tensor.name for tensor in inputs], **keys)
        for tensor in inputs:
            tensor.read = True
        found = Tensor(name, *shape, positive=neuron in POSITIVE)
        self.tensors.append(found)
        return found

    def _data(self):
        channels, size = self._pick((1, 2, 3, 3, 4, 8)), self._integer(4, LARGEST_SIDE)
        self._add("data", [], (channels, size, True), attach=False, dataIdx=0, dims=channels * size**2)
        self.labels = self._section("data", [], dataIdx=1, dims=1)

    def _learning(self, fan_in):
        """Keys of a layer with weights, with one entry per input for those that have one."""
        count = len(fan_in)
        keys = {
            "initW": _listed(round(self.random.uniform(0.5, 1.5) * rows**-0.5, 4) for rows in fan_in),
            "initB": self._pick((0, 0.1, 1)),
            "epsW": _listed(self._pick((0, 0.01, 0.05)) if self._chance(0.3) else 0.02 for _ in range(count)),
            "epsB": self._pick((0, 0.02, 0.1)),
            "momW": _listed(self._pick((0, 0.5, 0.9)) for _ in range(count)),
            "momB": self._pick((0, 0.5, 0.9)),
            "wc": _listed(self._pick((0, 0.0005, 0.01)) for _ in range(count)),
        }
        for key in ("schedW", "schedB"):
            if self._chance(0.2):
                keys[key] = self._pick(SCHEDULES)
        return keys

    def _conv(self):
        first = self._tensor(lambda tensor: tensor.image and _fits(tensor))
        if first is None:
            return
        inputs = [first]
        if self._chance(0.3):
            inputs.append(self._tensor(lambda tensor: tensor.image and tensor.size == first.size and _fits(tensor)))
        size = self._integer(1, min(5, first.size + 2))
        padding = self._integer(max(0, -((first.size - size) // 2)), size - 1) if size > 1 else 0
        stride = self._integer(1, min(3, size))
        groups = [self._groups(tensor) for tensor in inputs]
        total = 16 * max(groups) * (1 if max(groups) > 1 else self._integer(1, 2))
        shapes = [(size, padding), *(self._same_modules(size, padding, stride) for _ in inputs[1:])]
        side = 1 - (shapes[0][0] - first.size - 2 * padding) // stride
        if side > LARGEST_SIDE:
            return
        fan_in = [tensor.channels // g * s**2 for tensor, g, (s, _) in zip(inputs, groups, shapes, strict=True)]
        self._add(
            "conv", inputs, (total, side, True),
            channels=_listed(tensor.channels for tensor in inputs),
            filters=_listed(total // g for g in groups),
            groups=_listed(groups),
            filterSize=_listed(s for s, _ in shapes),
            padding=_listed(p for _, p in shapes),
            stride=_listed(stride for _ in inputs),
            sharedBiases=int(self._chance(0.7)),
            partialSum=self._pick([0, *(part for part in range(1, side**2 + 1) if side**2 % part == 0)]),
            **self._learning(fan_in),
        )  # fmt: skip

    def _groups(self, tensor):
        return self._pick([g for g in (1, 1, 2, 4) if g == 1 or tensor.channels % (4 * g) == 0])

    def _same_modules(self, size, padding, stride):
        """Another filter that gives as many modules, one pixel shorter on every side; or the same."""
        shorter = size - 2 >= stride and padding > 0 and self._chance(0.5)
        return (size - 2, padding - 1) if shorter else (size, padding)

    def _fc(self, outputs=None):
        inputs = list(dict.fromkeys(self._tensor(lambda tensor: True) for _ in range(self._integer(1, 2))))
        outputs = outputs or self._integer(4, 24)
        fan_in = [tensor.units for tensor in inputs]
        self._add("fc", inputs, (outputs, 1, False), outputs=outputs, **self._learning(fan_in))

    def _pool(self):
        source = self._tensor(lambda tensor: tensor.image and tensor.channels % 16 == 0 and tensor.size > 1)
        if source is None:
            return
        size = self._integer(2, min(4, source.size))
        stride, start = self._integer(1, size), -self._integer(0, size - 1) if self._chance(0.3) else 0
        outputs = 1 - (size - source.size + start) // stride
        if start + stride * (outputs - 1) >= source.size:
            return
        self._add(
            "pool", [source], (source.channels, outputs, True),
            pool=self._pick(("max", "avg")), channels=source.channels, sizeX=size, stride=stride, start=start,
        )  # fmt: skip

    def _norm(self):
        source = self._tensor(lambda tensor: tensor.image and tensor.channels % 16 == 0)
        if source is None:
            return
        self._add(
            "cmrnorm", [source], source.shape, channels=source.channels,
            size=self._integer(2, 9), blocked=int(self._chance(0.3)), scale=self._pick((0.0001, 0.1, 1, 5)),
            pow=self._pick((0.5, 0.75, 1)), minDiv=self._pick((1, 2)),
        )  # fmt: skip

    def _neuron(self):
        source = self._tensor(lambda tensor: True)
        kind = "sqrt" if source.positive else self._pick(NEURONS)
        self._add("neuron", [source], source.shape, attach=False, neuron=kind)

    def _dropout(self):
        source = self._tensor(lambda tensor: True)
        self._add(
            "hs", [source], source.shape, keep=self._pick((0.5, 0.3, 0.75)), enable=int(self._chance(0.85)),
        )  # fmt: skip

    def _join(self):
        """eltsum, eltmax or concat; elementwise ones may take the same input twice."""
        first = self._tensor(lambda tensor: True)
        kind = self._pick(("eltsum", "eltmax", "concat"))
        if kind == "concat":
            others = [tensor for tensor in self.tensors if tensor.image == first.image and tensor.size == first.size]
            inputs = [first, self._pick(others)]
            channels = sum(tensor.channels for tensor in inputs)
            if channels <= MOST_CHANNELS or not first.image:
                self._add(kind, inputs, (channels, first.size, first.image))
            return
        others = [tensor for tensor in self.tensors if tensor.units == first.units]
        inputs = [first, *(self._pick(others) for _ in range(self._integer(1, 2)))]
        coeffs = {"coeffs": _listed(self._pick((1, -0.5, 0.3, 2)) for _ in inputs)} if kind == "eltsum" else {}
        self._add(kind, inputs, first.shape, **coeffs)

    # Ends

    def _heads(self):
        """The last full connection over all that nobody has read, softmax and cost; sometimes a second pair above."""
        classes = self._pick(CLASSES)
        unread = [tensor for tensor in self.tensors if not tensor.read]
        while True:
            keys = self._learning([tensor.units for tensor in unread])
            keys["epsB"] = 0.02
            top = self._add("fc", unread, (classes, 1, False), attach=False, outputs=classes, **keys)
            probs = self._add("softmax", [top], (classes, 1, False), attach=False)
            costs = {"coeff": self._pick((1, 0.5)), "topk": self._integer(1, min(5, classes))}
            self._section("cost.logreg", [self.labels, probs.name], **costs)
            if self._chance(0.75):
                return
            unread = [probs]


def _fits(tensor):
    return tensor.channels <= 3 or tensor.channels % 4 == 0


def _listed(values):
    return ",".join(map(str, values))
