"""The Rosetta page: a small site, without network, of what the engines do with every layer of a network."""

import os
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from .. import concordance, engines, files, machine
from ..bench.work import count
from ..engines import peaks
from ..engines.card import Card
from ..errors import BadInput, writing
from ..judging.places import described, shapes
from ..judging.row import Row
from ..network.load import LayerSpec, Network, load, plain
from ..reference.formulas import formula
from ..reporting import report
from ..reporting.record import read, reading
from ..reporting.report import drawing as network_drawing
from ..reporting.report import images
from ..running.steps import PASSES
from ..values import parameters
from . import columns, drawing, kernels, knob, source
from .layer import host_place, kernel_place, known_layer, port_functions, run_layer
from .layer import known as provenance
from .occupancy import LIMITS, MOST_OF_SM_20, occupancy
from .release import Release
from .source import Piece

HERE = Path(__file__).parent
OURS = re.compile(r"index\.html|layer-\d+-[\w-]*\.html|style\.css|script\.js")
MARK = '<p class="kicker">AlexNet Rosetta · study</p>'
COLUMNS = {"release": "release of 2012", "legacy": "legacy engine", "port": "port", "reference": "reference"}


def write(
    out: Path,
    net: str,
    name: str | None = None,
    *,
    params: str | None = None,
    passes: Sequence[str] = PASSES,
    batch: int = 32,
    record: Path | None = None,
    release: Path | None = None,
    counted: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Path:
    """Write the site into a new or empty folder, or over an earlier site, which stays until the new one is whole.

    `net` is as for `load.load`; `name` is one layer, by default all of them; `record` is one of the same network, for
    values and photographs; `release` is the user's copy of the release. `counted` has by kernel string what was counted
    in a launch: numbers by name.

    The result is the path of the index. Raises errors.RosettaError: something cannot be used; nothing is written.
    """
    network = load(net, params)
    chosen = [known_layer(network, net, name)] if name else [x for x in network.layers if x.type != "data"]
    folder = Path(out).absolute()
    _refuse_foreign(folder)
    study = Study(network, net, passes, batch, _Record(record, network), Release(release) if release else None, counted)
    addresses = {
        x.name: f"layer-{k:02}-{re.sub(r'[^A-Za-z0-9_]', '-', x.name)[:40]}.html" for k, x in enumerate(chosen)
    }
    pages = {"style.css": (report.HERE / "style.css").read_bytes() + (HERE / "style.css").read_bytes(),
             "script.js": (HERE / "script.js").read_bytes()}  # fmt: skip
    names = list(addresses)
    for k, layer in enumerate(chosen):
        around = {"before": names[k - 1] if k else "", "after": names[k + 1] if k + 1 < len(names) else ""}
        pages[addresses[layer.name]] = rendered("layer.html", addresses=addresses, **around, **study.layer(layer))
    picture = network_drawing.network(described(network.layers), addresses)
    pages["index.html"] = rendered("index.html", drawing=picture, addresses=addresses, layers=chosen, **study.about())
    _place(folder, pages)
    return folder / "index.html"


def rendered(name: str, **facts: Any) -> bytes:
    """A page of a template of this folder, as bytes."""
    return report.filled(name, HERE, **facts).encode("utf-8", "backslashreplace")


def _refuse_foreign(folder: Path) -> None:
    """BadInput unless a folder may be replaced: there is none, or it is empty, or an earlier study and nothing else."""
    if not os.path.lexists(folder):
        return
    why = "" if folder.is_dir() and not folder.is_symlink() else "it is no folder"
    if not why and any(folder.iterdir()):
        index = folder / "index.html"
        strange = [one.name for one in folder.iterdir() if not (OURS.fullmatch(one.name) and one.is_file())]
        ours = index.is_file() and MARK in index.read_text(encoding="utf-8", errors="replace")
        why = f"it holds {strange[0]!r}" if strange else "" if ours else "its index.html is not ours"
    if why:
        raise BadInput(f"{folder} is no study: {why}", hint="--html takes a new folder, or an earlier study")


def _place(folder: Path, pages: Mapping[str, bytes]) -> None:
    draft = files.draft_of(folder)
    with writing(folder, "choose another folder with --html"):
        try:
            draft.mkdir(parents=True)
            for name, page in pages.items():
                (draft / name).write_bytes(page)
            _refuse_foreign(folder)
            earlier = files.place(draft, folder)
            if earlier is not None:
                shutil.rmtree(earlier)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


class _Record:
    """What a page takes from a record: rows by layer and pass, the first photograph; nothing where there is none."""

    def __init__(self, folder: Path | None, network: Network) -> None:
        self.rows: dict[tuple[str, str], list[Row]] = {}
        self.picture, self.name = "", ""
        if folder is None:
            return
        from PIL import Image

        found = read(folder)
        with reading(folder):
            theirs = [(x["name"], x["type"], x["outputs"]) for x in found.about["network"]["layers"]]
            self.name = found.about["network"]["name"]
            pictures = found.arrays.get("pictures", ())[:1]
            shown = [Image.fromarray(picture) for picture in pictures]
            self.picture = "".join(images.address(picture, "JPEG", quality=80) for picture in shown)
        ours = [(x.name, x.type, x.outputs) for x in network.layers]
        if theirs != ours:
            other = next((a[0] for a, b in zip(ours, theirs, strict=False) if a != b), "their number")
            raise BadInput(
                f"{folder} is the record of another network",
                expected=f"the layers of {network.name}",
                actual=f"{self.name}, which differs in {other}",
                hint="rosetta compare writes one",
            )
        for row in found.rows:
            if row.mode == "isolated":
                self.rows.setdefault((row.layer, row.step), []).append(row)


class Study:
    """Runs the layers of a network and gathers what their pages say."""

    def __init__(
        self,
        network: Network,
        net: str,
        passes: Sequence[str],
        batch: int,
        record: _Record,
        release: Release | None,
        counted: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.network, self.net, self.passes, self.batch = network, net, passes, batch
        self.record, self.release, self.counted = record, release, counted
        (engine,) = engines.available(["legacy-cpu"])
        self.session = engine.open(network, machine.processors())
        self.session.record_launches()
        self.values = parameters.make(network, 0)
        self.shapes = shapes(network.layers)
        self.card = _card()

    def about(self) -> dict[str, Any]:
        """What every page says."""
        facts = machine.environment(machine.processors())
        here = f"{facts['processor']}, {facts['threads']} threads"
        own = {name: getattr(self, name) for name in ("net", "network", "batch", "record", "release")}
        return own | {"here": here, "commit": facts["commit"], "quote": shlex.quote}

    def layer(self, layer: LayerSpec) -> dict[str, Any]:
        """What the page of a layer says."""
        run_layer(self.session, self.network, layer, self.batch, values=self.values)
        own = [launch for launch in self.session.launches() if launch["layer"] == layer.name]
        functions = port_functions(self.network, layer, self.values)
        readers = [x.name for x in self.network.layers if layer.name in x.inputs]
        known = columns.quantities([layer.type])
        steps = [
            self._step(layer, step, [x for x in own if x["pass"] == step], functions, known) for step in self.passes
        ]
        return self.about() | {
            "layer": layer,
            "shapes": self.shapes,
            "readers": readers,
            "windows": self._windows(layer),
            "known": known,
            "steps": [step for step in steps if step],
            "roofline": drawing.roofline(peaks.GTX_580, [step["point"] for step in steps if step]),
            "cases": knob.cases(self.network, layer, self.batch),
            "renamed": concordance.renamed(layer.type),
            "columns": {key: text for key, text in COLUMNS.items() if key != "release" or self.release},
        }

    def _windows(self, layer: LayerSpec) -> str:
        keys = {"conv": ("imgSize", "padding", "filterSize", "stride", "modulesX"),
                "local": ("imgSize", "padding", "filterSize", "stride", "modulesX"),
                "pool": ("imgSize", "start", "sizeX", "stride", "outputsX")}.get(layer.type)  # fmt: skip
        if not keys:
            return ""
        numbers = (value[0] if isinstance(value, tuple) else value for value in map(layer.__getitem__, keys))
        image, start, size, stride, outputs = numbers
        return drawing.windows(image, start, size, stride, outputs, self.record.picture)

    def _step(
        self,
        layer: LayerSpec,
        step: str,
        launches: Sequence[Mapping[str, Any]],
        functions: Mapping[str, str],
        known: Sequence[tuple[str, dict[str, set[str]]]],
    ) -> dict[str, Any] | None:
        rows = self.record.rows.get((layer.name, step), [])
        if not launches and not rows:
            return None
        work = count(self.network.graph, layer, step, self.batch)
        seconds = sum(launch["seconds"] for launch in launches)
        names = [kernels.name_and_arguments(launch["kernel"])[0].partition("(")[0] for launch in launches]
        asked = set(functions)
        found = columns.paired_pieces(layer.type, step, list(dict.fromkeys(names)), asked)
        same = Counter((x["kernel"], x["grid"], x["rule"]) for x in launches)
        first = {(x["kernel"], x["grid"], x["rule"]): x for x in reversed(launches)}
        text = formula(plain(layer), step)
        intensity = work.operations / max(1, work.bytes)
        return {
            "name": step,
            "formula": _mathml(text) if text else "",
            "work": work,
            "intensity": intensity,
            "seconds": seconds,
            "model": work.seconds(peaks.GTX_580),
            "rate": work.operations / seconds if seconds else 0.0,
            "point": (step, intensity, work.operations / seconds if seconds else None),
            "launches": [self._launch(layer, step, x, same[key]) for key, x in reversed(first.items())],
            "rows": rows,
            "source": [(what, self._cells(cells, theirs, known)) for what, cells, theirs in found],
        }

    def _cells(
        self,
        cells: Mapping[str, Sequence[Piece]],
        theirs: Sequence[str],
        known: Sequence[tuple[str, dict[str, set[str]]]],
    ) -> dict[str, list[tuple[Piece | None, str, str]]]:
        """By column, [(Piece or why there is none, its markup)]."""
        found: dict[str, list[tuple[Piece | None, str, str]]] = {
            name: [(piece, "", columns.markup(piece, name, known)) for piece in pieces]
            for name, pieces in cells.items()
        }
        if self.release:
            found["release"] = [
                (piece, remark, columns.markup(piece, "release", known) if piece else "")
                for piece, remark in self.release.pieces(theirs)
            ]
        return found

    def _launch(self, layer: LayerSpec, step: str, launch: Mapping[str, Any], times: int) -> dict[str, Any]:
        kernel = launch["kernel"]
        name, _ = kernels.name_and_arguments(kernel)
        operations = concordance.of_launch(layer.type, step, name.partition("(")[0])
        facts = {
            "kernel": kernel,
            "times": times,
            "launch": launch,
            "rule": rule_places(name, launch["rule"]),
            "host": {one: host_place(one) for row in operations for one in row.host},
            "library": name.startswith("sgemm("),
            "counted": self.counted.get(kernel, {}),
        }
        if facts["library"]:
            return facts
        threads, axes = prod(launch["block"]), kernels.axes(launch)
        return facts | {
            "place": kernel_place(name),
            "known": provenance(name),
            "template": kernels.template(kernel),
            "threads": threads,
            "axes": axes,
            "strides": kernels.strides(kernel),
            "each": prod(axis.size for axis in axes if not axis.name.endswith("summed")) / threads if axes else 0,
            "drawing": drawing.block(axes, threads) if axes else "",
            "course": kernels.course(kernel),
            "tiles": kernels.tiles(kernel),
            "occupancy": list(self._occupancy(launch, threads)),
        }

    def _occupancy(
        self, launch: Mapping[str, Any], threads: int
    ) -> Iterator[tuple[str, int | None, str, int, float, str]]:
        """(architecture, registers, remark, blocks at a time, share of the warps, what limits)."""
        taken = launch.get("resources", {})
        old = min((found.registers for found in taken.values()), default=None)
        given = {"sm_20": old and min(old, MOST_OF_SM_20)} | {name: found.registers for name, found in taken.items()}
        remarks = {self.card: "this machine's card", "sm_20": "GTX 580"}
        for name, registers in given.items():
            if name in LIMITS:
                found = occupancy(name, threads, launch["shared_bytes"], registers)
                yield name, registers, remarks.get(name, ""), *found


def _mathml(text: str) -> Markup:
    from latex2mathml.converter import convert

    return Markup(convert(text, display="block"))


def _card() -> str:
    """The architecture of this machine's card; "" where there is none."""
    try:
        return "sm_{}{}".format(*Card().facts()["compute_capability"])
    except Exception:  # no driver, no PyCUDA
        return ""


def rule_places(kernel: str, rule: str) -> list[tuple[str, str]]:
    """(place, line) of where host code launches a kernel, and of the words of the rule that chose it."""
    launching = re.compile(rf"INSTANCE\((?:\(|Pooler, )?{kernel}\b|INSTANCE\({kernel}\b")
    found: dict[tuple[str, int], str] = {}
    for file in source.files("legacy", "host/*.cpp") + source.files("legacy", "host/*.h"):
        lines = source.read(file)
        starts = [k for k, line in enumerate(lines) if launching.search(line) and not line.lstrip().startswith("//")]
        if not starts:
            continue
        found |= {(file, k): lines[k] for k in starts[:1]}
        for other in (file, *(["legacy/host/dispatch.h"] if "-wide block" in rule else [])):
            for k, line in enumerate(source.read(other)):
                said = [text.strip(" ;:,") for text in re.findall(r'"([^"]{4,})"', line)]
                if any(" " in text and text in rule for text in said):
                    found[other, k] = source.read(other)[k]
    return [(f"{file}:{k + 1}", line.strip()) for (file, k), line in found.items()]
