"""Every kernel instance that the engine can launch compiles, with the shared memory that its records state.

Minutes of nvcc: run by `make cuda-check`. The table of registers must be that of this compiler.
"""

import shutil

import pytest

from alexnet_rosetta.legacy.gpu import cubins, resources
from alexnet_rosetta.legacy.gpu.instances import instances

pytestmark = [
    pytest.mark.nvcc,
    pytest.mark.nvcc_all,
    pytest.mark.skipif(not (shutil.which("nvcc") and shutil.which("nm")), reason="nvcc or nm is not on the path"),
]


@pytest.mark.parametrize("architecture", resources.ARCHITECTURES)
def test_every_instance_compiles_as_the_table_says(architecture):
    wanted = instances()
    measured = resources.measure(wanted, architecture)
    about, table = resources.read()
    assert set(table) == set(wanted)
    assert {name: row.shared for name, row in measured.items()} == {n: r[architecture].shared for n, r in table.items()}
    if cubins.compiler_version("nvcc") in about:
        assert measured == {name: row[architecture] for name, row in table.items()}
