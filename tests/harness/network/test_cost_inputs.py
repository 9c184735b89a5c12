"""Values for data layers that costs read, by what reads them."""

import numpy as np
import pytest
from layer_specs import layer

from alexnet_rosetta.harness.network import cost_inputs as labels
from alexnet_rosetta.harness.network.graph import Graph

GRAPH = Graph(
    [
        *(layer(name, "data") for name in ("x", "classes", "shares", "marks", "both", "gate", "used")),
        layer("few", "fc", "x", outputs=3),
        layer("many", "fc", "x"),
        layer("a", "cost.logreg", "classes", "many"),
        layer("b", "cost.msm", "classes", "few"),
        layer("c", "cost.crossent", "shares", "many"),
        layer("d", "cost.crossent2", "marks", "many"),
        layer("e", "cost.rflickr", "marks", "many"),
        layer("f", "cost.crossent2", "both", "many"),
        layer("g", "cost.crossent", "both", "many"),
        layer("h", "cost.gsum2", "gate", "many"),
        layer("i", "cost.sum2", "used"),
    ]
)


def test_the_strictest_reader_decides():
    wanted = {"classes": "classes", "shares": "distribution", "marks": "targets", "both": "distribution"}
    assert labels.kinds(GRAPH) == wanted | {"gate": "gates"}


@pytest.mark.parametrize("name", labels.kinds(GRAPH))
def test_what_is_drawn_is_what_is_asked_for(name):
    kind = labels.kinds(GRAPH)[name]
    found = labels.draw(GRAPH, name, kind, 200, np.random.default_rng(0))
    assert found.shape == (5, 200)
    assert found.dtype == np.float32
    assert labels.complaint(GRAPH, name, kind, found) is None
    assert labels.complaint(GRAPH, name, kind, found + 2.5).endswith(f"; case 0 has {found[0, 0] + 2.5:g}")
    assert labels.complaint(GRAPH, name, kind, -1 - found)


def test_classes_are_those_of_the_smaller_cost():
    found = labels.draw(GRAPH, "classes", "classes", 200, np.random.default_rng(0))
    assert set(np.unique(found)) == {0, 1, 2}


def test_columns_of_a_distribution_add_up_and_have_impossible_classes():
    found = labels.draw(GRAPH, "shares", "distribution", 200, np.random.default_rng(0)).astype(np.float64)
    assert (np.abs(found.sum(0) - 1) <= 5 * 2.0**-24).all()
    assert (found == 0).sum() > 200
    assert (found > 0).any(0).all()


def test_targets_are_both_zero_and_one():
    found = labels.draw(GRAPH, "marks", "targets", 200, np.random.default_rng(0))
    assert set(np.unique(found)) == {0, 1}
