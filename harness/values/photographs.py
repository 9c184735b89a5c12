"""Real photographs, cut and mean-subtracted the way the 2012 data provider did it.

The photographs travel in scikit-image's wheel (public domain or CC0, see docs). The provider kept square pictures
with a border of b pixels on each side of the S-pixel crop (S = 224: pictures of 256, b = 16) and, for training,

* drew one offset pair in 0..2b (y first) and one mirror decision per chunk of 32 consecutive images,
* mirrored the crop, not the picture,
* subtracted the central S×S window of the mean picture, whatever the offset

(data-checkpoints-tools 3.1 to 3.3). Here a *picture* is a square of a photograph, at a random place and with a side of
60 to 100 % of the photograph's shorter side, resampled to S + 2b pixels; the mean picture is the average of 8 such
pictures of each photograph, drawn apart from those that are shown to the network.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput
from .noise import generator

if TYPE_CHECKING:
    from PIL.Image import Image as Photograph

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "retina": "retina.jpg",
}
CHUNK = 32
MEAN_PICTURES = 8


def crops(size: int, batch: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A batch of photograph crops of S = `size` pixels; crop n of N shows photograph n modulo their number.

    Only as many photographs are used as there are classes. The result is `data`, float32 (3·S·S, N), rows channel, y,
    x, the mean subtracted; `labels`, float32 (1, N), the index of the photograph; `pictures`, uint8 (N, S, S, 3), the
    crops before the mean was subtracted.
    """
    border = max(1, size // 14)
    photographs = [open_photograph(name) for name in list(PHOTOGRAPHS)[:classes]]
    labels = np.arange(batch) % len(photographs)
    shown = np.empty((batch, size, size, 3), np.uint8)

    def show(n: int) -> None:
        picture = square(photographs[labels[n]], size + 2 * border, generator(seed, "picture", n))
        shown[n] = _train_crop(picture, size, border, generator(seed, "chunk", n // CHUNK))

    centre = slice(border, border + size)
    with ThreadPoolExecutor() as pool:  # each picture has a stream of its own
        cut = pool.map(show, range(batch))
        mean = _mean_picture(photographs, size + 2 * border, seed, pool.map)[centre, centre]
        list(cut)
    data = (shown.astype(np.float32) - mean).transpose(3, 1, 2, 0).reshape(3 * size * size, batch)
    return np.ascontiguousarray(data), labels[None].astype(np.float32), shown


def grey(data: np.ndarray, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same crops in grey: data (S·S, N), and pictures whose three colours are alike.

    Grey is .299 red + .587 green + .114 blue, as television defined it (ITU-R BT.601).
    """
    weights = np.array([0.299, 0.587, 0.114])
    values = np.tensordot(weights, data.reshape(3, -1, data.shape[1]), 1).astype(np.float32)
    shown = np.round(pictures @ weights).astype(np.uint8)
    return np.ascontiguousarray(values), np.repeat(shown[..., None], 3, axis=-1)


def open_photograph(name: str) -> "Photograph":
    from PIL import Image

    package = find_spec("skimage")
    folder = Path(package.origin).parent / "data" if package and package.origin else Path("skimage/data")
    try:
        with Image.open(folder / PHOTOGRAPHS[name]) as image:
            return image.convert("RGB")
    except OSError as error:
        raise BadInput(
            f"photograph {name} cannot be read ({error})",
            hint="the photographs come with scikit-image: pip install scikit-image, or use --input random",
        ) from error


def square(photograph: "Photograph", side: int, random: np.random.Generator) -> np.ndarray:
    """A random square of the photograph, resampled to side × side: uint8 (side, side, 3)."""
    from PIL import Image

    room = min(photograph.size)
    extent = room * random.uniform(0.6, 1.0)
    x = random.uniform(0, photograph.width - extent)
    y = random.uniform(0, photograph.height - extent)
    box = (x, y, x + extent, y + extent)
    return np.asarray(photograph.resize((side, side), Image.Resampling.BICUBIC, box))


def _train_crop(picture: np.ndarray, size: int, border: int, random: np.random.Generator) -> np.ndarray:
    y, x = random.integers(0, 2 * border + 1, 2)
    crop = picture[y : y + size, x : x + size]
    return crop[:, ::-1] if random.random() < 0.5 else crop


def _mean_picture(
    photographs: "Sequence[Photograph]", side: int, seed: int, each: Callable[..., Iterable[np.ndarray]] = map
) -> np.ndarray:
    def picture(k: int) -> np.ndarray:
        label = k // MEAN_PICTURES
        return square(photographs[label], side, generator(seed, "mean", label, k % MEAN_PICTURES))

    total = np.zeros((side, side, 3))
    for one in each(picture, range(len(photographs) * MEAN_PICTURES)):
        total += one
    return (total / (len(photographs) * MEAN_PICTURES)).astype(np.float32)
