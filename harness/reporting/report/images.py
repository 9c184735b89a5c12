"""Pictures of a record as data addresses."""

import base64
import io
from collections.abc import Iterable
from math import ceil, isqrt
from typing import Any

import numpy as np
from PIL import Image

THUMBNAIL = 96


def thumbnails(pictures: Iterable[np.ndarray]) -> list[str]:
    """JPEG data addresses of (N, S, S, 3) pictures."""
    return [address(_shrink(Image.fromarray(picture)), "JPEG", quality=85) for picture in pictures]


def filter_grid(filters: np.ndarray) -> str:
    """A PNG of first-layer filters, each stretched over the whole range of colours.

    ``filters``: ndarray, (3·S·S, F); rows are channel, y, x.
    """
    low, high = filters.min(0), filters.max(0)
    stretched = (filters - low) / np.where(high > low, high - low, 1)
    return address(Image.fromarray(tiles(stretched.reshape(3, -1, filters.shape[1]))), "PNG")


def tiles(array: np.ndarray, columns: int = 16, most: int = 1 << 20) -> np.ndarray:
    """Tiles (channels, pixels, count) of values from 0 to 1 in rows, with black lines of one pixel around them.

    Tiles of three channels are in colour; of others the channels stand beside each other.
    """
    channels, pixels, count = array.shape
    side, shown = isqrt(pixels), min(count, most)
    array = array[:, : side * side, :shown].reshape(channels, side, side, shown)
    colour = channels == 3
    drawn = array.transpose(3, 1, 2, 0) if colour else array.transpose(3, 1, 0, 2).reshape(shown, side, -1, 1)
    columns, width = min(columns, shown), drawn.shape[2]
    rows = ceil(shown / columns)
    canvas = np.zeros((rows * (side + 1) + 1, columns * (width + 1) + 1, 3), np.uint8)
    for k, tile in enumerate(np.round(255 * drawn)):
        y, x = 1 + k // columns * (side + 1), 1 + k % columns * (width + 1)
        canvas[y : y + side, x : x + width] = tile
    return canvas


def _shrink(image: Image.Image) -> Image.Image:
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return image


def address(image: Image.Image, kind: str, **options: Any) -> str:
    """A picture as a data address."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
