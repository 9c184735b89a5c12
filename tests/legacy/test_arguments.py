"""The arguments of launch records, as a driver gets them, against the parameters that the kernels declare."""

import ctypes
import shutil
import struct
from pathlib import Path

import pytest
from kernel_launches import declared, kernel_name, primitive_launches
from legacy_networks import NETS

from alexnet_rosetta.harness.checks.golden import files
from alexnet_rosetta.legacy import Refused, cudaconv, use_isa
from alexnet_rosetta.legacy.gpu import cuda_source
from alexnet_rosetta.legacy.gpu.instances import instances
from alexnet_rosetta.legacy.gpu.recording import DryDevice, planned
from alexnet_rosetta.port.config import load_network

GOLDEN = Path(__file__).parents[1] / "golden"
FIELDS = {"P": ctypes.c_void_p, "i": ctypes.c_int, "f": ctypes.c_float, "?": ctypes.c_bool}
VALUES = {"P": 0x7F12_3456_7800, "i": -7, "f": 0.15625, "?": True}


@pytest.fixture(scope="module")
def launched():
    """(kernel string, kinds) of the launches of all recorded cases and of networks."""
    device = DryDevice()
    for path in files.paths(GOLDEN):
        for case in files.read(path):
            try:
                getattr(cudaconv, case.entry)(**case.arguments(), device=device)
            except Refused:
                assert case.refused or case.entry.startswith("compute")  # labels are zeros on this device
    found = set(device.instances)
    for name in ("tiny", "cifar", "alexnet"):
        spec = load_network(NETS / f"{name}.cfg", NETS / f"{name}-params.cfg")
        found |= set(planned([layer.to_dict() for layer in spec.layers], 4))
    return found


def test_records_have_the_arguments_that_kernels_declare(launched):
    parameters = declared()
    assert {kernel_name(kernel) for kernel, _ in launched} <= set(parameters)
    assert len(launched) > 300
    for kernel, kinds in launched:
        assert kinds == parameters[kernel_name(kernel)], kernel
    with use_isa("strict"):
        for record in primitive_launches():
            if record["args"]:
                kinds = "".join(map(cuda_source.kind, record["args"]))
                assert kinds == parameters[kernel_name(record["kernel"])], record["kernel"]


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm (binutils) is not on the path")
def test_what_is_launched_is_among_the_instances_of_the_build(launched):
    every = instances()
    assert all(every[kernel] == kinds for kernel, kinds in launched)
    assert {kernel_name(kernel) for kernel in every} == set(declared())


def test_packed_arguments_are_the_parameters_of_the_wrapper(launched):
    for kinds in {kinds + cuda_source.PART_KINDS for _, kinds in launched}:

        class Parameters(ctypes.Structure):
            _fields_ = [(f"a{i}", FIELDS[letter]) for i, letter in enumerate(kinds)]

        packed = struct.pack(kinds, *(VALUES[letter] for letter in kinds))
        end = Parameters._fields_[-1][0]
        assert getattr(Parameters, end).offset + 4 == len(packed)
        received = Parameters.from_buffer_copy(packed.ljust(ctypes.sizeof(Parameters), b"\0"))
        assert [getattr(received, name) for name, _ in Parameters._fields_] == [VALUES[letter] for letter in kinds]


def test_the_wrapper_declares_what_is_packed():
    text = cuda_source.wrapper("kTotalAgg<agg::Sum>", "PPii")
    assert "(const Pointer a0, const Pointer a1, const int a2, const int a3, const int firstY," in text
    assert "kTotalAgg<agg::Sum>(block, a0, a1, a2, a3);" in text
    text = cuda_source.wrapper("kLocalPool<AvgPooler<false>, 4>", "P")
    assert "kLocalPool<cc2::AvgPooler<false>, 4>(block, a0);" in text
    instances_ = [("k<1, -2>", "P"), ("k<1, 2>", "P"), ("k<1, 2>", "i")]
    assert len({cuda_source.symbol(*instance) for instance in instances_}) == 3
