"""Operations and bytes, against numbers worked out by hand for the network of the 2012 paper."""

import pytest

from alexnet_rosetta.harness.bench.work import Work, count, products
from alexnet_rosetta.harness.engines import card, peaks
from alexnet_rosetta.harness.network import load as networks

ALEXNET = networks.load("alexnet")
GRAPH = ALEXNET.graph

# Products of one case in both towers: outputs of a map x maps x taps.
PRODUCTS = {
    "conv1": 55 * 55 * 96 * 11 * 11 * 3,
    "conv2": 27 * 27 * 256 * 5 * 5 * 48,
    "conv3": 13 * 13 * 384 * 3 * 3 * 256,
    "conv4": 13 * 13 * 384 * 3 * 3 * 192,
    "conv5": 13 * 13 * 256 * 3 * 3 * 192,
    "fc6": 6 * 6 * 256 * 4096,
    "fc7": 4096 * 4096,
    "fc1000": 4096 * 1000,
}


def work(layer, step, batch=1):
    return count(GRAPH, GRAPH.layers[layer], step, batch)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_both_towers(name):
    towers = [layer for layer in ALEXNET.layers if layer.name.rstrip("ab") == name]
    assert sum(sum(products(layer)) for layer in towers) == PRODUCTS[name]


def test_the_whole_forward_pass_is_724_million_products():
    weighted = [layer for layer in ALEXNET.layers if layer.type in ("conv", "fc")]
    assert sum(count(GRAPH, layer, "forward", 1).operations for layer in weighted) == 2 * 724_406_816


def test_backward_counts_the_inputs_only_where_they_want_a_gradient():
    assert work("conv1a", "backward").operations == work("conv1a", "forward").operations  # the image wants none
    assert work("conv2a", "backward").operations == 2 * work("conv2a", "forward").operations


@pytest.mark.parametrize("batch", [1, 128])
def test_operations_grow_with_the_batch(batch):
    assert work("conv3a", "forward", batch).operations == batch * work("conv3a", "forward").operations


def test_bytes_of_a_convolution():
    image, filters, maps = 3 * 224 * 224, 3 * 11 * 11 * 48 + 48, 48 * 55 * 55
    assert work("conv1a", "forward", 2).bytes == 4 * (2 * (image + maps) + filters)
    assert work("conv1a", "backward", 2).bytes == 4 * (2 * (maps + image) + filters)  # dW and db, no dx
    pixels, filters, maps = 48 * 27 * 27, 48 * 25 * 128 + 128, 128 * 27 * 27
    assert work("conv2a", "backward").bytes == 4 * (maps + 2 * pixels + 2 * filters)
    assert work("conv2a", "update", 128) == Work(6 * filters, 4 * 5 * filters)


def test_bytes_of_layers_without_weights():
    maps, pooled = 48 * 55 * 55, 48 * 27 * 27
    assert work("conv1a_neuron", "forward").bytes == 4 * 2 * maps
    assert work("conv1a_neuron", "backward").bytes == 4 * 3 * maps  # dy, y, dx
    assert work("pool1a", "forward") == Work(9 * pooled, 4 * (maps + pooled))
    assert work("pool1a", "backward").bytes == 4 * (2 * pooled + 2 * maps)  # dy, y, x, dx
    assert work("rnorm1a", "forward") == Work((2 * 5 + 4) * maps, 4 * 2 * maps)
    assert work("hs6a", "forward").bytes == 4 * 3 * 2048


def test_every_layer_of_the_shipped_networks_is_counted():
    for net in networks.shipped():
        network = networks.load(net)
        for layer in network.layers:
            for step in ("forward", "backward"):
                if layer.type != "data":
                    found = count(network.graph, layer, step, 4)
                    assert found.bytes > 0, layer.name
                    assert found.operations > 0 or step == "backward", layer.name


def test_the_least_time_is_the_longer_of_computing_and_moving():
    machine = peaks.Peak("a machine", 100.0, 10.0)
    assert Work(500, 20).seconds(machine) == 5.0
    assert Work(500, 80).seconds(machine) == 8.0
    assert Work(1, 2) + Work(10, 20) == Work(11, 22)


def test_peak_of_a_card_from_its_attributes():
    gtx_580 = {
        "name": "GTX 580",
        "compute_capability": (2, 0),
        "multiprocessors": 16,
        "clock_khz": 1_544_000,
        "memory_clock_khz": 2_004_000,
        "bus_bits": 384,
    }
    h100 = {
        "name": "H100",
        "compute_capability": (9, 0),
        "multiprocessors": 132,
        "clock_khz": 1_980_000,
        "memory_clock_khz": 2_619_000,
        "bus_bits": 5120,
    }
    assert peaks.of_card(h100) == peaks.Peak("H100", 2 * 132 * 128 * 1.98e9, 2 * 2.619e9 * 640)
    for capability in ((6, 0), (7, 0), (7, 5), (8, 0)):
        assert peaks.of_card(h100 | {"compute_capability": capability}).flops == 2 * 132 * 64 * 1.98e9
    assert round(peaks.of_card(gtx_580).bandwidth / 1e9) == round(peaks.GTX_580.bandwidth / 1e9)


def test_images_per_second_of_2012():
    assert [round(rate) for rate in peaks.images_per_second_of_2012()] == [208, 250]


def test_a_card_that_hides_its_clocks_has_no_peak(monkeypatch):
    card_facts = {"name": "a card", "compute_capability": (9, 0), "multiprocessors": 132, "clock_khz": 1_980_000,
                  "memory_clock_khz": 2_619_000, "bus_bits": 5120}  # fmt: skip
    monkeypatch.setattr(card.Card, "facts", lambda self: card_facts)
    assert card.card_peak().name == "a card"
    card_facts["clock_khz"] = 0
    assert card.card_peak() is None
