"""Pictures of a record as data addresses."""

import base64
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

THUMBNAIL = 96


def thumbnails(pictures: Iterable[np.ndarray]) -> list[str]:
    """JPEG data addresses of (N, S, S, 3) pictures."""
    return [address(_shrink(Image.fromarray(picture)), "JPEG", quality=85) for picture in pictures]


def filter_grid(filters: np.ndarray, columns: int = 16) -> str:
    """A PNG of first-layer filters, each stretched over the whole range of colours.

    Parameters
    ----------
    filters : ndarray, (3·S·S, F)
        Rows are channel, y, x.
    """
    size = round((len(filters) / 3) ** 0.5)
    tiles = filters.T.reshape(-1, 3, size, size).transpose(0, 2, 3, 1)
    low, high = tiles.min((1, 2, 3), keepdims=True), tiles.max((1, 2, 3), keepdims=True)
    tiles = (tiles - low) / np.where(high > low, high - low, 1)
    rows = -(-len(tiles) // columns)
    grid = np.zeros((rows * (size + 1) + 1, columns * (size + 1) + 1, 4), np.uint8)
    for k, tile in enumerate(tiles):
        y, x = k // columns * (size + 1) + 1, k % columns * (size + 1) + 1
        grid[y : y + size, x : x + size, :3] = np.round(255 * tile)
        grid[y : y + size, x : x + size, 3] = 255
    return address(Image.fromarray(grid), "PNG")


def _shrink(image: Image.Image) -> Image.Image:
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return image


def address(image: Image.Image, kind: str, **options: Any) -> str:
    """A picture as a data address."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
