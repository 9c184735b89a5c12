"""Kernel instances compiled for one GPU architecture, kept on disk.

nvcc needs seconds for a file and about one for a large instance: instances are compiled several to a file, files side
by side, and kept. What is kept is found by content: kernel files, wrapper, compiler, architecture and flags.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from . import cuda_source

Instance: TypeAlias = tuple[str, str]
"""Kernel string and argument kinds."""

# a*b + c is fused, as it was in 2012 and as the FMA builds for the CPU do it; no fast-math.
FLAGS = ("-std=c++17", "-O3", "--fmad=true", "-lineinfo")
GROUP = 12  # instances in a file


class CompileError(RuntimeError):
    """nvcc failed; the text has the command and everything it printed."""

    def __init__(self, command: Sequence[str], output: str) -> None:
        super().__init__(f"nvcc failed\n  command: {' '.join(command)}\n{output}")


def find_compiler() -> str | None:
    """The path of nvcc: on PATH, else in the toolkit of CUDA_HOME, CUDA_PATH or /usr/local/cuda; None if nowhere."""
    toolkits = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places = [None, *(os.path.join(toolkit, "bin") for toolkit in toolkits if toolkit)]
    return next((found for place in places if (found := shutil.which("nvcc", path=place))), None)


@cache
def compiler_version(compiler: str) -> str:
    """The release of an nvcc: "13.0, V13.0.48"."""
    text = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"release (.*)", text)
    return found[1] if found else text.strip()


def cache_folder() -> Path:
    """Where cubins are kept: ROSETTA_CACHE, or the user's cache folder."""
    given = os.environ.get("ROSETTA_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given) if given else Path(base) / "alexnet-rosetta"


def compile_cubin(
    instances: Iterable[Instance], architecture: str, output: str | Path, *, compiler: str, flags: Sequence[str] = FLAGS
) -> str:
    """Compile a file of instances to a cubin; returns what the compiler printed.

    Parameters
    ----------
    instances : sequence of (str, str)
        Kernel string and argument kinds.
    architecture : str
        "sm_90"
    output : path
        Written only when it is complete.

    Raises
    ------
    CompileError
    """
    output = Path(output)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        source, cubin = Path(folder, "kernels.cu"), Path(folder, "kernels.cubin")
        source.write_text(cuda_source.source(instances), encoding="utf-8")
        command = [compiler, "-cubin", f"-arch={architecture}", *flags, f"-I{cuda_source.KERNELS}", str(source),
                   "-o", str(cubin)]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        printed = result.stdout + result.stderr
        if result.returncode != 0:
            raise CompileError(command, printed)
        os.replace(cubin, output)
    return printed


class Kernels:
    """Compiled instances by kernel string and argument kinds.

    Parameters
    ----------
    architecture : str
        As the compiler names it: "sm_90".
    folder : path, optional
        Default `cache_folder`.
    compiler : str, optional
        Default `find_compiler`.
    workers : int, optional
        Compilers that run side by side; default the processors of this process.
    """

    def __init__(
        self,
        architecture: str,
        folder: str | Path | None = None,
        compiler: str | None = None,
        workers: int | None = None,
    ) -> None:
        self.architecture = architecture
        self.folder = Path(folder or cache_folder())
        self.compiler = compiler or find_compiler() or "nvcc"
        self.workers = workers or len(os.sched_getaffinity(0))

    def path(self, kernel: str, kinds: str) -> Path:
        """The cubin that holds an instance, compiled now if it is not there."""
        found = self._kept(kernel, kinds)
        if found is None:
            self.prepare([(kernel, kinds)])
            found = self._kept(kernel, kinds)
            if found is None:
                raise FileNotFoundError(f"{self.folder} keeps no cubin of {kernel}")
        return found

    def prepare(self, instances: Iterable[Instance]) -> int:
        """Compile the instances that the folder lacks, in one go; returns how many there were."""
        missing = sorted({instance for instance in instances if self._kept(*instance) is None}, key=_weight)
        if not missing:
            return 0
        self.folder.mkdir(parents=True, exist_ok=True)
        count = max(min(self.workers, len(missing)), -(-len(missing) // GROUP))
        groups = [missing[i::count] for i in range(count)]
        with ThreadPoolExecutor(self.workers) as pool:
            for _ in pool.map(self._compile, groups):
                pass
        return len(missing)

    def _compile(self, group: Sequence[Instance]) -> None:
        keys = [self._key(*instance) for instance in group]
        name = f"{sha256(' '.join(keys).encode()).hexdigest()[:32]}.cubin"
        compile_cubin(group, self.architecture, self.folder / name, compiler=self.compiler)
        for key in keys:
            _write(self.folder / key, name)

    def _kept(self, kernel: str, kinds: str) -> Path | None:
        """The cubin of an instance if there is one: a small file under the instance's key names it.

        Both must be ours, for the folder may be one that others write to, and the name must be one that we give.
        """
        entry = self.folder / self._key(kernel, kinds)
        try:
            name = entry.read_text(encoding="utf-8") if is_ours(entry) else ""
        except (OSError, ValueError):
            return None
        path = self.folder / name
        return path if re.fullmatch(r"[0-9a-f]{32}\.cubin", name) and is_ours(path) else None

    def _key(self, kernel: str, kinds: str) -> str:
        parts = (cuda_source.fingerprint(), cuda_source.wrapper(kernel, kinds), compiler_version(self.compiler),
                 self.architecture, *FLAGS)  # fmt: skip
        return sha256("\0".join(parts).encode()).hexdigest()[:32]


def is_ours(path: Path) -> bool:
    """Whether a path is a plain file of this user or of root, and no link."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid in (0, os.getuid())


def _weight(instance: Instance) -> tuple[int, Instance]:
    """Sorts instances so that the ones with the largest tiles, which take longest, come first."""
    sizes = [int(number) for number in re.findall(r"\b\d+\b", instance[0])]
    product = 1
    for size in sizes:
        product *= max(size, 1)
    return -product, instance


def _write(path: Path, text: str) -> None:
    """Write a file so that no reader ever sees half of the text."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    os.replace(file.name, path)
