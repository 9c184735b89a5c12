"""Calls of the convolution entry points for a geometry, on a device that runs nothing."""

from dataclasses import dataclass

import numpy as np

from alexnet_rosetta.legacy import cudaconv, launch_log
from alexnet_rosetta.legacy.gpu.recording import DryDevice


def values(rows, columns, order="C"):
    """Memory that nobody reads."""
    return np.empty((rows, columns), np.float32, order)


def dry(entry, *args, device=None, **kwargs):
    """(kernel, grid, block, shared bytes) of every launch of a call; extents along z only where they are not 1."""
    with launch_log() as log:
        getattr(cudaconv, entry)(*args, **kwargs, device=device or DryDevice())
    return [(r["kernel"], short(r["grid"]), short(r["block"]), r["shared_bytes"]) for r in log]


def short(extents):
    """Without a z of 1."""
    return extents[:2] if extents[2] == 1 else extents


@dataclass
class Layer:
    """Geometry of a layer: images, channels, groups, filters, sides of image, filter and modules; k for a table."""

    c: int
    f: int
    img: int
    size: int
    n: int = 128
    g: int = 1
    k: int = 0
    stride: int = 1
    pad: int = 0
    side: int = 0
    scale: int = 0
    conv: bool = True
    device: DryDevice | None = None

    def __post_init__(self):
        self.side = self.side or 1 + -(-(2 * self.pad + self.img - self.size) // self.stride)
        self.sparse = bool(self.k)
        self.k = self.k or self.c // self.g
        self.modules, self.pixels = self.side**2, self.size**2
        self.samples = self.k * self.g // self.c

    def forward(self):
        """Launches of the forward pass."""
        return self._call(
            "Filter",
            (self.images(), self.filters()),
            self.f * self.modules,
            imgSizeY=self.img,
            numModulesY=self.side,
            numModulesX=self.side,
        )

    def image_gradient(self):
        """Launches of the gradient of the images."""
        return self._call(
            "Img",
            (self.outputs(), self.filters()),
            self.samples * self.c * self.img**2,
            imgSizeY=self.img,
            imgSizeX=self.img,
            numModulesY=self.side,
        )

    def weight_gradient(self, partial_sum):
        """Launches of the gradient of the filters; a local layer has no partialSum."""
        given = {"partialSum": partial_sum} if self.conv else {}
        slabs = self.modules // (partial_sum or self.modules)
        return self._call(
            "Weight",
            (self.images(), self.outputs()),
            slabs * self.k * self.pixels,
            self.f,
            imgSizeY=self.img,
            numModulesY=self.side,
            numModulesX=self.side,
            filterSize=self.size,
            **given,
        )

    def _call(self, what, inputs, rows, columns=None, **sizes):
        entry = f"{'conv' if self.conv else 'local'}{what}Acts{'Sparse' if self.sparse else ''}"
        targets = values(rows, columns or self.n) if self.scale else None
        if self.sparse:
            table = np.arange(self.g * self.k, dtype=np.int32).reshape(self.g, self.k) % self.c
            sizes |= {"colorIndices": table, "numFilterColors": self.k}
        (launch,) = dry(
            entry,
            *inputs,
            targets,
            paddingStart=-self.pad,
            moduleStride=self.stride,
            numImgColors=self.c,
            numGroups=self.g,
            scaleTargets=self.scale,
            device=self.device,
            **sizes,
        )
        return launch

    def images(self):
        """An array of the shape of the images."""
        return values(self.c * self.img**2, self.n)

    def filters(self):
        """An array of the shape of the filters."""
        return values((1 if self.conv else self.modules) * self.k * self.pixels, self.f)

    def outputs(self):
        """An array of the shape of the outputs."""
        return values(self.f * self.modules, self.n)
