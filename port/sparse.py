"""Sparse connectivity: which channels each filter group sees. Source: config-format 12.

A table lists the channels of group 0, then the channels of group 1 and so on, the same number for each group. A table
consists of whole permutations of all channels, so that the groups use each channel equally often (``overSample``
times). A sparse layer is a layer with dense groups on the gathered channels; NumPy gathers and scatters.
"""

import numpy as np
from numpy.typing import ArrayLike

from .checks import Array, floats, require


def draw_connections(rng: np.random.Generator, channels: int, over_sample: int) -> Array:
    """A random table of so many permutations of the channels: integers, (over_sample * channels,)."""
    return np.concatenate([rng.permutation(channels) for _ in range(over_sample)])


def check_connections(connections: ArrayLike, channels: int, over_sample: int) -> Array:
    """The table as an array.

    Raises OperandError (a ValueError): the table does not consist of `over_sample` permutations of 0 ... channels-1.
    """
    table = np.asarray(connections)
    right = table.shape == (over_sample * channels,) and np.issubdtype(table.dtype, np.integer)
    right = right and np.array_equal(np.sort(table.reshape(-1, channels)), [range(channels)] * over_sample)
    expected = f"{over_sample} permutation(s) of 0 ... {channels - 1}, one after the other"
    hint = "group k sees the entries from k*filterChannels on"
    require(right, "connections: wrong table", expected, f"{table.dtype} {table.shape}", hint)
    return table


def gather(images: Array, connections: Array) -> Array:
    """The channels in the order of the table: (C, I, I, N) -> (over_sample * C, I, I, N)."""
    return floats("gather: images", images, 4)[connections]


def scatter(grads: Array, connections: Array, channels: int) -> Array:
    """Gradient of `gather`: the sum over all uses of a channel, (over_sample * C, I, I, N) -> (C, I, I, N)."""
    grads = floats("scatter: grads", grads, 4)
    out = np.zeros((channels, *grads.shape[1:]), grads.dtype)
    for first in range(0, len(connections), channels):
        out[connections[first : first + channels]] += grads[first : first + channels]
    return out
