"""Geometries of pooling, their windows, and images with ties."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def geometries(draw):
    img_size = draw(st.integers(1, 9))
    size = draw(st.integers(1, min(5, img_size)))
    start = -draw(st.integers(0, size - 1))
    return dict(img_size=img_size, size=size, stride=draw(st.integers(1, 4)), start=start)


def keywords(g):
    return {name: g[name] for name in ("size", "stride", "start")}


def windows(g):
    """(oy, ox, rows, columns) of every window, clipped; outputs until the image is covered."""
    firsts = [g["start"]]
    while firsts[-1] + g["size"] < g["img_size"]:
        firsts.append(firsts[-1] + g["stride"])
    clip = [slice(max(a, 0), max(0, min(a + g["size"], g["img_size"]))) for a in firsts]
    for oy, rows in enumerate(clip):
        for ox, columns in enumerate(clip):
            yield oy, ox, (slice(None), rows, columns)


def outputs(g):
    return max(oy for oy, _, _ in windows(g)) + 1


def draw_images(g, dtype, seed, channels=3, count=4):
    """Multiples of 1/2: with many ties."""
    shape = (channels, g["img_size"], g["img_size"], count)
    return (np.random.default_rng(seed).integers(-5, 6, shape) / 2).astype(dtype)
