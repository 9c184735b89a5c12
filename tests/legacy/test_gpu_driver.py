"""PyCUDA and nvmath themselves, on a driver that is emulated: what the engine asks of them exists and works."""

import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import drive_gpu
import pytest
from fake_gpu import FakeDriver

from alexnet_rosetta.legacy.gpu import cuda_source

HERE = Path(__file__).parent
MISSING = [name for name in ("pycuda", "nvmath") if importlib.util.find_spec(name) is None]
MISSING += [name for name in ("cc", "nm", "nvcc") if shutil.which(name) is None]


@pytest.fixture
def libraries(tmp_path):
    """A folder with the emulated libraries."""
    module = next(Path(importlib.util.find_spec("pycuda").origin).parent.glob("_driver*.so"))
    symbols = run("nm", "-D", "--undefined-only", module).stdout
    emulation = (HERE / "cuda_emulation.c").read_text()
    written = set(re.findall(r"^int (cu\w+)\(", emulation, re.MULTILINE))
    wanted = set(re.findall(r"\b(cu[A-Z]\w+)", symbols))
    rest = "".join(f"int {name}(void) {{ return 801; }}\n" for name in sorted(wanted - written))
    source = tmp_path / "cuda.c"
    source.write_text(emulation + rest)
    for name in ("libcuda.so.1", "libcublas.so.13", "libcublasLt.so.13", "libcublas.so.12", "libcublasLt.so.12"):
        run("cc", "-w", "-shared", "-fPIC", f"-Wl,-soname,{name}", source, "-o", tmp_path / name)
    return tmp_path


def run(*command, **environment):
    """Run a command; what it printed."""
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


class IdleDriver(FakeDriver):
    """A driver that runs no kernel."""

    def launch(self, function, grid, block, arguments):
        self.launched.append((grid, block, arguments))


def test_the_program_is_one_that_the_device_understands(capsys):
    driver = IdleDriver(limit=2**30)
    drive_gpu.drive(driver)
    assert [grid for grid, _, _ in driver.launched] == [(3, 65535, 2), (3, 4465, 2)]
    assert capsys.readouterr().out.startswith("the fake GPU is full\n")


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_driver_does_what_the_engine_asks(libraries):
    paths, script = os.pathsep.join(filter(None, sys.path)), HERE / "drive_gpu.py"
    result = run(sys.executable, script, LD_LIBRARY_PATH=str(libraries), PYTHONPATH=paths)
    assert result.stderr == ""
    first, second, memory, address = result.stdout.splitlines()
    symbol = cuda_source.symbol("kNothing<1>", "Pi?f")
    kinds = "Pi?f" + cuda_source.PART_KINDS
    for line, count, start in ((first, 65535, 0), (second, 4465, 65535)):
        packed = struct.pack(kinds, int(address, 16), -5, True, 1.5, start, 0, 70000, 2).hex()
        assert line == f"{symbol} (3, {count}, 2) (32, 4, 1) 0 {packed}"
    assert memory == "the GPU has no 2048 MiB left"
