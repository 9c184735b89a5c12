"""The rows of a comparison: one tensor of one layer and pass, with what was found about each engine."""

from dataclasses import asdict, dataclass, field

from .verdicts import Finding, Worst


@dataclass
class Row:
    """One tensor.

    Attributes
    ----------
    layer, type, step, tensor : str
        ``step`` is the pass: forward, backward or update.
    shape : tuple of int
    findings : dict of str to Finding
        By engine.
    bitwise : dict of str to int
        For each pair of engines, ``a = b``: how many elements differ in their bits.
    seconds : dict of str to float
        By engine, wall seconds of the whole step of the layer; empty where the row has no step of its own.
    mode : str
        ``isolated`` or ``propagated``.
    distances : dict of str to dict
        In propagated mode, by engine: relative error ``norm`` and ``largest`` error.
    origin : dict of str to str
        In propagated mode, by engine: ``local`` or ``inherited`` for a difference.
    """

    layer: str
    type: str
    step: str
    tensor: str
    shape: tuple
    findings: dict
    bitwise: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    mode: str = "isolated"
    distances: dict = field(default_factory=dict)
    origin: dict = field(default_factory=dict)

    def to_dict(self):
        """A plain dictionary, as it stands in a record."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values):
        """The row of a plain dictionary."""
        findings = {name: _finding(found) for name, found in values["findings"].items()}
        return cls(**values | {"findings": findings, "shape": tuple(values["shape"])})

    @classmethod
    def of(cls, stream, seconds):
        """The row of a finished `stream.TensorStream`."""
        layer = stream.layer
        return cls(
            layer.name,
            layer.type,
            stream.step,
            stream.tensor,
            stream.shape,
            stream.findings(),
            stream.bitwise(),
            seconds,
            distances=stream.distances(),
        )

    def counted(self):
        """The findings that decide about the run: all but inherited differences."""
        return {name: found for name, found in self.findings.items() if self.origin.get(name) != "inherited"}

    def name(self, engine):
        """What a sentence calls this tensor of an engine."""
        return f"{engine} {self.layer} {self.step} {self.tensor}"


def decisive(rows):
    """(name, Finding) of every finding that decides about the run, as `verdicts.summarise` takes them."""
    return [(row.name(engine), found) for row in rows for engine, found in row.counted().items()]


def _finding(values):
    worst = values["worst"] and Worst(**values["worst"] | {"index": tuple(values["worst"]["index"])})
    return Finding(**values | {"worst": worst, "histogram": tuple(values["histogram"])})
