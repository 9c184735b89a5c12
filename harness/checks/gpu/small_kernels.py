"""``python -m ….small_kernels FOLDER DEVICE``: the smallest recorded case of every kernel, for compute-sanitizer."""

import sys
from pathlib import Path

from ..golden import files
from ..golden.files import Case
from .target import Target


def small_cases(folder: str | Path) -> dict[str, Case]:
    """For every kernel of the recorded cases the one with the fewest numbers: {kernel without arguments: Case}."""
    smallest: dict[str, tuple[int, Case]] = {}
    for path in files.paths(Path(folder)):
        for case in files.read(path):
            size = sum(array.size for array in case.arrays.values())
            for kernel, _, _ in () if case.refused else case.launches():
                name = kernel.split("<")[0]
                if name not in smallest or size < smallest[name][0]:
                    smallest[name] = size, case
    return {name: case for name, (_, case) in smallest.items()}


def main(folder: str | Path, device: str) -> None:
    """Run them and say how many kernels that were."""
    entry_points, cases = Target(device).entry_points(), small_cases(folder)
    ran = set()
    for case in {id(case): case for case in cases.values()}.values():
        outcome = entry_points.call(case.entry, case.arguments())
        if outcome.refusal:
            raise SystemExit(f"{case.entry}: {outcome.refusal}")
        ran |= {kernel.split("<")[0] for kernel, _, _ in outcome.launches}
    print(f"{len(ran)} kernels ran")


if __name__ == "__main__":
    main(*sys.argv[1:])
