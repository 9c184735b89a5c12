"""Build of the extension modules; all other metadata is in pyproject.toml.

The legacy engine is compiled once per instruction set, each into a module of
its own (``alexnet_rosetta.legacy._legacy_v3`` ...), so that code for one
processor can never be merged by the linker into a module for another. The
module is chosen at import, see legacy/isa.py.

Environment, for developers:

ROSETTA_BUILD
    Comma-separated list; only extensions whose name contains one of the words
    are built (``ROSETTA_BUILD=port`` or ``ROSETTA_BUILD=_v4,strict``).
ROSETTA_OPENMP
    ``0`` builds without OpenMP.
ROSETTA_PORTABLE
    ``1`` builds as on a machine that is no x86-64: the compiler's baseline, and strict.
ROSETTA_SANITIZE
    ``1`` adds the address and undefined-behaviour sanitizers.
"""

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from glob import glob
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = "alexnet_rosetta"
IS_X86_64 = platform.machine().lower() in ("x86_64", "amd64") and os.environ.get("ROSETTA_PORTABLE") != "1"
SANITIZE = os.environ.get("ROSETTA_SANITIZE") == "1"

STORES_STAY = ["-fno-move-loop-stores", "-fno-tree-loop-im", "-O3"]     # the first that the compiler knows

# Only convolutions are faster, by a tenth, with all of -O3; elsewhere the rest of it would take a third of the build.
LOOPS_VECTORISED = ["-O2", "-ftree-loop-vectorize", "-ftree-slp-vectorize", "-fvect-cost-model=dynamic"]
ALL_OF_O3 = {"filter_acts", "img_acts", "weight_acts", "_gemm", "_loops"}

# Never fast-math: the order of every sum is the kernel's. The strict build does
# not contract a*b+c; the others do, as nvcc does.
STRICT = ["-ffp-contract=off"]
CONTRACTED = ["-ffp-contract=fast"]
if IS_X86_64:
    ISA_FLAGS = {
        "strict": ["-march=x86-64-v2", *STRICT],
        "v3": ["-march=x86-64-v3", *CONTRACTED],
        "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512", *CONTRACTED],
    }
else:
    ISA_FLAGS = {"strict": STRICT, "baseline": CONTRACTED}


def compiler_accepts(flags):
    """True if the C++ compiler of this build compiles and links a program with these flags."""
    compiler = os.environ.get("CXX", "g++").split()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cpp")
        source.write_text("int main() { return 0; }\n")
        command = [*compiler, *flags, str(source), "-o", str(Path(folder, "probe"))]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def common_flags():
    """Compile and link flags shared by all extensions.

    Python's own flags contain -fwrapv; with it an int index may wrap, and loops over tx do not vectorise.
    """
    compile_flags = ["-std=c++17", "-fvisibility=hidden", "-fno-math-errno", "-fno-wrapv", "-g0"]
    # g++ moves the sums of a loop around an INDEPENDENT one (kernels/block.cuh) out of it, and loses them.
    compile_flags.append(next(flag for flag in STORES_STAY if compiler_accepts([flag])))
    link_flags = []
    if os.environ.get("ROSETTA_OPENMP") != "0" and compiler_accepts(["-fopenmp"]):
        compile_flags.append("-fopenmp")
        link_flags.append("-fopenmp")
    if SANITIZE:
        flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
        compile_flags += [*flags, "-O1", "-g1"]
        link_flags += flags
    return compile_flags, link_flags


