"""How the tests of the port's operations compare: rounding bounds and central differences, no typed tolerances."""

import numpy as np

from alexnet_rosetta.port import threads


def assert_within(actual, value, terms, magnitude):
    """|actual - value| <= 8 sqrt(terms) u magnitude for every element; u is the rounding unit of actual's dtype."""
    assert actual.shape == np.shape(value)
    unit = np.finfo(actual.dtype).eps / 2
    bound = 8 * np.sqrt(terms) * unit * np.broadcast_to(magnitude, actual.shape)
    error = np.abs(actual - np.asarray(value, np.float64))
    bad = ~(error <= bound)
    assert not bad.any(), (
        f"{bad.sum()} of {bad.size} outside; first at {np.argwhere(bad)[0]}: {error[bad][0]} > {bound[bad][0]}"
    )


def assert_gradient(function, x, gradient, rng, directions=5):
    """Central differences of a float64 scalar function along random directions agree with <gradient, direction>.

    Differences with steps h and h/2 differ by three quarters of the truncation error of the first; that, and the
    rounding of the function's terms over h, is what the extrapolated difference may be off.
    """
    assert x.dtype == np.float64
    h = np.finfo(np.float64).eps ** (1 / 5)
    for _ in range(directions):
        v = rng.standard_normal(x.shape)
        coarse, fine = (((function(x + s * v)) - function(x - s * v)) / (2 * s) for s in (h, h / 2))
        rounding = (
            8 * np.sqrt(x.size) * np.finfo(np.float64).eps * max(1, np.abs(gradient * v).sum(), abs(function(x))) / h
        )
        assert abs((4 * fine - coarse) / 3 - (gradient * v).sum()) <= abs(fine - coarse) + rounding


def same_bits(a, b):
    """Equal bit for bit, shape and dtype included."""
    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()
    )


def assert_same_bits_on_any_number_of_threads(run, monkeypatch):
    """The arrays that run() returns are the same on 1, 2 and 3 threads, which even small problems get here."""
    monkeypatch.setattr(threads, "GRAIN", 1)
    results = []
    try:
        for count in (1, 2, 3):
            threads.set_threads(count)
            results.append(run())
    finally:
        threads.set_threads(None)
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))


def sums(values, size, mirrored=False):
    """Sums over clipped windows, from the matrix that says which row (or column) belongs to which window."""
    y, v = np.mgrid[: values.shape[1], : values.shape[1]]
    member = ((v >= y - size // 2) & (v < y - size // 2 + size)).astype(float)
    member = member.T if mirrored else member
    return np.einsum("yv,xw,cvwn->cyxn", member, member, values)
