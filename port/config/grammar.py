"""Small grammars inside values: numbers, lists, neurons, schedules, quantisers, weight sources, initialisers.

Every reader takes the stripped text of an option and returns the value, or raises a ``ValueError`` whose message names
the expected form. The caller knows file, line and key and turns that error into a ConfigError. Section numbers are
those of the chapter config-format of the specification.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

MAX_INT = 2**31
MAX_DIGITS = 64
SMALLEST, LARGEST = 2.0**-126, 2.0**128 - 2.0**104  # the normal numbers of float32
MAX_STEPS = 10**6

TRUE, FALSE = ("1", "yes", "true", "on"), ("0", "no", "false", "off")
_INT = re.compile(r"[+-]?[0-9]{1,18}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_CALL = re.compile(r"([A-Za-z]+)\s*(?:\[([^\[\]]*)\])?")
_SOURCE = re.compile(r"([^\s\[]+)\s*(?:\[([0-9]{1,9})\])?")
_FUNCTION = re.compile(r"([^.()]+)\.([^()]+)(?:\((.*)\))?")

# name: (argument names, uses its output, uses its input) for the gradient (section 8).
NEURONS = {
    "ident": ((), False, False),
    "logistic": ((), True, False),
    "abs": ((), False, True),
    "relu": ((), True, False),
    "nrelu": ((), True, False),
    "softrelu": ((), False, True),
    "square": ((), False, True),
    "sqrt": ((), True, False),
    "tanh": (("a", "b"), True, False),
    "brelu": (("a",), True, False),
    "linear": (("a", "b"), True, False),
    "drelu": (("a",), False, True),
}

# name: (arguments in their named order (9.1), what a given number of positional ones means (9.2)).
_TARGET, _NOISY, _STEPS = ("tgtFactor",), ("tgtFactor", "noiseStdev"), ("tgtFactor", "numSteps")
_SMOOTH = (_NOISY, {1: _TARGET, 2: _NOISY})
_STAIRS = ((*_NOISY, "numSteps"), {2: _STEPS, 3: (*_NOISY, "numSteps")})
SCHEDULES = {"default": ((), {}), "linear": _SMOOTH, "exp": _SMOOTH, "dexp": _STAIRS, "jdexp": _STAIRS}

RATES_2014 = {
    "const": ("base",),
    "linear": ("base", "tgtFactor"),
    "exp": ("base", "tgtFactor"),
    "dexp": ("base", "tgtFactor", "numSteps"),
}

INIT_FUNCTIONS = ("initw.makew", "initw.makeb", "initw.makec")


def read_str(text: str) -> str:
    """Any text."""
    return text


def read_int(text: str) -> int:
    """An integer of Python 2's ``int``, within 32 bits."""
    if not _INT.fullmatch(text) or not -MAX_INT < int(text) < MAX_INT:
        raise ValueError("an integer of at most 31 bits")
    return int(text)


def read_float(text: str) -> float:
    """A number that float32 can hold: 0, or a normal one."""
    value = float(text) if len(text) <= MAX_DIGITS and _FLOAT.fullmatch(text) else math.nan
    if value != 0 and not SMALLEST <= abs(value) <= LARGEST:
        raise ValueError("a number that float32 can hold, 0 or 1.2e-38 to 3.4e38 in size")
    return value


def large_numbers(value: object) -> list[float]:
    """Of the numbers in a value that a reader returned, those whose squares float32 cannot hold."""
    numbers = value["params"].values() if isinstance(value, dict) else (value,)
    return [number for number in numbers if isinstance(number, float) and number * number > LARGEST]


def read_bool(text: str) -> bool:
    """A ``bool``: one of eight words, upper or lower case (section 3)."""
    if text.lower() not in TRUE + FALSE:
        raise ValueError("one of " + ", ".join(TRUE + FALSE))
    return text.lower() in TRUE


def read_listed_bool(text: str) -> bool:
    """A piece of a ``bool[]``: true only for ``true`` and ``1`` (section 3)."""
    return text.lower() in ("true", "1")


def read_device(text: str) -> int:
    """A device number; of several, which hold replicas of the layer in files of 2014, the first."""
    first, *_ = [read_int(piece.strip()) for piece in text.split(",")]
    return first


def read_neuron(text: str) -> dict[str, Any]:
    """Parse a neuron (section 8).

    Returns: ``type``, ``params`` (argument values by name), ``usesActs``, ``usesInputs``.
    """
    match = _CALL.fullmatch(text)
    if match is None or match[1] not in NEURONS:
        raise ValueError("a neuron: " + ", ".join(_signature(name) for name in NEURONS))
    names, uses_acts, uses_inputs = NEURONS[match[1]]
    pieces = [] if match[2] is None else match[2].split(",")
    if len(pieces) != len(names) or (match[2] is not None and not names):
        raise ValueError(_signature(match[1]))
    params = {name: read_float(piece.strip()) for name, piece in zip(names, pieces, strict=True)}
    if match[1] in ("tanh", "drelu") and params["a"] == 0:
        raise ValueError(f"{_signature(match[1])} with a other than 0")
    return {"type": match[1], "params": params, "usesActs": uses_acts, "usesInputs": uses_inputs}


def _signature(name: str) -> str:
    """How a neuron is written: ``tanh[a,b]``."""
    names = NEURONS[name][0]
    return f"{name}[{','.join(names)}]" if names else name


