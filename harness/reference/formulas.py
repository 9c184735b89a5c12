"""The formulas of formulas.toml, as they are printed, with the numbers of one layer in them."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

UPDATE = r"\Delta \leftarrow \mu\Delta + \varepsilon G - \lambda\varepsilon W, \qquad W \leftarrow W + \Delta"


def formula(spec: Mapping[str, Any], step: str) -> str:
    """The formula of a layer in one pass, LaTeX; "" where none is printed.

    ``spec``: as `reference.op` takes it.
    ``step``: ``forward``, ``backward`` or ``update``.
    """
    if step == "update":
        return UPDATE
    neuron = spec["neuron"] if spec["type"] == "neuron" else {}
    kind = {"pool": spec.get("pool"), "neuron": neuron.get("type")}.get(spec["type"], "")
    text = _all()[step].get(f"{spec['type']} {kind}".strip(), "")
    values = {**spec, **neuron.get("params", {})}
    return re.sub(r"<([+*]?)(\w+)(-1)?>", lambda match: _number(values, *match.groups()), text)


@cache
def _all() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _number(values: Mapping[str, Any], signed: str, key: str, less: str | None) -> str:
    """A value as the formula shows it: with a sign, nothing of 0; as a factor, nothing of 1."""
    value = values.get(key, 0)
    value = value[0] if isinstance(value, list | tuple) else value
    if signed == "+":
        return f"{value:+g}" if value else ""
    if signed == "*" and value == 1:
        return ""
    return f"{value - bool(less):g}"
