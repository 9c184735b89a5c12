"""The concordance (harness/concordance.toml) against the sources of the three rooms, and against what layers run."""

import inspect
import re
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path

import pytest

from alexnet_rosetta.harness import concordance, engines
from alexnet_rosetta.harness.checks.golden import files as golden
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.study import kernels as study_kernels
from alexnet_rosetta.harness.study import layer as study
from alexnet_rosetta.harness.study import source

ROOT = Path(__file__).parent.parent
FAMILIES = concordance.families()
OPERATIONS = [operation for family in FAMILIES for operation in family.operations]
LIBRARY = {"sgemm"}  # what is launched and is no kernel of ours
STATE = {"buffers", "__init__", "checks", "edit", "graph", "layer", "network", "parameters", "quirks", "threads"}
"""Modules of the port without operations; nor has one whose name ends in ``layers``."""

MODULES = sorted({path.stem for path in (ROOT / "port").glob("*.py") if not path.stem.endswith("layers")} - STATE)

by_name = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def names(room):
    return set(chain.from_iterable(getattr(operation, room) for operation in OPERATIONS))


def last_words(arguments):
    return {words[-1].lstrip("*&") for piece in arguments.split(",") if (words := piece.split("=")[0].split())}


@cache
def kernels():
    """The parameters of every kernel, by name."""
    found = {}
    for path in (ROOT / "legacy" / "kernels").glob("*.cuh"):
        for name, arguments in re.findall(r"KERNEL (\w+)\(([^)]*)\)", path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).update(last_words(arguments))
            before = re.findall(rf"template <([^>]*)>\s*KERNEL {name}\(", path.read_text(encoding="utf-8"))
            found[name] |= set(chain.from_iterable(map(last_words, before)))
    return found


@cache
def host():
    """The parameters of every function that a header of legacy/host declares, by name; classes have none."""
    found = {}
    for path in (ROOT / "legacy" / "host").iterdir():
        text = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        for name in re.findall(r"^(?:class|struct) (\w+)", text, re.MULTILINE):
            found.setdefault(name, set())
        if path.suffix == ".h":
            for name, arguments in re.findall(r"^[\w:]+\*? (\w+)\(([^()]*)\)\s*[;{]", text, re.MULTILINE):
                found.setdefault(name, set()).update(last_words(arguments))
    return found


def resolved(package, name):
    module, *attributes = name.split(".")
    found = import_module(f"alexnet_rosetta.{package}.{module}")
    for attribute in attributes:
        found = getattr(found, attribute)
    return found


def test_every_kernel_stands_in_the_concordance():
    assert names("kernels") == set(kernels()) | LIBRARY


def test_every_kernel_has_a_provenance_and_what_is_called_recorded_was():
    found = concordance.provenance()
    assert set(found) == set(kernels())
    assert set(found.values()) == set(concordance.KNOWN)
    cases = [case for path in sorted((ROOT / "tests" / "golden").glob("*.npz")) for case in golden.read(path)]
    launched = {kernel.partition("<")[0] for case in cases for kernel, _, _ in case.launches()}
    assert {name for name, label in found.items() if label == "recorded"} == launched


def test_every_host_function_exists():
    assert names("host") <= set(host())
    assert all(study.host_place(name) for name in names("host"))


@pytest.mark.parametrize("header", ["pool", "norm", "image_ops", "cost", "conv", "neuron", "quantise"])
def test_every_host_function_of_a_family_stands_in_the_concordance(header):
    text = (ROOT / "legacy" / "host" / f"{header}.h").read_text(encoding="utf-8")
    found = set(re.findall(r"^void (\w+)\(Device", text, re.MULTILINE))
    assert found
    assert found <= names("host")


def test_every_function_of_the_port_stands_in_the_concordance():
    found = set()
    for module in MODULES:
        source = import_module(f"alexnet_rosetta.port.{module}")
        own = [name for name, f in vars(source).items() if inspect.isfunction(f) and f.__module__ == source.__name__]
        found |= {f"{module}.{name}" for name in own if not name.startswith("_")}
    assert names("port") - {"network.half"} == found - {"conv.by_winograd"}


