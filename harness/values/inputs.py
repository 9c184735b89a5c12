"""What goes into a run: the values of the data layers, the parameters, the momentum buffers."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt
from pathlib import Path
from typing import NoReturn

import numpy as np

from ..errors import BadInput
from ..network import cost_inputs
from ..network.load import Network
from ..reference.layer import LayerSpec
from . import exact, photographs
from .archive import Archive, Header
from .noise import generator

PROBING = "probing"
KINDS = ("photos", "random", "exact", PROBING)


@dataclass
class Inputs:
    """The minibatch."""

    data: dict[str, np.ndarray]  # dict of str to ndarray of float32. Values of each data layer, (values per case, N).
    kind: str  # ``photos``, ``random``, ``exact``, ``probing`` or the name of a file
    # ndarray of uint8 or None. (N, S, S, 3), what the network looks at, where that is a photograph.
    pictures: np.ndarray | None = None
    captions: list[str] = field(default_factory=list)  # a name for each picture
    note: str = ""  # what was done to the photographs for the sake of the network; else ""

    @property
    def batch(self) -> int:
        """Number of cases N."""
        return next(iter(self.data.values())).shape[1]

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each data layer's bytes."""
        return {name: hashlib.sha256(np.ascontiguousarray(a).data).hexdigest() for name, a in self.data.items()}


def make(network: Network, kind: str, batch: int, seed: int) -> Inputs:
    """The minibatch of a run.

    ``kind``: ``photos``, ``random`` (normal numbers), ``exact`` (the exact tier), ``probing`` (`_probing`), or an npz
    file with one array per data layer.
    ``batch``: number of cases; for a file, the file's own number.
    """
    if kind not in KINDS:
        return _from_file(network, Path(kind))
    graph = network.graph
    of_costs = cost_inputs.kinds(graph)
    images = [layer for layer in network.layers if layer.type == "data" and layer.name not in of_costs]
    data = {
        name: cost_inputs.draw(graph, name, what, batch, generator(seed, "data", name))
        for name, what in of_costs.items()
    }
    if kind == "photos":
        return _photographs(network, images, data, batch, seed)
    for layer in images:
        random, shape = generator(seed, "data", layer.name), (layer.outputs, batch)
        draw = {"exact": exact.draw, PROBING: _probing}.get(kind, _normal)
        data[layer.name] = draw(random, shape)
    return Inputs(data, kind)


