"""The CUDA source compiled by the C++ compiler, a block's threads as fibers (threads.h); counted, or as it is.

A counted build compiles copies of the kernel files in which what points to memory, or is shared, has the type ``Cell``,
and conditions say how they come out (counted.h). The files themselves are what every other build compiles.
"""

import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from ..errors import Refused
from ..gpu import cuda_source
from ..gpu.cubins import Instance, cache_folder, is_ours

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-fno-math-errno", "-shared", "-fPIC", "-fvisibility=hidden", "-w")
HOST_FUNCTIONS = """
#include "{}/fastmath.cuh"
float hostExp(float x) {{ return fastExp(x); }}
float hostLog(float x) {{ return fastLog(x); }}
float hostPow(float x, float y) {{ return fastPow(x, y); }}
float hostDivide(float x, float y) {{ return fastDivide(x, y); }}
"""
COUNTERS = (
    "reads", "writes", "sharedReads", "sharedWrites", "sharedRequests", "conflicts13", "conflicts20",
    "readRequests", "writeRequests", "bytesToRead", "bytesToWrite",
    "reads13", "writes13", "bytesRead13", "bytesWritten13",
    "reads20", "writes20", "reads35", "writes35", "wordsRead", "wordsWritten", "mostReads", "mostWrites", "threadsRun",
    "divergent", "barriers", "unwritten", "races", "meetings", "outside",
)  # fmt: skip
"""What is counted, in the order of the library's numbers; `device.Launched` says what each is."""

# A kernel file, counted: (what is replaced, by what).
CELLS = (
    (r"\b(float|int)(?=\s*[*&]|\s\(&)", r"Cell<\1>"),
    (r"\bfloat (?=values\[ROWS\]\[COLS \+ 1\])", "Cell<float> "),
    (r"\bSHARED (float|int) (\w+)(\[[^;]*\]);", r'SHARED Cell<\1> \2\3; counted::share("\2", \2);'),
    (r"\bSHARED (TurnedTile<[^;]*>) (\w+);", r'SHARED \1 \2; counted::share("\2", \2.values);'),
    (r"\b(PerThread<float,[^;]*> (prod|acc|sums));", r"\1; counted::keep(\2.values);"),
    (r"\bUNROLL(_ON_GPU)?\s+for \(([^;]*);", r"for (\2; counted::Loop{true} ="),
    (r"\bfor \(([^;]*);(?! counted)", r"for (\1; counted::Loop{false} ="),
    (r"\bif \((?!\[\[|const )", "if (counted::Branch{} = "),
    (r"; tx < \(COUNT\)\)", r"; counted::Branch{} = tx < (COUNT))"),
)


def compiler() -> list[str]:
    """The first words of a command: CXX, else g++, clang++ or c++ on PATH; Refused if there is none."""
    given = os.environ.get("CXX", "").split()
    for words in [given] if given else (["g++"], ["clang++"], ["c++"]):
        if all(shutil.which(word) for word in words if not word.startswith("-")):
            return words
    wanted, hint = "a C++ compiler: g++, clang++ or what CXX names", "install g++ (Debian: apt install g++), or set CXX"
    raise Refused("kernels cannot be counted", wanted, " ".join(given) or "none on PATH", hint)


def entry(kernel: str, kinds: str) -> str:
    """A C function that takes the packed arguments of a wrapper apart and calls it."""
    layout, arguments = kinds + cuda_source.PART_KINDS, []
    for i, letter in enumerate(layout):
        offset = struct.calcsize(layout[: i + 1]) - struct.calcsize(letter)
        arguments.append(f"*({cuda_source.TYPES[letter]}*)(p + {offset})")
    symbol = cuda_source.symbol(kernel, kinds)
    return f"EXPORTED void call_{symbol}(const char* p) {{ {symbol}({', '.join(arguments)}); }}\n"


def library(instances: Iterable[Instance], folder: Path | None = None, kernels: Path = cuda_source.KERNELS) -> Path:
    """The counted build of some instances, kernel strings with argument kinds, compiled if the folder does not have it.

    The folder is `cubins.cache_folder` by default. Raises Refused: there is no compiler, or it fails.
    """
    folder, command, instances = (
        folder or cache_folder(),
        [*compiler(), "-O0", "-ffp-contract=off", *FLAGS],
        sorted(instances),
    )
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(kernels.glob("*.cuh"))}
    files |= {name: (HERE / name).read_text(encoding="utf-8") for name in ("threads.h", "counted.h")}
    key = repr((command, instances, COUNTERS, CELLS, sorted(files.items())))
    kept = folder / f"counted-{sha256(key.encode()).hexdigest()[:32]}.so"
    if not is_ours(kept):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            compile_library(instances, Path(place), command, files)
            os.replace(Path(place, "kernels.so"), kept)
    return kept


def compile_library(
    instances: Sequence[Instance], place: Path, command: Sequence[str], files: dict[str, str] | None = None
) -> Path:
    """Compile instances in a folder: counted, from the texts of kernel files and headers, or else as they are."""
    kernels, text = cuda_source.KERNELS, '#include "threads.h"\n'
    if files is not None:
        kernels = Path(place, "kernels")
        kernels.mkdir()
        for name, file in files.items():
            for found, by in CELLS if name.endswith(".cuh") else ():
                file = re.sub(found, by, file)
            Path(kernels, name).write_text(file, encoding="utf-8")
        text = f'namespace counted {{ enum {{ {", ".join(COUNTERS)}, kinds }}; }}\n#include "counted.h"\n'
    host, source, made = place / "host.cpp", place / "kernels.cpp", place / "kernels.so"
    host.write_text(HOST_FUNCTIONS.format(cuda_source.KERNELS))
    source.write_text(text + cuda_source.source(instances) + "".join(entry(*instance) for instance in instances))
    full = [*command, f"-I{kernels}", f"-I{HERE}", str(source), str(host), "-o", str(made)]
    result = subprocess.run(full, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        errors = [line for line in result.stderr.splitlines() if "error" in line] or ["no message"]
        raise Refused("the kernels do not compile", "a compiler of C++17", errors[0], f"command: {' '.join(full)}")
    return made