@pytest.mark.parametrize("name", sorted(names("port")))
def test_a_name_of_the_port_is_a_function(name):
    assert inspect.isfunction(resolved("port", name))


@pytest.mark.parametrize("name", sorted(names("reference")))
def test_a_name_of_the_reference_is_a_function(name):
    assert inspect.isfunction(resolved("harness.reference", name))


@by_name
def test_parameters_are_those_of_the_signatures(family):
    historical = set(
        chain.from_iterable(kernels()[k] for o in family.operations for k in o.kernels if k not in LIBRARY)
    )
    historical |= set(chain.from_iterable(host()[name] for o in family.operations for name in o.host))
    port = {
        name for o in family.operations for f in o.port for name in inspect.signature(resolved("port", f)).parameters
    }
    assert {row.legacy for row in family.parameters} <= historical
    assert {row.port for row in family.parameters if row.port} <= port


@by_name
def test_parts_name_pieces_that_are_there(family):
    """Of kernels and host functions, of the port with its Cython and headers, and of the reference; none is empty."""
    for part in family.parts:
        (operation,) = (one for one in family.operations if one.what == part.of)
        for kernel in set(operation.kernels) - LIBRARY:
            names = {"kernel": kernel, **study_kernels.parts(kernel)}
            for place in ("host", "kernels", "port", "reference"):
                found = source.pieces(getattr(part, place), place, **names)
                assert bool(found) == bool(getattr(part, place)), (part, kernel, place)
                assert all(piece.lines for piece in found)


@by_name
def test_keys_are_those_of_layers(family):
    layers = [spec for net in ("tiny", "zoo") for spec in networks.load(net).layers if spec.type in family.layers]
    assert {spec.type for spec in layers} == set(family.layers)
    assert {row.key for row in family.parameters if row.key} <= {key for spec in layers for key in spec.keys}


def launches(network, layer):
    """The (pass, kernel) pairs that the engine launches for a layer."""
    (engine,) = engines.available(["legacy-cpu"])
    session = engine.open(network, 1)
    session.record_launches()
    study.run_layer(session, network, layer, 16)
    mine = [launch for launch in session.launches() if launch["layer"] == layer.name]
    return {(launch["pass"], re.match(r"\w+", launch["kernel"])[0]) for launch in mine}


@pytest.mark.parametrize(
    ("net", "name"),
    [(net, spec.name) for net in ("tiny", "zoo") for spec in networks.load(net).layers if spec.type != "data"],
)
def test_what_a_layer_launches_and_what_the_port_calls_stand_side_by_side(net, name):
    """Every launch is known, and one of its operations names a function that the port calls for the layer, or none."""
    network = networks.load(net)
    layer = network.graph.layers[name]
    called = set(study.port_functions(network, layer))
    assert called
    for step, kernel in launches(network, layer):
        operations = concordance.of_launch(layer.type, step, kernel)
        assert operations, (step, kernel)
        assert any(called & {f.split(".")[1] for f in operation.port} for operation in operations), (step, kernel)


def test_where_the_port_s_docstrings_send_the_reader():
    """``name`` of _loops.h, and ``name`` in _gemm.pyx or _conv.pyx: the functions exist there."""
    found = []
    for module in MODULES:
        for name, function in inspect.getmembers(import_module(f"alexnet_rosetta.port.{module}"), inspect.isfunction):
            doc = function.__doc__ or ""
            for words, file in re.findall(r"((?:``\w+``(?: or )?)+) (?:of|in) (_loops\.h|_gemm\.pyx|_conv\.pyx)", doc):
                source = (ROOT / "port" / file).read_text(encoding="utf-8")
                found += [(name, loop, file) for loop in re.findall(r"\w+", words) if loop != "or"]
                assert all(f"{loop}(" in source for loop in re.findall(r"``(\w+)``", words)), (module, name)
    assert len(found) >= 12


def test_the_page_is_up_to_date():
    assert (ROOT / "docs" / "concordance.md").read_text(encoding="utf-8") == concordance.page()


def test_study_says_how_a_kernel_is_known():
    printed = "\n".join(study.lines("tiny", "rnorm1", batch=16))
    assert "known     recorded: " in printed
