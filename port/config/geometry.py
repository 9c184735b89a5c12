"""Sizes of layers, derived from other sizes with integer arithmetic (config-format 6)."""

from math import isqrt


def ceil_div(a: int, b: int) -> int:
    """a/b rounded up, for integers with b > 0."""
    return -(-a // b)


def square_side(values: int, channels: int) -> int:
    """Side S of square images with ``channels * S * S == values``, or 0 if there is none."""
    side = isqrt(values // channels)
    return side if channels * side * side == values else 0


def conv_modules(img_size: int, filter_size: int, padding: int, stride: int) -> int:
    """Output side of a convolution, rounded up: the last module may extend beyond the right and the bottom edge."""
    return 1 + ceil_div(2 * padding + img_size - filter_size, stride)


def pool_outputs(img_size: int, size: int, start: int, stride: int) -> int:
    """Output side of a pooling layer, rounded up: windows are clipped at the border of the image."""
    return ceil_div(img_size - start - size, stride) + 1


def nailbed(img_size: int, stride: int) -> tuple[int, int]:
    """(output side, first sampled row) of a bed of nails."""
    outputs = (img_size + stride - 1) // stride
    return outputs, (img_size - stride * (outputs - 1)) // 2
