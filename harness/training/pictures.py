"""Pictures of a network: filters as `shownet` drew them, outputs, gradients, answers, confusion (7.2, 7.3).

A picture is a uint8 array (rows, columns, 3).
"""

import base64
import io
from collections.abc import Sequence
from math import ceil, isqrt
from typing import TYPE_CHECKING

import numpy as np

from ..reporting.report import charts
from ..reporting.report.images import tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW, ROWS = 16, 24
"""Tiles of a row of pictures in colour, and rows at most."""
RIGHT, WRONG = "#ffaaaa", "#aaaaff"
"""Bars of the right class and of the others, the colours of 2012."""
BEST = 5


def filters(weights: np.ndarray, channels: int, modules: int = 1, modules_x: int = 0) -> np.ndarray:
    """The filters of a weight matrix, (modules · channels · pixels, filters), side by side.

    Three channels make a picture in colour; else the channels of a filter stand side by side in grey. All share one
    scale from black to white. Of a local layer the first filter of each module is drawn, the modules in their places;
    else `modules` and `modules_x` are 1 and 0.
    """
    array = weights.reshape(modules, channels, -1, weights.shape[1])
    array = array[..., 0].transpose(1, 2, 0) if modules > 1 else array[0]
    row = modules_x or ROW
    return tiles(scaled(array), row if channels == 3 else ceil(row / channels), ROWS * row)


def scaled(array: np.ndarray) -> np.ndarray:
    """The array moved to 0 ... 1 as a whole; not finite or all alike: 0."""
    array = np.nan_to_num(array.astype(np.float64), posinf=0, neginf=0)
    array -= array.min()
    return array / (array.max() or 1)


def maps(values: np.ndarray, channels: int, most: int = 64) -> np.ndarray:
    """The maps of a layer's output for one case, (outputs,), or a column of values as a strip.

    Values of both signs are grey at 0, lighter above and darker below; others go from black to white.
    """
    pixels = len(values) // channels
    low, high = float(values.min()), float(values.max())
    reach = max(-low, high, 1e-30)
    found = values / (2 * reach) + 0.5 if low < 0 else values / reach
    if isqrt(pixels) ** 2 != pixels or pixels == 1:
        return tiles(found.reshape(1, 1, -1), 64, 64 * 8)
    return tiles(found.reshape(channels, pixels).T[None], 16, most)


def png(picture: np.ndarray, least: int = 1) -> bytes:
    """The bytes of a PNG file; small pictures are enlarged by a whole number until they are ``least`` pixels wide."""
    from PIL import Image

    buffer, times = io.BytesIO(), max(1, least // picture.shape[1])
    Image.fromarray(picture).resize([n * times for n in picture.shape[1::-1]], Image.Resampling.NEAREST).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


def address(data: bytes, kind: str = "png") -> str:
    """Bytes of a picture file as an address for pages."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def as_picture(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A stored picture, (features,), as (rows, columns, 3)."""
    found = np.clip(np.round(pixels), 0, 255).astype(np.uint8).reshape(shape).transpose(1, 2, 0)
    return np.repeat(found, 3, axis=2) if found.shape[2] == 1 else found


def best(probabilities: np.ndarray, count: int = BEST) -> list[tuple[int, float]]:
    """(class, probability) of the most probable classes, the best first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(int(k), float(probabilities[k])) for k in order]


def predictions(cases: Sequence[tuple[np.ndarray, np.ndarray, int]], names: Sequence[str]) -> str:
    """Pictures with their best five answers below, eight at most, as SVG.

    ``names``: names of the classes; of a name with commas the first part is shown.
    """
    short = [name.split(",")[0][:18] for name in names]

    def draw(figure: "Figure") -> None:
        rows = ceil(len(cases) / 4)
        axes = figure.subplots(2 * rows, 4, squeeze=False, height_ratios=[3, 2] * rows)
        for each in axes.flat:
            each.axis("off")
        for k, (picture, probabilities, label) in enumerate(cases):
            above, below = axes[2 * (k // 4), k % 4], axes[2 * (k // 4) + 1, k % 4]
            above.imshow(picture, interpolation="nearest")
            below.axis("on")
            found = best(probabilities)[::-1]
            below.barh(
                range(len(found)), [p for _, p in found], color=[RIGHT if c == label else WRONG for c, _ in found]
            )
            below.set(xlim=(0, 1), xticks=[], yticks=[], title=short[label])
            for y, (c, p) in enumerate(found):
                below.text(0.02, y, f"{short[c]} {p:.2f}", va="center", fontsize=8)

    return charts.svg(draw, "predictions", (10, 3.4 * ceil(len(cases) / 4)))


def confusion(counts: np.ndarray, names: Sequence[str]) -> str:
    """A matrix of how often cases of a class (rows) were answered with a class (columns), as SVG."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def draw(figure: "Figure") -> None:
        axes, size = figure.subplots(), len(counts)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set(xlabel="best answer", ylabel="class", xticks=range(size), yticks=range(size))
        axes.set_xticklabels([name.split(",")[0][:18] for name in names], rotation=60, ha="right")
        axes.set_yticklabels([name.split(",")[0][:18] for name in names])
        for y, x in np.argwhere(counts > 0) if size <= 20 else ():
            axes.text(x, y, f"{counts[y, x]:,}", ha="center", va="center", fontsize=7,
                      color="#ffffff" if shares[y, x] > 0.6 else "#202020")  # fmt: skip

    side = min(9, 2.5 + 0.4 * len(counts))
    return charts.svg(draw, "confusion", (side + 1, side))
