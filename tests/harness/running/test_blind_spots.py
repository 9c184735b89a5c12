"""How small an error the bounds let through, measured on the bounds themselves: what docs/verdict.md says."""

import re
from pathlib import Path

import numpy as np
import pytest

from alexnet_rosetta.harness.running.prepare import Options, prepare, rows

GUIDE = (Path(__file__).parents[3] / "docs" / "verdict.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=["tiny", "zoo"])
def shares(request):
    """By tensor, bound / |value| of every element that is not zero; the name of the network."""
    work = prepare(Options(request.param, engines=("reference",), batch=32, threads=1))
    found = {}

    def inspect(layer, tensor, bounded):
        value, bound = np.abs(bounded.value), np.broadcast_to(bounded.bound(), np.shape(bounded.value))
        found.setdefault((layer.name, tensor), []).append(bound[value > 0] / value[value > 0])

    work.inspect = inspect
    for _ in rows(work, "isolated"):
        pass
    return request.param, {key: np.concatenate(parts, axis=None) for key, parts in found.items()}


def test_an_error_of_a_whole_tensor(shares):
    """All elements wrong by the same factor are noticed where the most sharply bounded one is."""
    _, found = shares
    smallest = sorted(share.min() for share in found.values() if share.size)
    whole, median = (float(x) for x in re.search(r"relative error of ([\d.e-]+) .* median ([\d.e-]+)", GUIDE).groups())
    assert smallest[-1] < whole
    assert smallest[len(smallest) // 2] < median


def test_a_single_element(shares):
    net, found = shares
    every = np.concatenate(list(found.values()))
    hidden = float(re.search(rf"([\d.]+) % of the elements of `{net}`", GUIDE)[1]) / 100
    assert np.mean(every > 1e-3) < hidden
