"""The fuzzer of layer files for some seconds, that it can fail, and the files that once broke something."""

import pytest

from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.port import config
from alexnet_rosetta.port.config import ConfigError, ini

from . import layer_files, runner, trained_nets

SECONDS = 5


def test_damaged_layer_files():
    result = runner.run(layer_files.trial, seed=0, seconds=SECONDS, memory=layer_files.MEMORY)
    assert result.findings == []
    assert min(result.outcomes["accepted"], result.outcomes["refused"]) > 10


def test_accepted_layer_files_can_be_trained():
    result = runner.run(trained_nets.trial, seed=0, count=8, patience=trained_nets.PATIENCE)
    assert result.findings == []
    assert result.outcomes["trained"] > 0


@pytest.mark.parametrize(
    ("module", "name", "broken", "found", "near"),
    [
        (config, "_is_name", lambda name: True, "AssertionError", 3550),
        (ini, "visible", lambda text: text, "AssertionError", 0),
        (networks, "load", lambda *_, **__: 1 / 0, "ZeroDivisionError", 0),
        (networks, "load", lambda *_, **__: bytes(2**40), "MemoryError", 0),
    ],
    ids=["names", "messages", "exception", "memory"],
)
def test_the_fuzzer_finds_what_is_wrong(monkeypatch, module, name, broken, found, near):
    """A fault is found within 5,000 trials; the search starts near the trial that finds it today."""
    monkeypatch.setattr(module, name, broken)
    tries = (
        runner.run(layer_files.trial, seed=0, first=first, count=50, memory=layer_files.MEMORY).findings
        for first in (*range(near, 5000, 50), *range(0, near, 50))
    )
    assert found in next(filter(None, tries))[0]


# Options added to a shipped network, and what is to be said; None: accepted.
FOUND = [
    ("tiny", "[../../../trav]\ntype=cost.sum2\ninputs=probs\n", "", "is no layer name"),
    ("tiny", "[/abs/x]\ntype=cost.sum2\ninputs=probs\n", "", "is no layer name"),
    ("tiny", "[x\x1bcy]\ntype=cost.sum2\ninputs=probs\n", "", r"[x\x1bcy] is no layer name"),
    ("tiny", "[$\\nosuchmacro{$]\ntype=cost.sum2\ninputs=probs\n", "[$\\nosuchmacro{$]\ncoeff=1\n", "is no layer name"),
    ("tiny", "", "[conv2a]\nwc=-1\n", None),
    ("tiny", "", "[conv2a]\nschedW=jdexp[tgtFactor=10,noiseStdev=.1,numSteps=2147483647]\n", "a numSteps of 0 to"),
    ("tiny", "", "[conv2a]\nepsW=1e308\n", "a number that float32 can hold"),
    ("zoo", "[tica1]\nsizeX=2147483646\n", "", "sizeX: is out of range"),
    ("zoo", "", "[rnorm1]\npow=31\n", None),
    ("zoo", "", "[rnorm1]\npow=7.5e9\n", "pow: is out of range"),
    ("zoo", "", "[cmrnorm1]\nminDiv=0\n", "minDiv: is out of range"),
    ("tiny", "[data]\n" + "dims=768\n" * 300_000, "", None),
]


@pytest.mark.parametrize(("net", "definition", "params", "said"), FOUND, ids=lambda part: str(part)[:40])
def test_what_was_found(net, definition, params, said):
    texts = [(networks.SHIPPED / f"{net}{part}.cfg").read_text() for part in ("", "-params")]
    case = (f"{texts[0]}\n{definition}".encode(), f"{texts[1]}\n{params}".encode(), ())
    if said is None:
        layer_files.check(layer_files.load(case))
        return
    with pytest.raises(ConfigError) as error:
        layer_files.load(case)
    assert said in str(error.value)
