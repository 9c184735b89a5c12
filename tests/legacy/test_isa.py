"""Which module is chosen, whatever was built."""

import os
import subprocess
import sys

import pytest

from alexnet_rosetta.legacy import Refused, isa

WITHOUT_STRICT = """
import sys
sys.modules["alexnet_rosetta.legacy._legacy_strict"] = None        # as if there were no such file
from alexnet_rosetta.legacy import build_info, isa
print(build_info()["isa"], *isa.available())
"""


def pretend(monkeypatch, built, best):
    """As if only some modules had been built, on a processor that runs `best`."""
    monkeypatch.setattr(isa, "_module", lambda name: name if name in built.split() else None)
    monkeypatch.setattr(isa, "best_isa", lambda: best)
    monkeypatch.delenv("ROSETTA_ISA", raising=False)


@pytest.mark.parametrize(("built", "best", "chosen"), [
    ("strict v3 v4", "v4", "v4"), ("strict v3 v4", "v3", "v3"), ("strict v3 v4", "strict", "strict"),
    ("v4", "v4", "v4"), ("v3", "v4", "v3"), ("strict v4", "v3", "strict"), ("strict baseline", "baseline", "baseline"),
])  # fmt: skip
def test_the_best_that_was_built_and_runs_is_chosen(monkeypatch, built, best, chosen):
    pretend(monkeypatch, built, best)
    assert isa.load() == chosen == isa.available()[-1]


@pytest.mark.parametrize("built", ["", "v4"])
def test_a_build_without_a_module_for_this_processor_is_refused(monkeypatch, built):
    pretend(monkeypatch, built, "v3")
    with pytest.raises(Refused, match="no module was built that this processor runs"):
        isa.load()


def test_a_module_that_was_not_built_or_does_not_run_is_refused(monkeypatch):
    pretend(monkeypatch, "strict v4", "v3")
    with pytest.raises(Refused, match=r"(?s)was not built.*strict.*'make build' builds all"):
        isa.load("v3")
    with pytest.raises(Refused, match="not available on this processor"):
        isa.load("v4")


def test_the_choice_does_not_need_the_strict_module():
    others = [name for name in isa.available() if name != "strict"]
    if not others:
        pytest.skip("strict is all that was built")
    environment = {name: value for name, value in os.environ.items() if name != "ROSETTA_ISA"}
    command = [sys.executable, "-c", WITHOUT_STRICT]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    assert found == [others[-1], *others]
