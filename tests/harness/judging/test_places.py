"""Where an element is, in channels, rows, columns and images."""

import numpy as np
import pytest

from alexnet_rosetta.harness.judging import places
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.network.load import parameter_shapes


@pytest.fixture(scope="module", params=networks.shipped())
def net(request):
    return networks.load(request.param)


def axes(net, layer, tensor, shape):
    layers = net.graph.layers
    return places.axes(layers, layers[layer], tensor, shape)


@pytest.mark.parametrize(
    ("layer", "tensor", "shape", "position", "place"),
    [
        ("conv1", "acts", (2304, 5), (13 * 144 + 7 * 12 + 5, 4), {"channel": 13, "y": 7, "x": 5, "image": 4}),
        ("conv1", "inputs_grad[1]", (432, 5), (2 * 144 + 1, 0), {"channel": 2, "y": 0, "x": 1, "image": 0}),
        ("conv1", "weights_grad[1]", (75, 16), (2 * 25 + 3 * 5 + 4, 15), {"channel": 2, "y": 3, "x": 4, "filter": 15}),
        ("conv1", "biases_inc", (16, 1), (9, 0), {"filter": 9}),
        ("conv2", "biases", (1152, 1), (31 * 36 + 2 * 6 + 1, 0), {"filter": 31, "y": 2, "x": 1}),
        (
            "local1",
            "weights_inc[0]",
            (4608, 16),
            ((3 * 4 + 2) * 288 + 30 * 9 + 1 * 3 + 2, 6),
            {"module y": 3, "module x": 2, "channel": 30, "y": 1, "x": 2, "filter": 6},
        ),
        ("resize1", "acts", (432, 5), (431, 1), {"channel": 2, "y": 11, "x": 11, "image": 1}),
        ("stack1", "acts", (2128, 5), (1000, 1), {"row": 1000, "image": 1}),
        ("stack1", "inputs_grad[2]", (1152, 5), (37, 1), {"channel": 1, "y": 0, "x": 1, "image": 1}),
        ("fc1", "weights[0]", (2128, 147), (1000, 40), {"input": 1000, "output": 40}),
        ("fc1", "biases_grad", (1, 147), (0, 40), {"output": 40}),
        ("logreg1", "cost", (3,), (2,), {"row": 2}),
        ("conv1", "acts", (7, 5), (6, 4), {"row": 6, "column": 4}),
    ],
)
def test_places_of_zoo(layer, tensor, shape, position, place):
    found = places.place(axes(networks.load("zoo"), layer, tensor, shape), shape, position)
    assert found == place
    assert list(found) == list(place)


def test_every_axis_of_every_tensor(net):
    for layer in net.layers:
        inputs = {f"inputs_grad[{i}]": net.graph.layers[name].outputs for i, name in enumerate(layer.inputs)}
        tensors = {name: (rows, 3) for name, rows in ({"acts": layer.outputs} | inputs).items() if rows}
        for tensor, shape in (tensors | parameter_shapes(layer)).items():
            found = axes(net, layer.name, tensor, shape)
            assert np.prod(list(found.values())) == np.prod(shape)
            assert "column" not in found, (layer.name, tensor)
            corner = tuple(length - 1 for length in shape)
            assert places.place(found, shape, corner) == {axis: length - 1 for axis, length in found.items()}


def test_pictures_are_as_large_as_their_layer_says(net):
    for layer, shape in zip(net.layers, places.shapes(net.layers).values(), strict=True):
        assert np.prod(shape) == layer.outputs
        if "modulesX" in layer.keys or "outputsX" in layer.keys:
            side = layer.get("modulesX") or layer.get("outputsX")
            assert shape == (layer.outputs // side**2, side, side)
