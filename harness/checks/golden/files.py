"""Reading recorded cases: one npz file for each entry point and generation.

``k/in_<argument>`` and ``k/out_<argument>`` are the matrices of case k before and after the call in logical (rows,
cols) order, ``meta`` describes the cases: scalars, memory order, launches, refusals. ``fma/`` beside the files holds
the outputs whose bits change when a*b + c is contracted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadInput
from ...quirks import levels
from ...values.archive import Archive

LARGEST = 2**30
"""Bytes of the arrays of one file."""


@dataclass(frozen=True)
class Case:
    """One recorded call."""

    number: int
    about: dict[str, Any]  # the description of the case in the file
    arrays: dict[str, np.ndarray]  # ``in_<argument>`` and ``out_<argument>``
    fused: dict[str, np.ndarray]  # outputs under contraction, where they differ
    level: int  # the year of the release that it is of

    @property
    def entry(self) -> str:
        """Name of the entry point."""
        return self.about["entry"].partition(":")[0]

    @property
    def refused(self) -> bool:
        """Whether the original refused the call."""
        return "rejected_by_assert" in self.about

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the call, matrices in the memory order of the original."""
        _, _, option = self.about["entry"].partition(":")
        words = {} if not option else {"pooler": option} if "Pool" in self.entry else {"overload": option}
        given = {name: self._operand(name, d) for name, d in self.about["inputs"].items() if not d.get("unset")}
        return {**given, **self.about["scalars"], **words, "generation": self.level}

    def _operand(self, name: str, about: Mapping[str, Any]) -> np.ndarray:
        array = self.arrays.get(f"in_{name}")
        if array is None:  # refused calls come without contents
            array = np.zeros(about["shape"], np.int32 if name == "colorIndices" else np.float32)
        if about.get("trans"):
            return np.asfortranarray(array)
        if about.get("stride"):
            wide = np.full((len(array), about["stride"]), np.nan, np.float32)
            wide[:, : array.shape[1]] = array
            return wide[:, : array.shape[1]]
        return array

    def launches(self) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
        """(kernel, grid, block) of the recorded launches."""
        return [(r["kernel"], tuple(r["grid"]), tuple(r["block"])) for r in self.about["launches"]]


def read(path: Path, level: int | None = None) -> list[Case]:
    """The cases of a file, under its own level or another one; BadInput if it is none."""
    arrays = _load(path)
    fused_path = path.parent / "fma" / path.name
    fused = _load(fused_path) if fused_path.exists() else {}
    try:
        cases = json.loads(str(arrays["meta"]))["cases"]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: not a file of recorded cases", hint="see tests/golden/PROVENANCE.md") from error
    level = level or levels.of_file(path.stem)
    return [Case(k, about, _of_case(arrays, k), _of_case(fused, k), level) for k, about in enumerate(cases)]


def paths(folder: str | Path) -> list[Path]:
    """The recorded files of a folder; BadInput if there are none."""
    folder = Path(folder)
    found = sorted(folder.glob("*.npz"))
    if not found:
        raise BadInput(f"{folder}: no recorded cases (*.npz) here", hint="the project's are in tests/golden")
    return found


def _load(path: Path) -> dict[str, np.ndarray]:
    archive = Archive(path, "see tests/golden/PROVENANCE.md")
    return archive.load(archive.headers, LARGEST)


def _of_case(arrays: Mapping[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    prefix = f"{k}/"
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