def _normal(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return random.standard_normal(shape, np.float32)


def _probing(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Values chosen for what they show: as large as pixels less a mean, unlike any mirror image, with ties and edges.

    A tenth are equal to the value before (ties), a tenth are the largest or the smallest there is (edges), the rest
    grow along the values of a case, so that no two places can be mistaken for one another.
    """
    x = np.round(random.uniform(-100, 100, shape) + np.linspace(-20, 20, shape[0])[:, None] + 1)
    kind = random.random(shape)
    x = np.where(kind < 0.1, np.where(random.random(shape) < 0.5, -128, 127), x)
    x[1:] = np.where(kind[1:] > 0.9, x[:-1], x[1:])
    return x.astype(np.float32)


def _photographs(
    network: Network, images: Sequence[LayerSpec], data: dict[str, np.ndarray], batch: int, seed: int
) -> Inputs:
    """Add crops of photographs to what costs read, grey where a layer wants one value a pixel.

    Class labels then name the photograph.
    """
    grey = [layer.name for layer in images if layer.outputs == isqrt(layer.outputs) ** 2]
    sizes = {layer.name: isqrt(layer.outputs // (1 if layer.name in grey else 3)) for layer in images}
    for layer in images:
        if layer.name not in grey and layer.outputs != 3 * sizes[layer.name] ** 2:
            raise BadInput(
                f"layer {layer.name}: {layer.outputs} values per case are no square image, in colours or grey",
                hint="photographs need 3·S·S or S·S values (key dims of the data layer), or use --input random",
            )
    shown, names = None, []
    for layer in images:
        size = sizes[layer.name]
        data[layer.name], label, pictures = photographs.crops(
            size, batch, network.classes() or len(photographs.PHOTOGRAPHS), seed
        )
        if layer.name in grey:
            data[layer.name], pictures = photographs.grey(data[layer.name], pictures)
        if shown is None:
            shown, names = pictures, [list(photographs.PHOTOGRAPHS)[int(k)] for k in label[0]]
    for name, kind in cost_inputs.kinds(network.graph).items():
        if kind == "classes":
            count = min(cost_inputs.classes(network.graph, name), len(photographs.PHOTOGRAPHS))
            data[name] = (np.arange(batch) % count)[None].astype(np.float32)
    note = f"{', '.join(grey)}: photographs were made grey, since the layer has one value a pixel" if grey else ""
    return Inputs(data, "photos", shown, names, note)


def cases(network: Network, kind: str, batch: int) -> int:
    """Number of cases that `make` will give: for a file, what it says about itself before it is read."""
    return batch if kind in KINDS else _of_file(network, Path(kind))[1]


def _of_file(network: Network, path: Path) -> tuple[Archive, int]:
    """The Archive of a file with one array for each data layer, and its number of cases."""
    archive = Archive(path, f"--input takes {', '.join(KINDS)} or an npz file with one array per data layer")
    layers = [layer.name for layer in network.layers if layer.type == "data"]
    _same_names(path, archive.headers, layers)
    deciding = next(
        iter([*cost_inputs.kinds(network.graph), *layers])
    )  # labels are seldom mistaken for their transpose
    return archive, (archive.headers[deciding].shape or (0,))[-1]


def _from_file(network: Network, path: Path) -> Inputs:
    archive, batch = _of_file(network, path)
    shapes = {layer.name: (layer.outputs, batch) for layer in network.layers if layer.type == "data"}
    data = load(archive, shapes, "rows are values, columns are cases")
    for name, kind in cost_inputs.kinds(network.graph).items():
        hint = cost_inputs.complaint(network.graph, name, kind, data[name])
        if hint:
            what = "class label" if kind == "classes" else kind.removesuffix("s")
            raise BadInput(f"{path}: array {name} has a value that is no {what}", hint=hint)
    return Inputs(data, path.name)


def load(archive: Archive, shapes: Mapping[str, tuple[int, ...]], axes: str) -> dict[str, np.ndarray]:
    """Arrays of an Archive, if they are what the engines take: float32, of those shapes, C-contiguous, finite.

    ``axes``: what rows and columns are, for the hint about another shape.
    """
    for name, shape in shapes.items():
        _check_header(archive.path, name, archive.headers[name], shape, axes)
    arrays = archive.load(shapes, largest=sum(archive.headers[name].nbytes for name in shapes))
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            index = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
            raise BadInput(
                f"{archive.path}: array {name} has the wrong values",
                expected="finite numbers",
                actual=f"{array[index]} at {index}",
                hint="replace NaN and infinity",
            )
    return arrays


def _check_header(path: str | Path, name: str, header: Header, shape: tuple[int, ...], axes: str) -> None:
    def refuse(what: str, expected: object, actual: object, hint: str) -> NoReturn:
        raise BadInput(f"{path}: array {name} has the wrong {what}", expected=expected, actual=actual, hint=hint)

    if header.shape != shape:
        transposed = header.shape == shape[::-1]
        hint = f"this looks transposed; {axes}" if transposed else axes
        refuse("shape", shape, header.shape, hint)
    if header.dtype != np.float32:
        refuse("dtype", "float32", header.dtype, "convert with .astype(numpy.float32)")
    if header.fortran:
        refuse("memory order", "C-contiguous", "Fortran order", "store numpy.ascontiguousarray(array)")


def _same_names(path: Path, arrays: Iterable[str], wanted: Sequence[str]) -> None:
    missing, unknown = sorted(set(wanted) - set(arrays)), sorted(set(arrays) - set(wanted))
    if missing or unknown:
        text = "; ".join(
            f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names
        )
        raise BadInput(f"{path}: wrong arrays ({text})", hint=f"it should hold {', '.join(wanted)}")
