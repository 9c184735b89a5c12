"""What the sources of the engine say of themselves, and what their compiler refuses."""

import os
import subprocess
from pathlib import Path

import pytest

from alexnet_rosetta.legacy.gpu import cuda_source

HERE, KERNELS = Path(__file__).parent, cuda_source.KERNELS
HOST = KERNELS.parent / "host"


@pytest.mark.parametrize("path", sorted([*HOST.iterdir(), *KERNELS.glob("*.cuh")]), ids=lambda path: path.name)
def test_every_file_has_a_title(path):
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    assert first.startswith("// "), first
    assert len(first) > 20, first


def compiler_says(code, folder):
    """What the compiler prints for a file; nothing if it takes it."""
    source = folder / "source.cpp"
    source.write_text(code)
    compiler = os.environ.get("CXX", "g++").split()
    command = [*compiler, "-std=c++17", "-fsyntax-only", "-w", f"-I{HERE}", f"-I{KERNELS.parent}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == bool(done.stderr), done.stderr
    return done.stderr


LAUNCH = """
#include "host/device.h"
KERNEL kScale(const Block&, const float* from, float* to, const int count, const float factor, const bool add) {{}}
void run(Device& device, const float* from, float* to, int count, float factor, bool add) {{
    device.launch(PLAIN_INSTANCE(kScale), 1, 32, 0, "a rule", with({arguments}));
}}
"""
WRONG = {
    "too few": ("from, to, count, factor", "as many arguments"),
    "too many": ("from, to, count, factor, add, add", "as many arguments"),
    "int for float": ("from, to, count, count, add", "types of arguments"),
    "bool for int": ("from, to, add, factor, add", "types of arguments"),
    "swapped": ("from, to, count, add, factor", "types of arguments"),
    "constant for changed": ("from, from, count, factor, add", "types of arguments"),
}


def test_arguments_of_a_launch_that_fit_are_taken(tmp_path):
    assert not compiler_says(LAUNCH.format(arguments="from, to, count, factor, add"), tmp_path)
    assert not compiler_says(LAUNCH.format(arguments="to, to, count, factor, add"), tmp_path)


@pytest.mark.parametrize("case", WRONG)
def test_arguments_of_a_launch_that_do_not_fit_are_refused_by_the_compiler(case, tmp_path):
    arguments, message = WRONG[case]
    assert message in compiler_says(LAUNCH.format(arguments=arguments), tmp_path)


TILE = """
#include "counted/threads.h"
#include "kernels/block.cuh"
__device__ void stage(float* tile) {{
    STAGE_ROWS({threads}, 4, {columns}) {{
        STAGE_COLS({columns}) tile[row * {columns} + col] = 0;
    }}
}}
"""


@pytest.mark.parametrize(("threads", "columns", "fits"), [(128, 32, True), (128, 24, False), (16, 32, False)])
def test_the_columns_of_a_tile_divide_the_threads(threads, columns, fits, tmp_path):
    said = compiler_says(TILE.format(threads=threads, columns=columns), tmp_path)
    assert not said if fits else "divide the threads" in said


def test_a_copy_of_a_matrix_is_an_alias_that_says_so(tmp_path):
    code = '#include "host/matrix.h"\nMatrix second(const Matrix& first) { return first%s; }\n'
    assert not compiler_says(code % ".alias()", tmp_path)
    assert "deleted" in compiler_says(code % "", tmp_path)