def extensions():
    """All extension modules, less those that ROSETTA_BUILD leaves out."""
    compile_flags, link_flags = common_flags()
    headers = sorted(glob("legacy/kernels/*.cuh") + glob("legacy/host/*.h") + glob("legacy/*.pxi"))
    host_sources = sorted(glob("legacy/host/*.cpp"))
    found = [
        Extension(
            f"{PACKAGE}.legacy._legacy_{isa}",
            sources=[f"legacy/_legacy_{isa}.pyx", *host_sources],
            depends=headers,
            include_dirs=["legacy", np.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), ("ROSETTA_ISA", f'"{isa}"')],
            extra_compile_args=[*compile_flags, *flags],
            extra_link_args=link_flags,
            language="c++",
        )
        for isa, flags in ISA_FLAGS.items()
    ]
    port_flags = [flag for flag in compile_flags if flag != "-g0"]
    found += [
        Extension(
            f"{PACKAGE}.port.{Path(source).stem}",
            sources=[source],
            depends=sorted(glob("port/*.pxd") + glob("port/*.h")),
            include_dirs=["port", np.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
            extra_compile_args=port_flags,
            extra_link_args=link_flags,
            language="c++",
        )
        for source in sorted(glob("port/_*.pyx"))
    ]
    wanted = [word for word in os.environ.get("ROSETTA_BUILD", "").split(",") if word]
    return [ext for ext in found if not wanted or any(word in ext.name for word in wanted)]


class BuildExt(build_ext):
    """build_ext with an object folder per extension and set of flags, and parallel compilation of what changed."""

    def build_extension(self, ext):
        own = copy(self)
        flags = hashlib.sha256(repr((ext.extra_compile_args, ext.define_macros)).encode()).hexdigest()[:8]
        own.build_temp = os.path.join("build", "objects", f"{ext.name}-{flags}")  # kept; pip's own is new every time
        own.compiler = copy(self.compiler)
        own.compiler.compile = compile_in_parallel(own.compiler)
        build_ext.build_extension(own, ext)


def compile_in_parallel(compiler):
    """A replacement for ``compiler.compile``: sources of one extension side by side, unchanged ones left alone."""

    usual = next(level for level in (LOOPS_VECTORISED, ["-O3"]) if compiler_accepts(level))

    def compile_all(sources, output_dir=None, macros=None, include_dirs=None, debug=0,
                    extra_preargs=None, extra_postargs=None, depends=None):  # fmt: skip
        macros, objects, postargs, preargs, build = compiler._setup_compile(
            output_dir, macros, include_dirs, sources, depends, extra_postargs
        )
        cc_args = compiler._get_cc_args(preargs, debug, extra_preargs)

        def compile_one(obj):
            if not up_to_date(obj):
                source, ext = build[obj]
                level = ["-O3"] if Path(source).stem in ALL_OF_O3 else usual
                compiler._compile(obj, source, ext, cc_args, [*level, *postargs, "-MMD", "-MF", f"{obj}.d"], preargs)

        largest_first = sorted((obj for obj in objects if obj in build), key=lambda obj: -expected_work(build[obj][0]))
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(compile_one, largest_first))
        return objects

    return compile_all


def expected_work(source):
    """Something that grows with the time a source takes to compile: kernels first, then by size."""
    text = Path(source).read_text()
    return text.count("INSTANCE(") * 1_000_000 + len(text)


def up_to_date(obj):
    """True if an object file is newer than everything it was made from, as the compiler wrote it down."""
    try:
        made_from = Path(f"{obj}.d").read_text().replace("\\\n", " ").split(":", 1)[1].split()
        return all(os.path.getmtime(source) < os.path.getmtime(obj) for source in made_from)
    except OSError:
        return False


def main():
    nets = ["nets/*.cfg"]
    setup(
        packages=[f"{PACKAGE}.legacy", f"{PACKAGE}.port", f"{PACKAGE}.harness",
                  f"{PACKAGE}.harness.engines", f"{PACKAGE}.harness.faults", f"{PACKAGE}.harness.golden",
                  f"{PACKAGE}.harness.gpu_bundle", f"{PACKAGE}.harness.gpu_check", f"{PACKAGE}.harness.grads",
                  f"{PACKAGE}.harness.layers",
                  f"{PACKAGE}.harness.quirks", f"{PACKAGE}.harness.reference", f"{PACKAGE}.harness.report"],
        package_dir={f"{PACKAGE}.legacy": "legacy", f"{PACKAGE}.port": "port", f"{PACKAGE}.harness": "harness"},
        package_data={
            f"{PACKAGE}.legacy": ["kernels/*.cuh", "kernels/*.csv", "host/*.h", "host/*.cpp", "*.pxi", "py.typed"],
            f"{PACKAGE}.port": ["py.typed"],
            f"{PACKAGE}.harness": [*nets, "py.typed"],
            f"{PACKAGE}.harness.report": ["*.html", "*.css", "*.js"],
        },
        ext_modules=cythonize(extensions(), language_level=3, annotate=False,
                              compiler_directives={"boundscheck": False, "wraparound": False, "cdivision": True}),
        cmdclass={"build_ext": BuildExt},
    )


if __name__ == "__main__":
    sys.exit(main())
