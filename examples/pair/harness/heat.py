"""The old code: a stencil in C, called through ctypes. The new code: the same in NumPy."""

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np

FOLDER = tempfile.TemporaryDirectory()
LIBRARY = Path(FOLDER.name, "heat.so")
subprocess.run(["cc", "-O2", "-shared", "-fPIC", Path(__file__).with_name("heat.c"), "-o", LIBRARY], check=True)
HEAT = ctypes.CDLL(LIBRARY)
GRID = np.ctypeslib.ndpointer(np.float32, ndim=2, flags="C_CONTIGUOUS")
HEAT.step.argtypes = GRID, GRID, ctypes.c_int, ctypes.c_int, ctypes.c_float


def old(u, r):
    """One step in C."""
    following = np.empty_like(u)
    HEAT.step(u, following, *u.shape, r)
    return following


def new(u, r):
    """The same step in NumPy, in whatever precision the grid has."""
    inner = u[1:-1, 1:-1]
    following = u.copy()
    vertical, horizontal = u[2:, 1:-1] - 2 * inner + u[:-2, 1:-1], u[1:-1, 2:] - 2 * inner + u[1:-1, :-2]
    following[1:-1, 1:-1] += u.dtype.type(r) * (vertical + horizontal)
    return following


def model(u, r):
    """n and M: nine roundings inside, that of r among them, sums of absolute values; the edge is a copy."""
    u = np.abs(u)
    terms, magnitude = np.zeros(u.shape), np.zeros(u.shape)
    terms[1:-1, 1:-1] = 9
    neighbours = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
    magnitude[1:-1, 1:-1] = u[1:-1, 1:-1] + r * (neighbours + 4 * u[1:-1, 1:-1])
    return terms, magnitude
