"""Every rule under which a file is accepted that the parser of 2012 refused, by name, layer, key and value."""

import pytest

from alexnet_rosetta.port.config import ConfigError, load_network
from alexnet_rosetta.port.config.keys import TOLERANCES

DATA = "[data]\ntype=data\ndataIdx=0\ndims=768\n"
COST = "[cost]\ntype=cost.sum2\ninputs=top\n"
RATES = "epsW=.1\nepsB=.2\nmomW=.9\nmomB=.8\n"
PARAMS = "[cost]\ncoeff=1\n[top]\n"
CONV = "type=conv\ninputs=data\nchannels=3\nfilters=16\nfilterSize=5\ninitW=.01\npartialSum=0\ngpu=0\n"
FC = "type=fc\ninputs=data\noutputs=4\ninitW=.1\ngpu=0\n"
NORM = "type=rnorm\ninputs=data\nchannels=3\ngpu=0\n"

CASES = {
    "device": (FC.replace("gpu=0\n", ""), RATES, "gpu", None),
    "replicas": (FC.replace("gpu=0", "gpu=0,1"), RATES, "gpu", None),
    "oldest norm": (NORM + "sizeX=3\n", "scale=1\npow=.5\n", "sizeX", 3),
    "schedule": (FC, RATES + "schedW=exp[100]\n", "schedW", "exp[100]"),
    "rates of 2014": (FC, RATES.replace("epsB=.2", "epsB=const[base=.2]"), "epsB", None),
    "broadcast": (FC.replace("inputs=data", "inputs=data,data"), RATES, "initW", ".1"),
    "kernel limit": (CONV.replace("filters=16", "filters=7"), RATES, "filters", 7),
    "neuron": (FC + "neuron=tanh[1e-1,1]\n", RATES, "neuron", "tanh[1e-1,1]"),
    "partialSum": (CONV.replace("partialSum=0\n", ""), RATES, "partialSum", None),
    "tgtSize": ("type=rscale\ninputs=data\nchannels=3\nmaxScale=2\ngpu=0\n", "", "tgtSize", None),
    "coeffs": ("type=eltsum\ninputs=data,data\ngpu=0\n", "coeffs=1,-1\n", "coeffs", (1.0, -1.0)),
    "tree": ("type=treefc\ninputs=data\ninitW=.1\ntree=0 1\ngpu=0\n", RATES, "tree", None),
}


def load(layer, params, **rules):
    return load_network(DATA + "[top]\n" + layer + COST, PARAMS + params, **rules)


def test_every_rule_has_a_case():
    assert CASES.keys() == TOLERANCES.keys()


@pytest.mark.parametrize("rule", CASES)
def test_a_file_is_accepted_under_its_rule(rule):
    layer, params, key, value = CASES[rule]
    found = [one for one in load(layer, params).tolerances if one.rule == rule]
    assert (found[0].layer, found[0].key) == ("top", key)
    assert value is None or found[0].value == value
    assert found[0].meaning == TOLERANCES[rule]
    with pytest.raises(ConfigError, match=r"\[top\] "):
        load(layer, params, strict_2012=True)


def test_constants_of_a_norm_belong_to_the_parameters():
    constants = "scale=1\npow=.5\n"
    assert load(NORM + "size=3\n", constants, strict_2012=True).tolerances == ()
    found = load(NORM + "size=3\n" + constants, "").tolerances
    assert [(one.rule, one.key, one.value) for one in found] == [
        ("oldest norm", "scale", 1),
        ("oldest norm", "pow", 0.5),
    ]


def test_a_partial_sum_that_does_not_divide_is_a_kernel_limit():
    found = load(CONV.replace("partialSum=0", "partialSum=5"), RATES).tolerances
    assert [(one.rule, one.layer, one.key, one.value) for one in found] == [("kernel limit", "top", "partialSum", 5)]


@pytest.mark.parametrize(("layer", "params"), [(FC, RATES + "schedW=exp[tgtFactor=9,noiseStdev=0]\n"), (CONV, RATES)])
def test_a_file_of_2012_needs_none(layer, params):
    assert load(layer, params).tolerances == ()
    assert load(layer, params, strict_2012=True).tolerances == ()
