"""What the report says about a run besides its results: what the engines are, and the command that does it again."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from ...judging.row import Row
from ...running.prepare import Options
from ...running.steps import PASSES

ENGINES = {
    "legacy-cpu": "the C++ and CUDA engine of 2012, its kernels compiled for the processor",
    "legacy-gpu": "the C++ and CUDA engine of 2012, its kernels on a graphics card",
    "port": "its modern Python port (NumPy, BLAS, Cython)",
    "reference": "the textbook formulas in 64 bits, rounded to 32",
    "torch": "PyTorch",
    "torch-channels-last": "PyTorch with channels last",
    "torch-gpu": "PyTorch on a graphics card",
}


def about_the_run(about: dict[str, Any]) -> Iterator[str]:
    """Sentences for a reader who knows nothing of the project: the engines, the rebuild, the weights."""
    names = list(about["engines"])
    each = [f"{name} is {ENGINES.get(name, 'an engine of another package')}" for name in names]
    yield f"Engines, each held against formulas in 64-bit arithmetic: {'; '.join(each)}."
    if any(name.startswith("legacy") for name in names):
        yield (
            "The engine of 2012 is no copy: the source of that time cannot be built today, so it was written anew "
            "from a specification of what that source does, and is held against recorded outputs of its kernels."
        )
    weights, kind = about["options"].get("weights"), about["inputs"]["kind"]
    drawn = "Weights are random, of the width that the layer file gives; no trained network is shown."
    yield f"The network reads {INPUTS.get(kind, f'the arrays of {kind}')}. " + (
        f"Weights come from {weights}." if weights else drawn
    )


INPUTS = {
    "photos": "crops of a few photographs",
    "random": "random numbers",
    "exact": "small multiples of 1/8, for which nothing rounds",
}


def repetition(options: Mapping[str, Any], row: Row) -> str:
    """The ``rosetta compare`` that makes a row again, of a run with these options.

    ``row``: one that no step leaves, about parameters or seconds that are wrong, takes the whole run.
    """
    if not row.shape:
        return command(options)
    step = row.step if row.step in PASSES else PASSES[0]
    return command({**options, "layers": (row.layer,), "passes": (step,), "repeat": 0})


REPEATED = {"quirks": "--quirk", "rules": "--rule", "allow": "--allow"}
"""Fields of the options that a command takes one by one."""


def command(options: Mapping[str, Any]) -> str:
    """The ``rosetta compare`` that has these options: what differs from its defaults.

    A record of something else has the command itself among them.
    """
    return (
        options.get("command", "")
        if "net" not in options
        else shlex.join(["rosetta", "compare", options["net"], *_flags(options)])
    )


def bench_command(about: Mapping[str, Any]) -> str:
    """The ``rosetta bench`` that a stored bench is of."""
    options = about["options"]
    counts = ["--batch", str(options["batch"]), "--repeat", str(about["repeat"])]
    return shlex.join(["rosetta", "bench", options["net"], *counts, *_flags(options, ("input", "batch", "repeat"))])


def explanation(options: Mapping[str, Any], row: Row, place: Mapping[str, int]) -> str:
    """The ``rosetta explain`` of an element of a row, of a run with these options; "" where there is none.

    ``place``: along the axes; {} for the element that used most of its bound.
    """
    if "net" not in options or (
        row.tensor == "acts_grad" and len(row.sent_by) == 1
    ):  # in isolation that is the sender's gradient
        return ""
    at = ["--at", ",".join(map(str, place.values()))] if place else []
    flags = _flags(options, ("mode", "passes", "allow", "fail_on", "layers"))
    return shlex.join(["rosetta", "explain", options["net"], row.layer, row.step, row.tensor, *at, *flags])


def _flags(options: Mapping[str, Any], but: Sequence[str] = ()) -> list[str]:
    words = []
    for field in fields(Options):
        value, default = options.get(field.name, field.default), field.default
        if field.name in ("net", *but) or value is None or [*_listed(value)] == [*_listed(default)]:
            continue
        name = REPEATED.get(field.name, f"--{field.name.replace('_', '-')}")
        if field.name in REPEATED:
            words += [word for item in value for word in (name, item)]
        elif value is True:
            words.append(name)
        else:
            words += [name, ",".join(_listed(value))]
    return words


def _listed(value: Any) -> Iterator[str]:
    return map(str, value if isinstance(value, list | tuple) else (value,))
