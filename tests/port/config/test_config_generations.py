"""Reading rules for files of other generations, and switches between them (config-format 9, 16, 18)."""

import pytest

from alexnet_rosetta.port.config import ConfigError, load_network

DATA = "[data]\ntype=data\ndataIdx=0\ndims=48\n[labels]\ntype=data\ndataIdx=1\n"
FC = "[fc]\ntype=fc\ninputs=data,data\noutputs=4\ninitW=.01,.01\ngpu=0\n"
COST = "[probs]\ntype=softmax\ninputs=fc\n[cost]\ntype=cost.logreg\ninputs=labels,probs\ngpu=0\n"
RATES = "[fc]\nepsW=.1,.1\nepsB=.2\nmomW=.9,.9\nmomB=.8\nwball=2,2\n{}\n[cost]\ncoeff=1\n"


def read(extra="", definition=DATA + FC + COST, **rules):
    """The spec, and its layer fc."""
    spec = load_network(definition, RATES.format(extra), **rules)
    return spec, spec["fc"]


@pytest.mark.parametrize(
    ("rate", "base", "schedule"),
    [
        ("const[base=.5]", 0.5, {"type": "default", "params": {}}),
        (".5", 0.5, {"type": "default", "params": {}}),
        ("linear[base=1;tgtFactor=8]", 1, {"type": "linear", "params": {"tgtFactor": 8.0, "noiseStdev": 0.0}}),
        ("EXP[ base = 2; tgtfactor = 4 ]", 2, {"type": "exp", "params": {"tgtFactor": 4.0, "noiseStdev": 0.0}}),
        (
            "dexp[base=.01;tgtFactor=10;numSteps=2]",
            0.01,
            {"type": "dexp", "params": {"tgtFactor": 10.0, "noiseStdev": 0.0, "numSteps": 2}},
        ),
    ],
)
def test_rates_of_2014(rate, base, schedule):
    spec, fc = read(f"epsB={rate}")
    assert (fc["epsB"], fc["schedB"]) == (base, schedule)
    assert fc["schedW"]["type"] == "default"
    assert [one.rule for one in spec.tolerances] == ["rates of 2014"] * ("[" in rate)


def test_rates_of_2014_per_input_and_with_their_norm_bound():
    _, fc = read("epsW=exp[base=.1;tgtFactor=9] , exp[base=.2;tgtFactor=9]")
    assert (fc["epsW"], fc["schedW"]["params"]["tgtFactor"]) == ((0.1, 0.2), 9)
    assert fc["wballNormed"] == (2, 2)
    assert read()[1]["wballNormed"] == (96, 96)
    assert read("epsW=exp[base=.1;tgtFactor=9]")[1]["epsW"] == (0.1, 0.1)
    with pytest.raises(ConfigError, match=r"\[fc\] epsW: the inputs have unequal schedules"):
        read("epsW=exp[base=.1;tgtFactor=9],const[base=.2]")


def test_rates_of_2014_that_are_refused_say_where():
    with pytest.raises(ConfigError, match=r":7: \[fc\] epsB: has a schedule, and there is schedB too"):
        read("epsB=const[base=.5]\nschedB=exp[tgtFactor=2]")
    with pytest.raises(ConfigError, match=r":8: \[fc\] schedB: cannot be read; expected a tgtFactor above 0"):
        read("momB=.8\nepsB=exp[base=.1;tgtFactor=-1]")
    with pytest.raises(ConfigError, match=r":8: \[fc\] epsW: has the wrong number of entries"):
        read("momB=.8\nepsW=const[base=.1],const[base=.1],const[base=.1]")


def test_sched_is_ignored_unless_told():
    spec, fc = read("sched=exp[100]")
    assert fc["schedW"]["type"] == fc["schedB"]["type"] == "default"
    assert "sched: is ignored" in spec.warnings[0]
    spec, fc = read("sched=exp[100]\nschedB=linear[2]", sched=True)
    assert (fc["schedW"]["type"], fc["schedW"]["params"]["tgtFactor"], fc["schedB"]["type"]) == ("exp", 100, "linear")
    assert "is taken for schedW and schedB" in spec.warnings[0]


def test_stray_characters_before_the_first_header():
    damaged = "ano" + DATA
    with pytest.raises(ConfigError, match="an option before the first section"):
        read(definition=damaged + FC + COST)
    spec, fc = read(definition=damaged + FC + COST, salvage=True)
    assert fc["numInputs"] == (48, 48)
    assert spec.warnings[0] == "<text>:1: 'ano' before the first section is left out"
    for text in ("x[]\n", "x[[\n", "x=1\n"):
        with pytest.raises(ConfigError, match="an option before the first section"):
            read(definition=text + DATA, salvage=True)


@pytest.mark.parametrize(
    ("definition", "extra", "rule"),
    [
        (FC.replace("gpu=0\n", ""), "", "gpu is missing"),
        (FC.replace("gpu=0", "gpu=0,1"), "", "gpu is a list"),
        (FC.replace(".01,.01", ".01"), "", "one entry stands for all inputs"),
        (FC, "schedW=exp[10]", "the arguments of a schedule"),
        (FC, "epsB=const[base=.1]", "epsW or epsB is a schedule"),
    ],
)
def test_strict_2012_refuses_what_rules_accept(definition, extra, rule):
    whole = DATA + definition + COST
    assert read(extra, whole)[1]["gpu"] in (0, -1)
    with pytest.raises(ConfigError, match=rf"\[fc\] .*the parser of 2012 does not accept this: {rule}"):
        read(extra, whole, strict_2012=True)
    assert read(strict_2012=True)[1]["gpu"] == 0


def test_initialisers_are_never_run():
    with pytest.raises(
        ConfigError, match=r"initWFunc: .*initw.makew\(layer\).*--weights FILE; actual 'os.system\(ls\)'"
    ):
        read(definition=DATA + FC + "initWFunc=os.system(ls)\n" + COST)
