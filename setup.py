"""Packages and extension modules; CMakeLists.txt says how the modules are built, pyproject.toml has all other metadata.

Environment, for developers:

ROSETTA_BUILD
    Comma-separated list; only modules whose name contains one of the words are built (``ROSETTA_BUILD=port`` or
    ``ROSETTA_BUILD=_v4,port``). ``native`` stands for the best instruction set that this processor runs.
ROSETTA_OPENMP
    ``0`` builds without OpenMP.
ROSETTA_PORTABLE
    ``1`` builds as on a machine that is no x86-64: the compiler's baseline, and strict.
ROSETTA_SANITIZE
    ``1`` adds the address and undefined-behaviour sanitizers.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

PACKAGE = "alexnet_rosetta"
ROOMS = ("legacy", "port", "harness", "testing")
ROOT = Path(__file__).parent.absolute()
IS_X86_64 = platform.machine().lower() in ("x86_64", "amd64") and os.environ.get("ROSETTA_PORTABLE") != "1"
ISAS = ["strict", "v3", "v4"] if IS_X86_64 else ["strict", "baseline"]
NEEDED = ("legacy._processor", "harness.judging._judge")  # whatever ROSETTA_BUILD asks for
MODULES = [*NEEDED, *(f"legacy._legacy_{isa}" for isa in ISAS),
           *(f"port.{path.stem}" for path in sorted(ROOT.glob("port/_*.pyx")))]  # fmt: skip
DATA = ["py.typed", "commit.txt", "*.pxi", "kernels/*", "host/*", "counted/*.h",
        "**/*.cfg", "**/*.toml", "**/*.html", "**/*.md", "**/*.css", "**/*.js"]  # fmt: skip


class BuildExt(build_ext):
    """Has CMake build the modules, in a folder that is kept, and takes them from there."""

    def build_extensions(self):
        """Build the modules that ROSETTA_BUILD asks for, or all."""
        kept = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}"  # setuptools' own is new every time
        folder = kept if self.editable_mode else Path(self.build_temp).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"CMAKE_MAKE_PROGRAM": program("ninja"), "Python_EXECUTABLE": sys.executable,
                    "NUMPY_INCLUDE": np.get_include(), "ROSETTA_ISAS": ";".join(ISAS),
                    "ROSETTA_OPENMP": os.environ.get("ROSETTA_OPENMP", "1"),
                    "ROSETTA_SANITIZE": os.environ.get("ROSETTA_SANITIZE", "0")}  # fmt: skip
        cmake(*other_compiler(folder), "-S", ROOT, "-B", folder, "-G", "Ninja",
              *(f"-D{name}={value}" for name, value in settings.items()))  # fmt: skip
        build = ("--build", folder, "--parallel", os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", os.cpu_count() or 1))
        cmake(*build, "--target", "_processor")
        words = [word for word in os.environ.get("ROSETTA_BUILD", "").split(",") if word]
        if "native" in words:
            words[words.index("native")] = f"_legacy_{best_isa(folder)}"
        self.extensions = [ext for ext in self.extensions
                           if not words or any(word in ext.name for word in (*NEEDED, *words))]  # fmt: skip
        cmake(*build, "--target", *(name_of(ext) for ext in self.extensions))
        for ext in self.extensions:
            (built,) = (folder / "modules").glob(f"{name_of(ext)}.*")
            target = Path(self.get_ext_fullpath(ext.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # a process may have it open
            shutil.copyfile(built, target)


def other_compiler(folder):
    """CMake's option to begin anew, if the folder was made with another compiler, which CMake would keep to."""
    words, kept = repr([os.environ.get(name) for name in ("CXX", "CXXFLAGS", "LDFLAGS")]), folder / "compiler.txt"
    other = kept.exists() and kept.read_text() != words
    kept.write_text(words)
    return ["--fresh"] if other else []


def program(name):
    """The path of a program of the build requirements; they may be installed, or just be there."""
    path = shutil.which(name, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))
    if path is None:
        raise SystemExit(f"setup.py: no {name}; expected the build requirements of pyproject.toml: pip install {name}")
    return path


def cmake(*arguments):
    """Run CMake; ends the build, after what CMake has printed, if it fails."""
    if code := subprocess.call([program("cmake"), *map(str, arguments)]):
        raise SystemExit(code)


def name_of(ext):
    """The last part of a module's name, which is that of its target in CMakeLists.txt."""
    return ext.name.rpartition(".")[2]


def best_isa(folder):
    """The best instruction set that this processor runs, as the module says that was built for the question."""
    (path,) = (folder / "modules").glob("_processor.*")
    spec = spec_from_file_location("_processor", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.best_isa()


def write_commit():
    """Write down the commit for machines without git or without the checkout; see harness/machine.py."""
    if (ROOT / ".git").exists() and (git := shutil.which("git")):
        command = [git, "-C", ROOT, "describe", "--always", "--dirty"]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        (ROOT / "harness" / "commit.txt").write_text(found)


write_commit()
setup(
    packages=[f"{PACKAGE}.{name}" for name in find_packages() if name.partition(".")[0] in ROOMS],
    package_dir={f"{PACKAGE}.{room}": room for room in ROOMS},
    package_data={"": DATA, f"{PACKAGE}.port": ["*.pyx", "*.h"]},  # the port's are shown by `rosetta study`
    include_package_data=False,
    ext_modules=[Extension(f"{PACKAGE}.{name}", []) for name in MODULES],
    cmdclass={"build_ext": BuildExt},
)
