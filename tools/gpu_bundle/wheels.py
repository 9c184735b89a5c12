"""Wheels for the machine with the card: Python 3.12 on Linux x86-64. PyCUDA is built here, the rest is fetched by pip.

PyCUDA comes as source. Its build needs the headers of the CUDA toolkit and a driver to link with, for which the stub
stands in; the wheel asks for ``libcuda.so.1`` by name and finds the real one on the other machine.
"""

import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

from alexnet_rosetta.harness.errors import BadInput

from . import stub

VERSION = (3, 12)
PYCUDA = "pycuda==2026.1"

# nvmath with the very packages that it was tried with, whatever the machine has; what else PyCUDA and the check need.
# cuBLAS comes from the machine's toolkit.
ALWAYS = ("nvmath-python==1.0.0", "cuda-bindings>=13,<14", "cuda-core>=1,<2", "cuda-pathfinder>=1.5.1,<2")
IF_MISSING = (
    "pytools", "siphash24", "platformdirs", "mako", "markupsafe", "typing-extensions",
    "scipy>=1.13", "threadpoolctl>=3.5", "click>=8.1", "rich>=13.7", "markdown-it-py", "mdurl", "pygments",
)  # fmt: skip

# Imports what the wheels are for, and makes a cubin through PyCUDA; the driver may be the stub.
PROOF = """
import pycuda.driver, pycuda.compiler, pycuda.gpuarray
from nvmath.bindings import cublas
assert cublas.sgemm
cubin = pycuda.compiler.compile_plain(
    'extern "C" __global__ void scale(float *x, float a) { x[threadIdx.x] *= a; }',
    ["-arch", "sm_90"], False, "nvcc", False, "cubin")
assert cubin[:4] == b"\\x7fELF", cubin[:4]
try:
    pycuda.driver.init()
except pycuda.driver.Error as error:
    print(f"no device: {error}")
else:
    print(f"{pycuda.driver.Device.count()} devices")
"""


class Workshop:
    """A folder in which wheels are made, kept from one run to the next.

    In it are the stand-in for the driver, the wheels, sources to be built elsewhere, and a virtual environment of
    Python 3.12 in which all of it is installed.
    """

    def __init__(self, folder):
        self.folder = Path(folder).absolute()
        self.stub, self.wheels, self.sources, self.env = (
            self.folder / name for name in ("stub", "wheels", "sources", "env")
        )
        self.python = self.env / "bin" / "python"

    def make(self, root, echo=print):
        """Everything that is not there yet; `root` is the source tree, whose build requirements are installed."""
        toolkit = find_toolkit()
        for path in (self.wheels, self.sources):
            path.mkdir(parents=True, exist_ok=True)
        stub.build(toolkit / "include", self.stub)
        if not self.python.exists():
            run([find_python(), "-m", "venv", self.env])
            self.pip("install", "wheel", *build_requirements(root))
        if not list(self.wheels.glob("pycuda-*.whl")):
            echo("building PyCUDA (two minutes)")
            self._build_pycuda(toolkit)
        for requirement in (*ALWAYS, *IF_MISSING):
            if not self.wheel(requirement):
                self.pip("download", "--no-deps", "--only-binary=:all:", "--dest", self.wheels, requirement)
        self.install(sorted(self.wheels.glob("*.whl")))
        echo(self.prove())

    def pip(self, *arguments, **more):
        """Run pip in the environment."""
        return run([self.python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], **more)

    def wheel(self, requirement):
        """The wheel of a requirement, or None."""
        name = distribution(requirement)
        return next((path for path in sorted(self.wheels.glob("*.whl")) if distribution(path.name) == name), None)

    def install(self, wheels):
        """Install wheels as the other machine will, from the folder alone."""
        self.pip("install", "--no-index", "--no-deps", *wheels)

    def prove(self):
        """Run `PROOF` on the stub; returns what it printed."""
        return run([self.python, "-c", PROOF], env=self.environment()).strip()

    def environment(self):
        """Variables for programs that shall find the stub and nvcc."""
        path = f"{find_toolkit() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "LD_LIBRARY_PATH": str(self.stub), "PATH": path}

    def _build_pycuda(self, toolkit):
        self.pip("download", "--no-deps", "--no-binary=:all:", "--no-build-isolation", "--dest", self.sources, PYCUDA)
        (archive,) = self.sources.glob("pycuda-*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(self.folder, filter="data")
        source = self.folder / archive.name.removesuffix(".tar.gz")
        settings = f"CUDA_ROOT = {str(toolkit)!r}\nCUDADRV_LIB_DIR = [{str(self.stub)!r}]\nCUDA_ENABLE_CURAND = False\n"
        (source / "siteconf.py").write_text(settings, encoding="utf-8")
        self.pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", self.wheels, source,
                 env=self.environment())  # fmt: skip


def build_requirements(root):
    """What the build of this project needs, from the source tree's pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]


def distribution(text):
    """The name of a distribution as it stands in wheel names: ``cuda-core>=1`` and ``cuda_core-1.2-….whl`` alike."""
    name = text.split("-")[0] if text.endswith(".whl") else text
    for end in "=<>!~;":
        name = name.split(end)[0]
    return name.strip().replace("-", "_").replace(".", "_").lower()


def find_toolkit():
    """The folder of the CUDA toolkit: of CUDA_HOME or CUDA_PATH, or /usr/local/cuda; BadInput without its header."""
    places = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    for place in filter(None, places):
        if Path(place, "include", "cuda.h").is_file() and Path(place, "bin", "nvcc").exists():
            return Path(place)
    raise BadInput("there is no CUDA toolkit with cuda.h and nvcc", expected="one in CUDA_HOME or /usr/local/cuda",
                   hint="install the CUDA toolkit; a GPU is not needed")  # fmt: skip


def find_python():
    """A Python 3.12: this one, ``python3.12``, or one of pyenv's; ROSETTA_GPU_PYTHON names another."""
    wanted = ".".join(map(str, VERSION))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    places = [os.environ.get("ROSETTA_GPU_PYTHON"), sys.executable, f"python{wanted}",
              *sorted(pyenv.glob(f"{wanted}.*/bin/python"))]  # fmt: skip
    question = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    for place in filter(None, places):
        try:
            if run([place, "-c", question]).strip() == wanted:
                return place
        except OSError:
            continue
    raise BadInput(f"there is no Python {wanted}, for which the wheels have to be", hint="ROSETTA_GPU_PYTHON names one")


def run(command, **more):
    """Run a program; OSError with all that it printed if it fails, else what it wrote to its standard output."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise OSError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout
