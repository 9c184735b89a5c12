"""Damaged layer files: nothing but a ConfigError comes out, quickly, and without much memory."""

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alexnet_rosetta import harness
from alexnet_rosetta.harness.network import implied as dataset
from alexnet_rosetta.port.config import ConfigError, load_network, read_sections

NETS = Path(harness.__file__).parent / "network" / "shipped"
SHIPPED = ("tiny", "cifar", "zoo")
FILES = [[(NETS / f"{net}{part}.cfg").read_text().splitlines() for part in ("", "-params")] for net in SHIPPED]
KEYS = sorted({line.split("=")[0] for files in FILES for lines in files for line in lines if "=" in line})
SECONDS = 2
BYTES = 2**28

NUMBERS = st.sampled_from(
    ["0", "-1", "1", "2", "3", "16", "1e9", "2147483647", "-2147483648", "9" * 40, "nan", "1e999", ".", "0x10", "1_0"]
)
NAMES = st.sampled_from(["data", "conv1", "probs", "x,x", "conv3[0]", "fc1[9]"])
WORDS = st.sampled_from(["", ",", ",,", "[", "]", "%", "%(a)s", ";", " ;", "\0", "\x85"])
VALUES = st.one_of(NUMBERS, NAMES, WORDS, st.text(max_size=30), st.builds(",".join, st.lists(NUMBERS, max_size=5)))
LINES = st.one_of(
    st.builds(
        "{}={}".format,
        st.sampled_from(KEYS),
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
    begin = time.process_time()
    try:
        dataset.implied_by(read_sections(definition))
        network = load_network(definition, params)
    except ConfigError as error:
        message = str(error)
    else:
        message = ""
        for layer in network:
            layer.to_dict()
    assert "\n" not in message
    assert len(message) < 1500
    assert time.process_time() - begin < SECONDS
    return not message


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FILES), EDITS, EDITS)
def test_damaged_files(files, definition_edits, params_edits):
    definition, params = files
    load(damage(definition, definition_edits), damage(params, params_edits))


@settings(max_examples=100)
@given(st.text(max_size=300))
def test_any_text(text):
    load(text + "\n", text + "\n")


DATA = "[a]\ntype=data\ndataIdx=0\n"
FC = "[{}]\ntype=fc\ninputs={}\noutputs=4\ninitW=1\n{}\n"
COST = "[cost]\ntype=cost.sum2\ninputs=b\n"


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (FC.format("b", "b", ""), "[b] inputs: 'b' is no layer above this one"),
        (FC.format("b", "c", "") + FC.format("c", "b", ""), "[b] inputs: 'c' is no layer above this one"),
        (FC.format("b", "a", "weightSource=b"), "[b] weightSource: b has no such matrix"),
        (FC.format("b", "a,a", "weightSource=b[1],"), "[b] weightSource: b has no such matrix"),
        (
            FC.format("b", "a", "weightSource=c") + FC.format("c", "a", "weightSource=b"),
            "[b] weightSource: there is no such layer above",
        ),
    ],
    ids=["input", "inputs", "matrix", "later matrix", "matrices"],
)
def test_cycles(layers, message):
    with pytest.raises(ConfigError) as error:
        load_network(DATA + layers + COST)
    assert message in str(error.value)


def test_names_and_keys_that_occur_twice():
    network = load_network(DATA + FC.format("b", "a", "outputs=7") + "[b]\noutputs=8\n" + COST)
    assert network["b"].outputs == 8
    assert len(network.layers) == 3
    assert [warning.split(": ", 1)[1] for warning in network.warnings[:3]] == [
        "[b] outputs is given again; the last one counts",
        "[b] occurs again; its options are added to the first one's",
        "[b] outputs is given again; the last one counts",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[a]\n" * 200_000,
        "[a]\nx=" + "9" * 4_000_000 + "\n",
        DATA + "".join(f"[{i}]\ntype=softmax\ninputs={i - 1 if i else 'a'}\n" for i in range(5_000)),
        DATA + "[b]\ntype=concat\ninputs=" + "a," * 1_000_000 + "a\n",
        DATA + "[b]\ntype=" + "x" * 1_000_000 + "\n",
        DATA + "[" + "b" * 1_000_000 + "]\ntype=fc\n",
        DATA + "[b]\ntype=fc\ninputs=a\ninitW=1\noutputs=2147483647\n",
        DATA + "[b]\ntype=treefc\ninputs=a\ninitW=1\ntree=" + "0 " * 200_000 + "\n",
        "[a]\ntype=neuron\nneuron=tanh[" + "1," * 1_000_000 + "1]\n",
        "[a]\nx=1\n" + " y\n" * 300_000,
    ],
    ids=["sections", "digits", "depth", "inputs", "type", "name", "outputs", "tree", "neuron", "continuation"],
)
def test_large_files_take_bounded_time_and_memory(text):
    begin = time.process_time()
    tracemalloc.start()
    with pytest.raises(ConfigError) as error:
        load_network(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(str(error.value)) < 1500
    assert peak < BYTES
    assert time.process_time() - begin < 10