def read_schedule(text: str) -> dict[str, Any]:
    """Parse a learning-rate schedule, in the released form (9.1) or the positional one of older files (9.2).

    Returns: ``type`` and ``params`` (tgtFactor, noiseStdev and, for dexp and jdexp, numSteps).
    """
    match = _CALL.fullmatch(text)
    name = match[1].lower() if match else ""
    if match is None or name not in SCHEDULES:
        raise ValueError("a schedule: default, linear[...], exp[...], dexp[...] or jdexp[...]")
    order, positional = SCHEDULES[name]
    given = [piece.strip() for piece in match[2].split(",")] if match[2] and match[2].strip() else []
    if given and all("=" in piece for piece in given):
        names = [piece.split("=", 1)[0].strip().lower() for piece in given]
        given = [piece.split("=", 1)[1].strip() for piece in given]
        if names != [key.lower() for key in order]:
            raise ValueError(_schedule_form(name, order))
    elif given:
        order = positional.get(len(given), ())
    if len(given) != len(order):
        raise ValueError(_schedule_form(name, SCHEDULES[name][0]))
    params = {} if name == "default" else {"tgtFactor": None, "noiseStdev": 0.0}
    params |= {key: read_int(text) if key == "numSteps" else read_float(text) for key, text in zip(order, given)}  # noqa: B905
    _check_schedule(params)
    return {"type": name, "params": params}


def read_2014_rate(text: str) -> tuple[str, str]:
    """Parse a learning rate of 2014 (9.4): a number, or a schedule with its base, ``exp[base=.1;tgtFactor=9]``.

    The result is base and schedule as 2012 writes them: ``epsW`` and ``schedW``.
    """
    match = _CALL.fullmatch(text)
    if not match:
        read_float(text)
        return text, "default"
    name = match[1].lower()
    pairs = [piece.partition("=") for piece in (match[2] or "").split(";")]
    given = {key.strip().lower(): value.strip() for key, _, value in pairs}
    names = RATES_2014.get(name)
    if names is None or list(given) != [key.lower() for key in names]:
        forms = (f"{kind}[{';'.join(key + '=...' for key in keys)}]" for kind, keys in RATES_2014.items())
        raise ValueError("a number or " + ", ".join(forms))
    read_float(given["base"])
    if name == "const":
        return given["base"], "default"
    noiseless = {"tgtFactor": given["tgtfactor"], "noiseStdev": "0"} | {key: given[key.lower()] for key in names[2:]}
    return given["base"], f"{name}[{','.join(f'{key}={value}' for key, value in noiseless.items())}]"


def tolerance(read: Callable[[str], Any], text: str) -> str | None:
    """The rule of `keys.TOLERANCES` that a reader needs for this text, or None if the parser of 2012 accepted it."""
    arguments = text.partition("[")[2]
    if read is read_schedule and arguments.strip(" ]") and "=" not in arguments:
        return "schedule"
    if read is read_device and "," in text:
        return "replicas"
    return "neuron" if read is read_neuron and re.search("[eE+]", arguments) else None


def _schedule_form(name: str, order: Sequence[str]) -> str:
    """How a schedule is written in full."""
    return f"{name}[{','.join(key + '=...' for key in order)}]" if order else name


def _check_schedule(params: dict[str, Any]) -> None:
    """Raise unless the formulas of network-and-solver 9 are defined for these values."""
    if params.get("tgtFactor", 1) <= 0:
        raise ValueError("a tgtFactor above 0")
    if params.get("noiseStdev", 0) < 0:
        raise ValueError("a noiseStdev of at least 0")
    if not 0 <= params.get("numSteps", 0) <= MAX_STEPS:
        raise ValueError(f"a numSteps of 0 to {MAX_STEPS}")


def read_quantiser(text: str) -> dict[str, Any]:
    """Parse a quantiser (section 10)."""
    match = _CALL.fullmatch(text)
    if not match or match[1].lower() not in ("default", "half") or (match[2] or "").strip():
        raise ValueError("default or half")
    return {"type": match[1].lower(), "params": {}}


def read_weight_source(text: str) -> tuple[str, int]:
    """Parse one entry of ``weightSource`` (section 11) into (layer name, matrix index); ("", -1) if empty."""
    if not text:
        return "", -1
    match = _SOURCE.fullmatch(text)
    if not match:
        raise ValueError("a layer name, or name[matrix index]")
    return match[1], int(match[2] or 0)


def read_tree(text: str) -> tuple[tuple[tuple[int, ...], ...], int]:
    """Parse a class tree: for each inner node its children, separated by blanks; commas separate the inner nodes.

    Inner nodes are numbered after the leaves, in the order of the text. The root is the inner node without a parent.
    The result is the children of every node, leaves first, and the root.
    """
    inner = [tuple(read_int(number) for number in piece.split()) for piece in text.split(",")]
    below = {child for children in inner for child in children}
    leaves = sum(map(len, inner)) - len(inner) + 1
    roots = sorted({*range(len(inner) + leaves)} - below)
    if not all(inner) or len(roots) != 1:
        raise ValueError("the children of every inner node, as in 0 1 2, 3 4, 5 6")
    return (*[()] * leaves, *inner), roots[0]


def read_init_function(text: str) -> str:
    """Check the name of an initialiser against the closed list (13.2); nothing in a layer file is ever executed."""
    match = _FUNCTION.fullmatch(text)
    if text and (not match or f"{match[1]}.{match[2]}" not in INIT_FUNCTIONS or not (match[3] or "").strip()):
        known = ", ".join(f"{name}(layer)" for name in INIT_FUNCTIONS)
        raise ValueError(f"one of {known}; nothing else that a file names is run: weights come with --weights FILE")
    return text
