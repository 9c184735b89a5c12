"""Layers that transform images in a fixed way."""

import numpy as np

from . import image_ops
from .checks import Array
from .layer import VIEWS, Layer, images, matrix


class _Images(Layer):
    """A layer from images to images."""

    def _x(self):
        return images(self.inputs[0], self.spec["imgSize"])

    def _margin(self):
        """The distance from the end of the image at which resizing stops reading."""
        return 1.01 if self.quirks["resize-clamp"] else 1.0


class Nailbed(_Images):
    """Every stride-th pixel."""

    def _forward(self, noise):
        return matrix(image_ops.nailbed_forward(self._x(), stride=self.spec["stride"]))

    def _input_grad(self, i, acts_grad):
        grads, more = images(acts_grad, self.spec["outputsX"]), {"stride": self.spec["stride"]}
        return matrix(image_ops.nailbed_backward(grads, img_size=self.spec["imgSize"], **more))


class Blur(_Images):
    """Gaussian blur."""

    def _blur(self, array):
        more = {"filter_size": self.spec["filterSize"], "stdev": self.spec["stdev"]}
        return matrix(image_ops.blur(images(array, self.spec["imgSize"]), **more))

    def _forward(self, noise):
        return self._blur(self.inputs[0])

    def _input_grad(self, i, acts_grad):
        return self._blur(acts_grad)


class Mirror(_Images):
    """href: every image left-right."""

    def _forward(self, noise):
        return matrix(image_ops.mirror(self._x()))

    def _input_grad(self, i, acts_grad):
        return matrix(image_ops.mirror(images(acts_grad, self.spec["imgSize"])))

    def add_grad(self, i: int, total: Array, grads: Array) -> Array:
        """Add, or with the quirk on overwrite, as the release did."""
        return grads if self.quirks["href-overwrites"] else super().add_grad(i, total, grads)


class Resize(_Images):
    """Bilinear scaling by a fixed factor."""

    def _forward(self, noise):
        more = {"size": self.spec["tgtSize"], "scale": self.spec["scale"], "margin": self._margin()}
        return matrix(image_ops.resize(self._x(), **more))


class RandomScale(_Images):
    """rscale: a random scale and crop in training; the centre in other passes; views come at the right size."""

    drawn = None  # dict: the choices of the last training pass, arguments of `image_ops.rscale`

    def _check_inputs(self):
        """Accept, in passes over views, images that have the size of the output already."""
        if not self._is_view():
            super()._check_inputs()

    def _is_view(self):
        return self.pass_type in VIEWS and self.inputs[0].shape[0] == self.spec.outputs

    def _forward(self, noise):
        if self._is_view():
            return self.inputs[0].copy()
        side, size = self.spec["imgSize"], self.spec["tgtSize"]
        if self.pass_type != "train":
            start = (side - size) // 2
            return matrix(image_ops.crop(self._x(), size=size, top=start, left=start))
        uniforms = self.rng.random(4) if noise is None else np.ravel(noise)
        self.drawn = image_ops.rscale_draw(uniforms, img_size=side, max_scale=self.spec["maxScale"], size=size)
        return matrix(image_ops.rscale(self._x(), size=size, margin=self._margin(), **self.drawn))


class RgbToYuv(_Images):
    """Luminance and colour differences."""

    def _forward(self, noise):
        coefficients = image_ops.YUV if self.quirks["yuv-coefficients"] else image_ops.YUV_601
        return matrix(image_ops.rgb_to_yuv(self._x(), coefficients))


class RgbToLab(_Images):
    """L, a, b."""

    def _forward(self, noise):
        power = 0.3333 if self.quirks["lab-exponent"] else 1 / 3
        return matrix(image_ops.rgb_to_lab(self._x(), center=self.spec["center"], power=power))


IMAGE_LAYERS = {
    "nailbed": Nailbed,
    "blur": Blur,
    "href": Mirror,
    "resize": Resize,
    "rscale": RandomScale,
    "rgb2yuv": RgbToYuv,
    "rgb2lab": RgbToLab,
}
