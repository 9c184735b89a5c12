"""What every kernel instance takes of a GPU: registers, shared memory, local memory and spills, per architecture.

``python -m alexnet_rosetta.legacy.gpu.resources`` compiles every instance with nvcc, without a GPU, and writes the
table that comes with the package (``kernels/resources.csv``); with ``--missing`` it compiles only the instances that
the table lacks. `lookup` reads the table.
"""

import csv
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

from . import cubins, cuda_source, instances

TABLE = cuda_source.KERNELS / "resources.csv"
ARCHITECTURES = ("sm_75", "sm_80", "sm_90")
GROUP = 50  # instances per call of the compiler
FIELDS = ("registers", "local", "spills")


class Resources(NamedTuple):
    """Of an instance: registers per thread; bytes of shared memory per block, of local memory and spills per thread."""

    registers: int
    shared: int
    local: int
    spills: int


def measure(
    wanted: Mapping[str, str], architecture: str, compiler: str = "nvcc", workers: int | None = None
) -> dict[str, Resources]:
    """Compile instances and read what ptxas says of them.

    Parameters
    ----------
    wanted : dict of str to str
        Kernel string to argument kinds.
    architecture : str
        "sm_90"

    Returns
    -------
    dict of str to Resources

    Raises
    ------
    CompileError
        An instance does not compile.
    """
    names = sorted(wanted)
    groups = [names[i : i + GROUP] for i in range(0, len(names), GROUP)]

    def one(group: Sequence[str]) -> dict[str, Resources]:
        instances = [(name, wanted[name]) for name in group]
        with tempfile.TemporaryDirectory() as folder:
            cubin, flags = Path(folder, "kernels.cubin"), (*cubins.FLAGS, "-Xptxas=-v")
            printed = cubins.compile_cubin(instances, architecture, cubin, compiler=compiler, flags=flags)
        found = parse(printed)
        return {name: found[cuda_source.symbol(name, kinds)] for name, kinds in instances}

    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        return {name: row for part in pool.map(one, groups) for name, row in part.items()}


def parse(printed: str) -> dict[str, Resources]:
    """{symbol: Resources} from the report of ``ptxas -v``."""
    found = {}
    for part in re.split(r"Compiling entry function '", printed)[1:]:
        numbers = [re.search(rf"(\d+) {what}", part)
                   for what in ("registers", "bytes smem", "bytes stack frame", "bytes spill stores")]  # fmt: skip
        found[part.split("'")[0]] = Resources(*(int(number[1]) if number else 0 for number in numbers))
    return found


def write(measured: Mapping[str, Mapping[str, Resources]], path: Path = TABLE, compiler: str = "nvcc") -> None:
    """Write the table: {architecture: {kernel string: Resources}}."""
    heads = [f"{architecture} {field}" for architecture in measured for field in FIELDS]
    first = next(iter(measured.values()))
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(f"# nvcc {cubins.compiler_version(compiler)}, {' '.join(cubins.FLAGS)}\n")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["kernel", "shared", *heads])
        for kernel in sorted(first):
            found = [rows_of[kernel] for rows_of in measured.values()]
            rows.writerow([kernel, found[0].shared, *(getattr(row, field) for row in found for field in FIELDS)])


@cache
def read(path: Path = TABLE) -> tuple[str, dict[str, dict[str, Resources]]]:
    """The table: compiler and flags, {kernel string: {architecture: Resources}}."""
    with open(path, newline="", encoding="utf-8") as file:
        about = file.readline().removeprefix("# ").strip()
        table = {}
        for row in csv.DictReader(file):
            architectures = dict.fromkeys(head.split()[0] for head in row if " " in head)
            table[row["kernel"]] = {name: _resources(row, name) for name in architectures}
    return about, table


def _resources(row: Mapping[str, str], architecture: str) -> Resources:
    return Resources(shared=int(row["shared"]), **{f: int(row[f"{architecture} {f}"]) for f in FIELDS})


def lookup(kernel: str) -> dict[str, Resources]:
    """{architecture: Resources} of an instance; empty if the table does not have it (matrix products)."""
    return read()[1].get(kernel, {})


def main(missing: bool) -> None:
    """Measure every instance, or those that the table lacks, and write the table."""
    wanted, kept = instances.instances(), read()[1] if missing else {}
    new, measured = {name: kinds for name, kinds in wanted.items() if name not in kept}, {}
    for architecture in ARCHITECTURES:
        print(f"{len(new)} instances for {architecture}", flush=True)
        old = {name: row[architecture] for name, row in kept.items() if name in wanted}
        measured[architecture] = old | measure(new, architecture)
    write(measured)


if __name__ == "__main__":
    main(missing="--missing" in sys.argv[1:])
