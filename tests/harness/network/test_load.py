import pytest
from small_nets import DEFINITION, PARAMS, write_net

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.running.prepare import Options
from alexnet_rosetta.port.config import ConfigError


def test_shipped_names_load():
    assert {"alexnet", "cifar", "tiny"} <= set(networks.shipped())
    for name in networks.shipped():
        network = networks.load(name)
        assert network.name == name
        assert network.spec.has_params


def test_alexnet_has_the_parameters_of_the_paper():
    assert networks.load("alexnet").spec.parameter_count == 60_965_224


def test_a_path_finds_the_parameter_file_beside_it(tmp_path):
    network = networks.load(write_net(tmp_path))
    assert network.params == tmp_path / "small-params.cfg"
    assert network.classes() == 10


def test_without_a_parameter_file_sizes_are_there(tmp_path):
    definition = tmp_path / "alone.cfg"
    definition.write_text(DEFINITION)
    assert not networks.load(str(definition)).spec.has_params


def test_parameter_shapes(tmp_path):
    network = networks.load(write_net(tmp_path))
    assert networks.parameter_shapes(network.spec["conv1"]) == {"weights[0]": (27, 16), "biases": (16, 1)}
    assert networks.parameter_shapes(network.spec["pool1"]) == {}


def test_a_missing_network_names_the_shipped_ones():
    with pytest.raises(
        BadInput, match=r"no network 'alexnett'.*hint.*alexnet, caffe, cifar, convnet2, fashion, photos, release, tiny"
    ):
        networks.load("alexnett")


def test_a_folder_is_no_network(tmp_path):
    with pytest.raises(BadInput, match=r"is a folder.*rosetta check layers"):
        networks.load(str(tmp_path))


def test_a_missing_parameter_file_is_an_error(tmp_path):
    with pytest.raises(BadInput, match=r"no layer-parameter file"):
        networks.load(write_net(tmp_path), str(tmp_path / "none.cfg"))


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (DEFINITION.replace("type=conv", "type=convolution"), ("small.cfg", "conv1", "type")),
        (DEFINITION.replace("filterSize=3", "filterSize=99"), ("small.cfg", "conv1")),
        (DEFINITION.replace("inputs=pool1", "inputs=pool7"), ("small.cfg", "fc1", "inputs")),
        ("no sections at all", ("small.cfg",)),
    ],
)
def test_a_bad_file_is_named_with_layer_and_key(tmp_path, definition, words):
    net = write_net(tmp_path, definition)
    with pytest.raises(ValueError, match=r".") as caught:
        networks.load(net)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_a_bad_parameter_is_named(tmp_path):
    net = write_net(tmp_path, params=PARAMS.replace("momB=0.9", "momB=much", 1))
    with pytest.raises(ValueError, match=r"small-params\.cfg.*conv1.*momB"):
        networks.load(net)


def test_reading_rules(tmp_path):
    net = write_net(tmp_path, "ano" + DEFINITION.lstrip(), PARAMS.replace("[fc1]", "[fc1]\nsched=exp[9]"))
    with pytest.raises(ConfigError, match="an option before the first section"):
        networks.load(net)
    assert networks.load(net, rules=["salvage"]).spec["fc1"]["schedW"]["type"] == "default"
    assert networks.load(net, rules=["salvage", "sched"]).spec["fc1"]["schedB"]["type"] == "exp"
    with pytest.raises(ConfigError, match="the parser of 2012 does not accept this: gpu is missing"):
        networks.load(net, rules=["salvage", "strict-2012"])
    with pytest.raises(BadInput, match=r"there is no reading rule 'strict'.*strict-2012, salvage, sched"):
        Options(net, rules=("strict",))
