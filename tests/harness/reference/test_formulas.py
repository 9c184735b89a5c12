"""The printed formulas have the numbers of the layer, and are formulas."""

from xml.etree import ElementTree

import pytest
from latex2mathml.converter import convert

from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.reference.formulas import formula

LAYERS = [(net, x.name) for net in ("alexnet", "tiny", "zoo") for x in networks.load(net).layers if x.type != "data"]
WITHOUT = {"rscale", "resize", "rgb2yuv", "rgb2lab", "cost.msm", "cost.rflickr", "cost.gsum2", "cost.tica"}


def spec(net, name):
    return networks.plain(networks.load(net).graph.layers[name])


@pytest.mark.parametrize(("net", "name"), LAYERS)
def test_a_formula_becomes_mathml_and_has_no_gap(net, name):
    layer = spec(net, name)
    for step in ("forward", "backward", "update"):
        text = formula(layer, step)
        assert "<" not in text.replace("0 < Y < ", "")
        assert text or layer["type"] in WITHOUT or (layer["type"], step) == ("nailbed", "backward")
        if text:
            ElementTree.fromstring(convert(text))


def test_numbers_of_the_layer_stand_in_the_formula():
    text = formula(spec("alexnet", "conv1a"), "forward")
    assert r"\sum_{c=0}^{2} \sum_{p=0}^{10} \sum_{q=0}^{10}" in text
    assert "4y+p" in text
    assert r"y-1+p" in formula(spec("tiny", "conv2b"), "forward")
    assert "2 + 0.0001" in formula(spec("alexnet", "rnorm1a"), "forward")
    assert r"1.5 \tanh(0.5 X)" in formula(spec("tiny", "tanh1"), "forward")
