"""The fuzzer of layer dictionaries for some seconds, and that it can fail."""

import re

import pytest

from alexnet_rosetta.legacy import Network, Refused

from . import layer_dictionaries, runner

SECONDS = 6


def test_bent_dictionaries():
    status, printed = runner.command("layer_dictionaries", "--seconds", SECONDS, "--seed", 0)
    assert status == 0, printed
    for outcome in ("ran", "refused"):
        assert int(re.search(rf"(\d+) {outcome}", printed)[1]) > 10


@pytest.mark.parametrize(
    ("error", "found"), [(KeyError("filters"), "KeyError"), (Refused("no name"), "does not name the layer")]
)
def test_the_fuzzer_finds_what_is_wrong(monkeypatch, error, found):
    def forward(self, layer, *given):
        raise error

    monkeypatch.setattr(Network, "forward", forward)
    assert found in runner.run(layer_dictionaries.trial, seed=0, count=50).findings[0]
