"""The keys of a layer section as data (`Key`), and a layer while its section is being parsed (`Draft`)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from . import grammar
from .ini import ConfigError, Section

REQUIRED = object()
MAX_ELEMENTS = 2**31
NEAR = 0.85
"""How alike a key that is missing and one that stands there must be to be taken for a slip; initW and initB are not."""


@dataclass(frozen=True)
class Key:
    """One row of the tables in the config-format specification."""

    name: str  # the option
    read: Callable[[str], Any]  # turns text into the value; raises a ValueError that names the expected form
    default: Any = REQUIRED  # value when the option is absent; REQUIRED if there is none
    each: bool = False  # the value is a list with one entry per input; a single entry stands for all of them
    # low, high: inclusive range
    low: float | None = None
    high: float | None = None
    one_of: tuple[Any, ...] = ()  # the values allowed


def integer(name: str, default: Any = REQUIRED, **row: Any) -> Key:
    """Row for an ``int`` or, with ``each``, an ``int[]``."""
    return Key(name, grammar.read_int, default, **row)


def number(name: str, default: Any = REQUIRED, **row: Any) -> Key:
    """Row for a ``float`` or, with ``each``, a ``float[]``."""
    return Key(name, grammar.read_float, default, **row)


def flag(name: str, default: Any = REQUIRED, **row: Any) -> Key:
    """Row for a ``bool`` or, with ``each``, a ``bool[]``."""
    return Key(name, grammar.read_listed_bool if row.get("each") else grammar.read_bool, default, **row)


def text(name: str, default: Any = REQUIRED, read: Callable[[str], Any] = grammar.read_str, **row: Any) -> Key:
    """Row for a ``str`` or a value with a grammar of its own."""
    return Key(name, read, default, **row)


@dataclass(frozen=True)
class Tree:
    """The class tree that a treefc layer needs: ``children[node]`` for every node, leaves first, and the root."""

    children: tuple[tuple[int, ...], ...]
    root: int


TOLERANCES = {
    "device": "gpu is missing or inherited from a data layer: device 0 (18, rule 3)",
    "replicas": "gpu is a list, of replicas: one of them computes the same (16.3; network-and-solver 11.4)",
    "oldest norm": "sizeX, or scale and pow, in the definition of a norm layer (16.1)",
    "schedule": "the arguments of a schedule are given by position (9.2)",
    "rates of 2014": "epsW or epsB is a schedule; wball is then not multiplied by the weights per filter (9.4, 16.3)",
    "broadcast": "one entry stands for all inputs (18, rule 6)",
    "kernel limit": "a size that only the kernels of the time could not take (18, rule 7)",
    "neuron": "a number in a neuron is written with an exponent or a plus sign (8)",
    "partialSum": "partialSum is missing: it only orders sums (6)",
    "tgtSize": "tgtSize is missing, as in files of 2011 (6)",
    "coeffs": "coeffs of an eltsum layer in the parameter file, as in files of 2014 (6)",
    "tree": "the class tree is written into the layer, not the data set's",
}
"""The rules, by name, under which files are accepted that the parser of 2012 refused (sections of config-format)."""


@dataclass(frozen=True)
class Tolerance:
    """One place where a file was accepted under a rule of `TOLERANCES`: rule, layer, key, value as far as known."""

    rule: str
    layer: str
    key: str
    value: Any = None

    @property
    def meaning(self) -> str:
        """The rule in words."""
        return TOLERANCES[self.rule]


@dataclass(frozen=True)
class DataFacts:
    """Facts of the data set: dimension by data index, number of classes, class tree."""

    dims: dict[int, int]
    num_classes: int | None = None
    tree: Tree | None = None


SIZES = (
    "channels",
    "filterSize",
    "padding",
    "stride",
    "sizeX",
    "size",
    "start",
    "setSize",
    "topk",
    "tgtSize",
    "inputs",
)
"""Keys whose values can conflict with an assumed size although they are right."""


@dataclass
class Draft:
    """A layer while it is being parsed; `values` becomes the mapping of the LayerSpec.

    `assumed` is true if the file does not give the size of the layer, or of a layer below. `defaults` has values for
    required keys that are absent.
    """

    section: Section
    facts: DataFacts
    warnings: list[str]
    tolerances: list[Tolerance]
    name: str = ""
    type: str = ""
    inputs: list["Draft"] = field(default_factory=list)
    earlier: dict[str, "Draft"] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    params: Section | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    tree: Tree | None = None
    weights_below: bool = False
    assumed: bool = False

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def lines(self) -> dict[str, int]:
        """Line of every option given for the layer: {key: line}."""
        sections = [part for part in (self.section, self.params) if part is not None]
        return {key: option.line for part in sections for key, option in part.options.items()}

    def home(self, key: str | None = None) -> Section:
        """The section that a message about `key` points to: the parameter section if that has the key."""
        if key is not None and self.params is not None and key.lower() in self.params.options:
            return self.params
        return self.section

    def error(self, what: str, key: str | None = None, **facts: Any) -> ConfigError:
        """A ConfigError about this layer."""
        return self.home(key).error(what, key, **facts)

    def warn(self, what: str, key: str | None = None, **facts: Any) -> None:
        """Record a warning, worded and placed like an error."""
        self.warnings.append(str(self.error(what, key, **facts)))

    def check(self, right: bool, what: str, key: str | None = None, **facts: Any) -> None:
        """Raise unless `right`."""
        if not right:
            if self.assumed and key in SIZES:
                facts = {"hint": "a data section has no dims=, so 150528 values per case were assumed"} | facts
            raise self.error(what, key, **facts)

    def advise(self, right: bool, what: str, key: str | None = None, **facts: Any) -> None:
        """Warn unless `right`."""
        if not right:
            self.warn(what, key, **facts)

    def tolerate(self, rule: str, key: str, value: object = None) -> None:
        """Record that a value of this layer is accepted under a rule of `TOLERANCES`."""
        self.tolerances.append(Tolerance(rule, self.name, key, value))

    def kernel_limit(self, right: bool, key: str, expected: object, actual: object) -> None:
        """Warn unless `right`: the historical kernels refuse such sizes, although the formulas allow them."""
        self.advise(right, "the historical kernels do not take this", key, expected=expected, actual=actual)
        if not right:
            self.tolerate("kernel limit", key, actual)

    def read(self, keys: Iterable[Key], section: Section) -> None:
        """Read the options of a key table from `section` into `values`."""
        for key in keys:
            self.values[key.name] = self.value(key, section)

    def value(self, key: Key, section: Section) -> Any:
        """The value of one key in `section`, or its default."""
        option = section.find(key.name)
        count = len(self.inputs)
        if option is None:
            default = self.defaults.get(key.name, key.default)
            if default is REQUIRED:
                near = get_close_matches(key.name.lower(), section.options, 1, NEAR)
                hint = f"was {near[0]}, in line {section.options[near[0]].line}, meant?" if near else None
                expected = f"a line {key.name}=... in this section"
                raise section.error("is missing", key.name, expected=expected, hint=hint)
            return (default,) * count if key.each else default
        if not key.each:
            return self.convert(key, option.text, section)
        pieces = [piece.strip() for piece in option.text.split(",")]
        if len(pieces) not in (1, count):
            raise section.error(
                "has the wrong number of entries", key.name, expected=f"1 or {count}, one per input", actual=len(pieces)
            )
        if len(pieces) < count:
            self.tolerate("broadcast", key.name, option.text)
        values = [self.convert(key, piece, section, f"entry {i} ") for i, piece in enumerate(pieces)]
        return tuple(values) if len(values) == count else tuple(values * count)

    def convert(self, key: Key, piece: str, section: Section, which: str = "") -> Any:
        """One piece of text to a value, with the row's checks; `which` begins the messages."""
        try:
            value = key.read(piece)
        except ValueError as error:
            raise section.error(f"{which}cannot be read", key.name, expected=str(error), actual=piece) from None
        rule = grammar.tolerance(key.read, piece)
        if rule:
            self.tolerate(rule, key.name, piece)
        if key.one_of and value not in key.one_of:
            raise section.error(
                f"{which}is unknown", key.name, expected="one of " + ", ".join(key.one_of), actual=value
            )
        if (key.low is not None and value < key.low) or (key.high is not None and value > key.high):
            raise section.error(f"{which}is out of range", key.name, expected=_range(key), actual=value)
        for large in grammar.large_numbers(value):
            text = section.error(f"{which}is so large that results may be beyond float32", key.name, actual=large)
            self.warnings.append(str(text))
        if key.read is grammar.read_listed_bool and piece.lower() not in ("true", "1", "false", "0"):
            text = section.error(f"{which}counts as false", key.name, expected="true, 1, false or 0", actual=piece)
            self.warnings.append(str(text))
        return value

    def fits(self, elements: int, what: str) -> None:
        """Raise if a tensor with so many elements could not be addressed."""
        right = 0 < elements <= MAX_ELEMENTS
        self.check(right, f"{what} has an impossible size", expected="1 to 2**31 values", actual=elements)

    def set_outputs(self, outputs: int) -> None:
        """Fix the number of output units."""
        self.fits(outputs, "the output")
        self.values["outputs"] = outputs


def _range(key: Key) -> str:
    """A row's range in words; a row with a highest value has a lowest one too."""
    return f"at least {key.low}" if key.high is None else f"{key.low} to {key.high}"
