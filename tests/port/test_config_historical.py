"""All derived values of the historical pairs, against what the release's own parser computed."""

import gzip
import json
import os
from pathlib import Path

import pytest

from alexnet_rosetta.port.config import Tree, load_network

FOLDER = os.environ.get("ROSETTA_HISTORICAL")
pytestmark = [
    pytest.mark.historical,
    pytest.mark.skipif(
        not FOLDER, reason="ROSETTA_HISTORICAL does not name the folder with the historical layer files"
    ),
]
EXPECTED = json.loads(gzip.decompress(Path(FOLDER, "expected.json.gz").read_bytes())) if FOLDER else {"none": None}


def flat_tree(layers):
    """The class tree that a treefc layer's expected values imply: one root over all leaves."""
    trees = [layer for layer in layers.values() if layer["type"] == "treefc"]
    return (
        Tree((*[()] * trees[0]["outputs"], tuple(range(trees[0]["outputs"]))), trees[0]["rootLabel"]) if trees else None
    )


@pytest.mark.parametrize("pair", EXPECTED)
def test_derived_values(pair):
    facts = EXPECTED[pair]
    definition, params = (Path(FOLDER, name) for name in pair.split(" + "))
    network = load_network(
        definition, params, data_dims=facts["dims"], num_classes=facts["classes"], tree=flat_tree(facts["layers"])
    )
    actual = {layer.name: layer.to_dict() for layer in network}
    assert actual.keys() == facts["layers"].keys()
    for name, expected in facts["layers"].items():
        assert actual[name] == expected, name
