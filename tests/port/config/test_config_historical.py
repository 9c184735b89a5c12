"""All derived values of the historical pairs, against what the release's own parser computed."""

import os

import pytest

from alexnet_rosetta.harness.checks.layers import pairs
from alexnet_rosetta.harness.network import load as networks

FOLDER = os.environ.get("ROSETTA_HISTORICAL")
pytestmark = [
    pytest.mark.historical,
    pytest.mark.skipif(
        not FOLDER, reason="ROSETTA_HISTORICAL does not name the folder with the historical layer files"
    ),
]


@pytest.mark.parametrize("pair", pairs.recorded(FOLDER) if FOLDER else [None], ids=lambda pair: pair and pair.name)
def test_derived_values(pair):
    network = networks.load(pair.definition, pair.params, pair.data)
    assert list(pairs.complaints(network, pair.layers)) == []
    assert len(network.layers) == len(pair.layers)
    assert pairs.count(pair.layers) > 10 * len(pair.layers)


def test_every_file_belongs_to_a_recorded_pair():
    found, alone = pairs.find(FOLDER)
    assert alone == []
    assert all(pair.layers for pair in found)
    assert len(found) == 24
