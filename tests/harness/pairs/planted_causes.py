"""Mistakes planted in results of functions: those that `cause` knows, and others, of which it must not name one."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

AXES = ("channel", "y", "x", "image")


def conv(x, w):
    """Channels, y, x, images with filters (filters, channels, 3, 3)."""
    windows = sliding_window_view(np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), (3, 3), axis=(1, 2))
    return np.einsum("cyxnuv,fcuv->fyxn", windows, w)


def average(x):
    return sliding_window_view(x, (2, 2), axis=(1, 2)).mean((-1, -2))


def lrn(x, k=1.0):
    total = np.cumsum(np.pad(x**2, [(3, 2), (0, 0), (0, 0), (0, 0)]), 0)
    return x * (k + 0.1 * (total[5:] - total[:-5])) ** -0.75


def layer_norm(x, eps=1e-3):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + eps)


def rms_norm(x, w, epsilon=1e-2):
    return w[:, None, None, None] * x / np.sqrt((x**2).mean(0, keepdims=True) + epsilon)


def relu_conv(x, w):
    return np.maximum(conv(x, w), 0)


def product(x, w):
    return np.tensordot(w.reshape(len(w), -1)[:, : len(x)], x, 1)


def squashed(x):
    return np.tanh(2 * x)


FUNCTIONS = {"built": (conv, average, lrn, layer_norm), "held out": (relu_conv, product, squashed, rms_norm)}
"""By their names: what the search was built on, and what it had not seen."""
KINDS = ("transposed", "mirrored", "shifted", "scaled", "permuted", "swapped", "missing", "epsilon", "float16")
OTHERS = ("window", "noise", "some elements", "one slice scaled", "offset", "exponent", "within", "stale", "clipped",
          "two images", "rolled by two", "half a channel")  # fmt: skip


def scene(seed, which):
    """(function, arguments, random) of a seed."""
    random = np.random.default_rng([seed, ord(which[0])])
    channels, side, images = random.integers(3, 7) * 2, random.integers(5, 9), random.integers(3, 7)
    function = FUNCTIONS[which][random.integers(4)]
    x = random.standard_normal((channels, side, side + random.integers(3), images)).astype(np.float32)
    w = random.standard_normal((random.integers(3, 6) * 2, channels, 3, 3)).astype(np.float32)
    if function is rms_norm:
        w = w.reshape(-1)[:channels]
    return function, [x, w][: function.__code__.co_argcount - len(function.__defaults__ or ())], random


def planted(kind, function, arguments, random):
    """The wrong array; None where the mistake would not be one."""
    y = function(*arguments).astype(np.float32)
    axis = int(random.integers(4))
    if kind == "transposed":
        order = [(0, 2, 1, 3), (3, 1, 2, 0), (3, 0, 1, 2), (1, 2, 0, 3)][axis]
        z = y.transpose(order)
        return z if random.random() < 0.5 else np.ascontiguousarray(z).reshape(y.shape)
    if kind == "mirrored":
        return np.flip(y, [(1,), (2,), (1, 2)][axis % 3])
    if kind == "shifted":
        z = np.roll(y, 1 - 2 * (axis % 2), 1 + axis // 2)
        if random.random() < 0.5:
            edge = [slice(None)] * 4
            edge[1 + axis // 2] = 0 if axis % 2 == 0 else -1
            z[tuple(edge)] = 0
        return z
    if kind == "scaled":
        return y * np.float32(random.choice([2.0, 1 / y.shape[3], -1.0, 1.001, 255.0]))
    if kind == "permuted":
        return y[random.permutation(len(y))]
    if kind == "swapped":
        half = len(y) // 2
        return y[[*range(half, 2 * half), *range(half)]]
    if kind == "missing":
        n, z = int(random.integers(1, y.shape[3] - 1)), y.copy()
        if axis == 0:
            z[..., n] = 0
        elif axis == 1:
            return np.delete(y, n, 3)
        elif axis == 2:
            z[..., n] = y[..., 0]
        else:
            z[..., n:-1] = y[..., n + 1 :]
        return z
    if kind == "epsilon":
        names = function.__defaults__
        return None if not names else function(*arguments, names[0] * random.choice([0.1, 2, 10])).astype(np.float32)
    if kind == "float16":
        rounded = [x.astype(np.float16).astype(np.float32) for x in arguments]
        return (function(*rounded) if axis % 2 else y.astype(np.float16)).astype(np.float32)
    return other(kind, function, arguments, random, y)


def other(kind, function, arguments, random, y):
    """A mistake that no cause of the list describes."""
    z, n = y.copy(), int(random.integers(y.shape[3]))
    if kind == "window":
        return sliding_window_view(np.pad(y, [(0, 0), (1, 1), (1, 1), (0, 0)]), (3, 3), axis=(1, 2)).mean((-1, -2))
    if kind == "noise":
        return z + np.float32(1e-3) * random.standard_normal(z.shape).astype(np.float32)
    if kind == "some elements":
        z.reshape(-1)[random.choice(z.size, 20, replace=False)] += 1
    elif kind == "one slice scaled":
        z[..., n] *= 2
    elif kind == "offset":
        z += np.float32(0.25)
    elif kind == "exponent":
        z = np.sign(z) * np.abs(z) ** np.float32(0.9)
    elif kind == "within":
        z = random.permuted(z, axis=1)
    elif kind == "stale":
        z[:, : y.shape[1] // 2] = random.standard_normal(z[:, : y.shape[1] // 2].shape)
    elif kind == "clipped":
        z = np.clip(z, -0.3, 0.3)
    elif kind == "two images":
        z[..., n], z[..., n - 1] = y[..., n - 1] * 1.5, y[..., n]
    elif kind == "rolled by two":
        z = np.roll(z, 2, 1)[:, :, ::-1] * 1.5
    elif kind == "half a channel":
        z[n % len(z), : y.shape[1] // 2] = 0
    return z
