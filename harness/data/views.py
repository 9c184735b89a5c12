"""How a network sees a batch: crops, mirrors, the mean, colour noise, several views (data-checkpoints-tools 3).

What is drawn by chance comes from the generator that the caller gives, so that every engine sees the same:
``noise.generator(seed, "views", epoch, number)`` for a batch of an epoch.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import BadInput
from .batches import Batch, DataSet, need

CORNERS = ((0, 0), (0, 2), (1, 1), (2, 0), (2, 2))
"""Offsets (y, x) of the views of a test, in borders: four corners and, in the middle, the centre."""
VIEWS = {
    1: (((1, 1), False),),
    9: tuple(((y, x), False) for y in range(3) for x in range(3)),
    10: tuple((at, mirrored) for mirrored in (False, True) for at in CORNERS),
}
"""The views of a test by their number, in their order: (offset, mirrored)."""


def for_training(
    data_set: DataSet,
    batch: Batch,
    random: np.random.Generator,
    inner: int | None = None,
    together: int = 1,
    mirror: bool = True,
    colour_noise: float = 0.0,
    scalar_mean: bool = False,
) -> Batch:
    """A batch as a network sees the cases when it learns: float32 data, (channels·inner·inner, cases).

    `random` draws y, x and mirror of all crops, then the colour noise. A crop has `inner` pixels a side; by default
    pictures are not cropped. So many consecutive pictures (`together`) share a crop and a mirror decision: 32 in 2012's
    provider of ImageNet. With `mirror`, the crop is turned left and right in one of two cases. `colour_noise` is the
    coefficient c of x' = (x - mean + c·V(s∘z)) / (1 + c) with z ~ N(0, 1) for each picture; 0 for none. With
    `scalar_mean`, subtract the mean over all pixels and channels in the place of the mean picture.
    """
    inner, border = _border(data_set, inner)
    cases = batch.pixels.shape[1]
    groups = -(-cases // together)
    y, x = (np.repeat(random.integers(0, 2 * border + 1, groups), together)[:cases] for _ in range(2))
    mirrored = np.repeat(random.integers(0, 2 if mirror else 1, groups), together)[:cases]
    data = _cut(data_set, batch.pixels, y, x, mirrored, inner)
    data -= _mean(data_set, inner, scalar_mean)
    if colour_noise:
        if data_set.shape[0] != 3:
            raise BadInput(f"{data_set.source}: colour noise without colours", hint="pictures of 3 channels have them")
        deviations, vectors = data_set.colours or principal_colours(batch)
        n = vectors @ (deviations[:, None] * random.standard_normal((3, cases), np.float32))
        of_channel = data.reshape(3, -1, cases)
        of_channel += np.float32(colour_noise) * n[:, None]
        of_channel /= np.float32(1 + colour_noise)
    return Batch(data, batch.labels, batch.unreadable)


def for_test(
    data_set: DataSet, batch: Batch, inner: int | None = None, views: int = 1, scalar_mean: bool = False
) -> Batch:
    """A batch as a network sees the cases in a test: the centre, or several views.

    Returns: column view·cases + case is that view of that case; labels likewise.
    """
    if views not in VIEWS:
        raise BadInput("no such number of views", expected="1, 9 or 10", actual=views)
    inner, border = _border(data_set, inner)
    cases, mean = batch.pixels.shape[1], _mean(data_set, inner, scalar_mean)
    need(4 * views * data_set.features * cases, f"{views} views of {cases} cases")
    rows = data_set.features if inner == data_set.shape[1] else data_set.shape[0] * inner * inner
    data = np.empty((rows, views * cases), np.float32)
    for k, ((y, x), mirrored) in enumerate(VIEWS[views]):
        top, left, turned = (np.full(cases, value) for value in (y * border, x * border, mirrored))
        data[:, k * cases : (k + 1) * cases] = _cut(data_set, batch.pixels, top, left, turned, inner)
    data -= mean
    return Batch(data, np.tile(batch.labels, views), batch.unreadable)


def over_views(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over the views of what a softmax gives, float32 (classes, cases).

    The views are added in their order; the sum is scaled by 1/count (pool-norm 7.8), as the engine does.

    ``probabilities``: list of ndarray of float32, (classes, cases); of each view.
    """
    return sum(probabilities[1:], probabilities[0]) * (1 / np.float32(len(probabilities)))


def principal_colours(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """(stdevs, vectors in columns) of the covariance of red, green and blue over the pixels of a batch."""
    pixels = batch.pixels.reshape(3, -1)
    values, vectors = np.linalg.eigh(np.cov(pixels[:, :: max(1, pixels.shape[1] // 1_000_000)]))
    return np.sqrt(values.clip(0)).astype(np.float32), vectors.astype(np.float32)


def _border(data_set: DataSet, inner: int | None) -> tuple[int, int]:
    """(side of the crop, border): the border is half of what the picture has more, rounded down."""
    side = data_set.shape[1]
    inner = side if inner is None else inner
    if not 1 <= inner <= side or (data_set.shape[2] != side != inner):
        raise BadInput(f"{data_set.source}: no crops of side {inner}", expected=f"1 to {side}")
    return inner, (side - inner) // 2


def _cut(
    data_set: DataSet, pixels: np.ndarray, y: np.ndarray, x: np.ndarray, mirrored: np.ndarray, inner: int
) -> np.ndarray:
    """The crop of each case at its offset, float32 (channels·inner·inner, cases); one copy for each kind of crop."""
    channels, rows, columns = data_set.shape
    if inner == rows and not mirrored.any():
        return np.array(pixels, np.float32, order="C")
    pixels, cases = pixels.reshape(channels, rows, columns, -1), pixels.shape[1]
    found = np.empty((channels, inner, min(inner, columns), cases), np.float32)
    kinds, kind_of = np.unique(np.stack([y, x, mirrored]), axis=1, return_inverse=True)
    for k, (top, left, turned) in enumerate(kinds.T.tolist()):
        which = np.flatnonzero(kind_of.ravel() == k)
        crop = pixels[:, top : top + inner, left : left + inner][..., which]
        found[..., which] = crop[:, :, ::-1] if turned else crop
    return found.reshape(-1, cases)


def _mean(data_set: DataSet, inner: int, scalar: bool) -> np.ndarray | np.float32:
    """What is subtracted, a column: the central window of the mean picture, whatever the crop's offset."""
    if scalar:
        return np.float32(data_set.mean.mean(dtype=np.float64))
    channels, rows, columns = data_set.shape
    at = (rows - inner) // 2
    window = data_set.mean.reshape(channels, rows, columns)
    return window[:, at : at + inner, at : at + inner].reshape(-1, 1) if inner != rows else data_set.mean[:, None]
