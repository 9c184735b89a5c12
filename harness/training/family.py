"""The family of AlexNets: what differs between shipped networks, and what each difference does to the same weights.

A *stage* is what the towers of a network do at one depth, named by kind and depth: ``conv1``, ``norm1``, ``pool1`` and
so on up to ``fc8``, whatever a layer file calls them. A *variation* of the network of 2012 changes one thing, as
another member has it; the same photographs go through both. What a stage hands out changes by |b - a| / |a|, lengths
over all values of a photograph.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from .. import files
from ..data import checkpoints, others
from ..engines import available
from ..errors import BadInput
from ..network.load import LayerSpec, Network, from_texts, load, texts
from ..reporting import formats, report
from ..values import inputs, parameters
from .learner import Learner

HERE = Path(__file__).parent
TOLD = tomllib.loads((HERE / "family.toml").read_text(encoding="utf-8"))
NAMES = {"cmrnorm": "norm", "hs": "dropout"}
"""What stages call a type of layer; the others keep their names, neurons that of their function."""
SHOWN = ("block1", "block2", "block5", "fc7", "fc8")
"""Stages in tables: what conv2, conv3 and fc6 read, and the last two layers."""
ROUNDING = 1e-5
"""The largest change of a control, relative to the values: sums in another order."""


def stages(network: Network) -> dict[str, list[LayerSpec]]:
    """The layers of each stage, one for each tower; without data and costs."""
    depth: dict[str, int] = {}
    found: dict[str, list[LayerSpec]] = {}
    for layer in network.layers:
        depth[layer.name] = max((depth[name] for name in layer.inputs), default=0) + (layer.type in ("conv", "fc"))
        if depth[layer.name] and layer.outputs:
            kind = layer["neuron"]["type"] if layer.type == "neuron" else NAMES.get(layer.type, layer.type)
            found.setdefault(f"{kind}{depth[layer.name]}", []).append(layer)
    return found


def properties(network: Network) -> dict[str, str]:
    """What tells a member of the family from the others, by name: read from its layers, and what family.toml adds."""
    own, wired = stages(network), [stage.groups for stage in others.stages(network)]
    first = own["conv1"][0]
    side, reach = first["imgSize"][0], first["stride"][0] * (first["modulesX"] - 1) + first["filterSize"][0]
    learns = [layers for name, layers in own.items() if name.startswith(("conv", "fc"))]
    found = {"weights and biases": f"{network.parameter_count():,}", "towers": str(len(own["conv1"])),
             "picture": f"{side}, {max(0, reach - side)} px of zeros after"}  # fmt: skip
    for k, (layers, groups) in enumerate(zip(learns[:5], wired, strict=False), 1):
        one, count = layers[0], sum(layer["filters"] for layer in layers)
        window = f"{one['filterSize'][0]}/{one['stride'][0]}+{-one['padding'][0]}"
        found[f"conv{k}"] = f"{count}, {window}{f', {groups} groups' * (groups > 1)}"
    for block in "125":
        found[f"block {block}"] = ", ".join(n[:-1] for n in own if re.fullmatch(f"(?!conv|dropout).*{block}", n))
    where = {"norm1": "maps", "rnorm2": "px square"}
    norms = [f"{one['size']} {where[name]}, alpha {one['scale']:g}, beta {one['pow']:g}, k {one.get('minDiv', 1):g}"
             for name in where for one in own.get(name, ())[:1]]  # fmt: skip
    found["norm"] = "; ".join(norms) or "none"
    found["fc6 to fc8"] = " ".join(str(sum(layer.outputs for layer in layers)) for layers in learns[5:])
    found["initial weights"] = " ".join(f"{layers[0]['initW'][0]:g}" for layers in learns)
    found["initial biases"] = " ".join(f"{layers[0]['initB']:g}" for layers in learns)
    found["dropout after"] = ", ".join([*own][[*own].index(name) - 1] for name in own if name.startswith("dropout"))
    found["rates"] = f"{first['epsW'][0]:g}, biases {first['epsB']:g}, {first['schedW']['type']}".replace(
        "default", "constant"
    )
    typed = TOLD["members"].get(network.name, {})
    return found | {what: text for what, text in typed.items() if what not in ("title", "source")}


def differences() -> tuple[list[list[str]], dict[str, str]]:
    """(rows of property and value of each member, where they differ; what is the same in all)."""
    each = [properties(load(name)) for name in TOLD["members"]]
    rows = [[what, *(own[what] for own in each)] for what in each[0]]
    return [row for row in rows if len({*row[1:]}) > 1], {row[0]: row[1] for row in rows if len({*row[1:]}) == 1}


def varied(change: Mapping[str, Any]) -> Network:
    """The network of a variation, an entry of family.toml."""
    start = load(change.get("net", "alexnet"))
    given = texts(start)
    for file in ("definition", "params"):
        for pattern, new in change.get(file, ()):
            given[file] = re.sub(pattern, new, given[file], flags=re.DOTALL)
    return from_texts(**given, path=start.definition)


def weights(first: Network, seed: int, checkpoint: str | None) -> parameters.Values:
    """Parameters of the network of 2012, drawn or of a checkpoint; BadInput where that is of another network."""
    given = checkpoints.of_network(checkpoint, first).tensors if checkpoint else {}
    found = parameters.make(first, seed)
    for layer, tensor, array in parameters.owned(first, found) if checkpoint else ():
        name = f"{layer}.{tensor}"
        if "_inc" not in name:
            if name not in given or given[name].shape != array.shape or not np.isfinite(given[name]).all():
                raise BadInput(f"{checkpoint}: {name} is missing, or does not fit", expected=f"finite, {array.shape}",
                               hint="a checkpoint of the network alexnet")  # fmt: skip
            array[:] = given[name]
    return found


def effects(batch: int, seed: int, engine: str, threads: int, checkpoint: str | None) -> Iterator[dict[str, Any]]:
    """Yield what each variation does to the outputs of the stages, for the same photographs and weights.

    The dicts have ``what``, ``as``, ``base``, ``control``; ``change``: by stage the median and the largest relative
    change over the photographs; ``top5``: how many of the five best classes are the same, on average.
    """
    first, (chosen,) = load("alexnet"), available((engine,))
    photos = inputs.make(load("caffe"), "photos", batch, seed).data
    crops = photos["data"].reshape(3, 227, 227, -1)
    held = weights(first, seed, checkpoint)
    flat = {f"{layer}.{tensor}": array for layer, tensor, array in parameters.owned(first, held)}
    elsewhere = others.to_state_dict(first, flat)
    seen: dict[str, dict[str, np.ndarray]] = {}
    for what, change in {"alexnet": {"raw": True}, **TOLD["variations"]}.items():
        if change.get("drawn") and checkpoint:
            continue
        network = varied(change)
        own, values = stages(network), parameters.make(network, seed) if change.get("drawn") else held
        if not change.get("drawn") and not change.get("raw"):
            values = {layer.name: {} for layer in network.layers}
            for name, array in others.from_state_dict(network, elsewhere, Path("alexnet")).items():
                values[name.partition(".")[0]][name.partition(".")[2]] = array
        data = crops if own["conv1"][0]["imgSize"][0] == 227 else crops[:, :224, :224]
        if change.get("padded"):
            data = np.pad(crops[:, :224, :224], ((0, 0), (2, 1), (2, 1), (0, 0)))
        learner = Learner(network, chosen, threads, seed, values)
        learner.forward(data.reshape(-1, data.shape[-1]), photos["labels"], "test")
        found = {name: np.concatenate([learner.acts(layer.name) for layer in own[name]]) for name in own}
        found = seen[what] = found | {f"block{name[-1]}": array for name, array in found.items()}
        base = seen[change.get("base", "alexnet")]
        if what != "alexnet":
            told = {"what": what, "as": change.get("as", ""), "base": change.get("base", "alexnet"),
                    "control": change.get("control", False), "top5": _common(base["fc8"], found["fc8"])}  # fmt: skip
            yield told | {"change": {name: _change(base[name], array) for name, array in found.items()
                                     if name in base and base[name].shape == array.shape}}  # fmt: skip


def _change(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    shares = np.linalg.norm(b.astype(float) - a, axis=0) / np.linalg.norm(a.astype(float), axis=0)
    return float(np.median(shares)), float(shares.max())


def _common(a: np.ndarray, b: np.ndarray) -> float:
    best = [np.argsort(-scores, axis=0, kind="stable")[:5].T for scores in (a, b)]
    return float(np.mean([len({*one} & {*other}) for one, other in zip(*best, strict=True)]))


def about(batch: int, seed: int, engine: str, checkpoint: str | None, **more: Any) -> str:
    """What the numbers of `effects` are, in words."""
    drawn = f"those of alexnet as drawn with seed {seed}, before any training: a trained network answers otherwise"
    return (f"Weights: {f'the checkpoint {checkpoint}' if checkpoint else drawn}. Photographs: {batch}, in a test, "
            f"engine {engine}. Numbers: median and largest change of what a stage hands out, in percent, over the "
            "photographs; of the five best classes those in common. A variation of alexnet changes one thing; convnet2 "
            "and torchvision have other widths, which weights of alexnet do not fit.")  # fmt: skip


def cells(effect: Mapping[str, Any]) -> list[str]:
    """An effect as a row: the variation, median and largest change of each of `SHOWN`, the best classes in common."""
    pairs = [" ".join(map(_percent, effect["change"].get(name, ()))) for name in SHOWN]
    return [effect["what"], *pairs, f"{effect['top5']:.1f}"]


def _percent(change: float) -> str:
    return (
        f"{100 * change:.0f}" if change >= 0.1 or not change else f"{100 * change:.2g}" if change >= 1e-4 else "<0.01"
    )


def lines(rows: Iterable[Iterable[str]], widths: Iterable[int]) -> Iterator[str]:
    """Rows of cells as lines of a terminal; what is too long for its column goes on below."""
    for row in rows:
        columns = [wrap(cell, width - 1) for cell, width in zip(row, widths, strict=False)]
        for parts in zip_longest(*columns, fillvalue=""):
            yield "".join(f"{part:<{width}}" for part, width in zip(parts, widths, strict=False)).rstrip()


def controls(found: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The largest change of what the softmax reads, by control."""
    return {one["what"]: one["change"]["fc8"][1] for one in found if one["control"]}


def write(out: Path, found: list[dict[str, Any]], told: str) -> Path:
    """Write family.html, family.md and effects.csv into a folder; the page."""
    (rows, same), members = differences(), TOLD["members"]
    tables = [(["", *members], rows), (["", *SHOWN, "top 5"], [*map(cells, found)])]
    flat = [{key: one[key] for key in ("what", "as", "base", "control", "top5")}
            | {"stage": name, "median": change[0], "largest": change[1]}
            for one in found for name, change in one["change"].items()]  # fmt: skip
    sources = "\n".join(f"- {name}: {one['title']}; {one['source']}" for name, one in members.items())
    text = "\n\n".join((formats.as_table(*tables[0]), sources, told, formats.as_table(*tables[1])))
    page = report.filled("family.html", HERE, tables=tables, same=same, members=members, about=told)
    out.mkdir(parents=True, exist_ok=True)
    for name, data in (("effects.csv", formats.lines_as_csv(flat)), ("family.md", text.encode())):
        files.write(out / name, data)
    files.write(out / "family.html", page.encode())
    return out / "family.html"
