"""Damaged layer files: nothing but a ConfigError comes out, and quickly."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alexnet_rosetta import harness
from alexnet_rosetta.port.config import ConfigError, load_network

NETS = Path(harness.__file__).parent / "nets"
FILES = [(NETS / f"{net}{part}.cfg").read_text().splitlines() for net in ("tiny", "cifar") for part in ("", "-params")]
HIDDEN = """
[l]\ntype=local\ninputs=data\nchannels=3\nfilters=4\nfilterSize=3\ninitW=1
[b]\ntype=blur\ninputs=data\nchannels=3\nfilterSize=3\nstdev=1
[n]\ntype=nailbed\ninputs=b\nchannels=3\nstride=2
[r]\ntype=rscale\ninputs=data\nchannels=3\nmaxScale=1.5\ntgtSize=12
[o]\ntype=cost.sum2\ninputs=l\n[p]\ntype=cost.sum2\ninputs=n\n[q]\ntype=cost.sum2\ninputs=r
""".splitlines()

NUMBERS = st.sampled_from(
    ["0", "-1", "1", "2", "3", "16", "1e9", "2147483647", "-2147483648", "9" * 40, "nan", "1e999", ".", "0x10", "1_0"]
)
WORDS = st.sampled_from(
    ["", ",", ",,", "data", "conv1", "probs", "x,x", "[", "]", "%", "%(a)s", ";", " ;", "\0", "\x85"]
)
VALUES = st.one_of(NUMBERS, WORDS, st.text(max_size=30), st.builds(",".join, st.lists(NUMBERS, max_size=5)))
LINES = st.one_of(
    st.builds(
        "{}={}".format,
        st.sampled_from([line.split("=")[0] for line in [*FILES[0], *FILES[1], *HIDDEN] if "=" in line]),
        VALUES,
    ),
    st.builds("[{}]".format, VALUES),
    st.text(max_size=60),
    VALUES.map(lambda value: value * 2000),
)
EDITS = st.lists(
    st.tuples(st.sampled_from(["replace", "insert", "delete", "value", "swap"]), st.integers(0, 10**6), LINES, VALUES),
    max_size=6,
)


def damage(lines, edits):
    """Apply edits to a list of lines and return the text."""
    lines = list(lines)
    for kind, where, line, value in edits:
        i = where % len(lines)
        if kind == "insert":
            lines.insert(i, line)
        elif kind == "delete" and len(lines) > 1:
            del lines[i]
        elif kind == "value":
            lines[i] = f"{lines[i].split('=')[0]}={value}"
        elif kind == "swap":
            j = (where // len(lines)) % len(lines)
            lines[i], lines[j] = lines[j], lines[i]
        else:
            lines[i] = line
    return "\n".join(lines) + "\n"


def load(definition, params):
    """True if the files make a network; any exception but ConfigError escapes."""
    try:
        network = load_network(definition, params)
    except ConfigError as error:
        message = str(error)
    else:
        message = ""
        for layer in network:
            layer.to_dict()
    assert "\n" not in message
    assert len(message) < 1500
    return not message


@settings(max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2), EDITS, EDITS)
def test_damaged_files(which, definition_edits, params_edits):
    definition, params = FILES[2 * (which % 2) : 2 * (which % 2) + 2]
    if which == 2:
        definition = [*definition, *HIDDEN]
        params = [
            *params,
            "[l]",
            "epsW=1",
            "epsB=1",
            "momW=0",
            "momB=0",
            *["[o]", "coeff=1", "[p]", "coeff=1", "[q]", "coeff=1"],
        ]
    load(damage(definition, definition_edits), damage(params, params_edits))


@settings(max_examples=100, deadline=1000)
@given(st.text(max_size=300))
def test_any_text(text):
    load(text + "\n", text + "\n")


@pytest.mark.parametrize(
    "text",
    [
        "[a]\n" * 200_000,
        "[a]\nx=" + "9" * 4_000_000 + "\n",
        "[a]\ntype=data\ndataIdx=0\n"
        + "".join(f"[{i}]\ntype=softmax\ninputs={i - 1 if i else 'a'}\n" for i in range(20_000)),
        "[a]\ntype=data\ndataIdx=0\n[b]\ntype=concat\ninputs=" + "a," * 1_000_000 + "a\n",
        "[a]\ntype=data\ndataIdx=0\n[b]\ntype=" + "x" * 1_000_000 + "\n",
        "[a]\ntype=neuron\nneuron=tanh[" + "1," * 1_000_000 + "1]\n",
        "[a]\nx=1\n" + " y\n" * 300_000,
    ],
    ids=["sections", "digits", "depth", "inputs", "type", "neuron", "continuation"],
)
def test_large_files_take_bounded_time(text):
    begin = time.process_time()
    assert not load(text, None)
    assert time.process_time() - begin < 10
