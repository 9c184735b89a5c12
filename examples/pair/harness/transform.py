"""The old code: a recursive fast Fourier transform. The new code: that of NumPy."""

import numpy as np


def old(x):
    """Radix 2, along the last axis, whose length is a power of two; in the precision of x."""
    n = x.shape[-1]
    if n == 1:
        return x
    even, odd = old(x[..., ::2]), old(x[..., 1::2])
    turned = np.exp(-2j * np.pi * np.arange(n // 2) / n).astype(x.dtype) * odd
    return np.concatenate([even + turned, even - turned], -1)


def new(x):
    """NumPy's."""
    return np.fft.fft(x)


def model(x):
    """n and M: each level of the recursion rounds a few times, and all of |x| is added up."""
    return 4 * np.log2(x.shape[-1]), np.abs(x).sum(-1, keepdims=True)
