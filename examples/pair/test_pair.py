"""The same in a test-suite: pytest --rosetta-report verdict."""

import numpy as np

from harness import heat

GRID = np.random.default_rng(1).random((50, 60), np.float32)


def test_heat(rosetta):
    terms, magnitude = heat.model(GRID, 0.2)
    exact = heat.new(GRID.astype(np.float64), 0.2)
    rosetta.assert_equivalent(heat.old(GRID, 0.2), exact, terms=terms, magnitude=magnitude, axes=("y", "x"))
