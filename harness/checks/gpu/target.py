"""What is checked: the engine of 2012 on a device, and who it is held against."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ... import engines, machine
from ...engines.card import Card, Processor
from ...engines.legacy import EntryPoints, kernel_sources
from ...errors import Unsupported

WITNESSES = ("legacy-cpu", "port")


@dataclass(frozen=True)
class Target:
    """A device of the engine of 2012.

    ``device``: ``gpu``; with ``cpu`` every part can be tried without one.
    """

    device: str = "gpu"

    @property
    def engine(self) -> str:
        """Name of the engine that is checked."""
        return f"legacy-{self.device}"

    @property
    def machine(self) -> Card | Processor:
        """The device as a machine: its facts, its memory."""
        return Card() if self.device == "gpu" else Processor()

    def engines(self, *others: str) -> tuple[str, ...]:
        """The engine that is checked, then those of the others that are somebody else."""
        return (self.engine, *(name for name in others if name != self.engine))

    def probe(self) -> tuple[bool, str]:
        """(available, reason) of the engine that is checked."""
        return engines.find(self.engine).probe()

    def entry_points(self) -> EntryPoints:
        """The historical entry points on the device."""
        return EntryPoints(fused_module(), self.device)

    def twin(self) -> EntryPoints:
        """The same entry points in the build for the CPU that fuses a*b + c."""
        return EntryPoints(fused_module())

    def facts(self) -> dict[str, Any]:
        """What the evidence is about, and where it was found."""
        return {
            "device": self.device,
            "card": self.machine.facts(),
            "build": {"version": _version(), "module": fused_module(), "kernels": kernel_sources()[:16]},
            "engine": self.probe()[1],
            "environment": machine.environment(machine.processors()),
        }


def fused_module() -> str:
    """The best module that fuses a*b + c, as nvcc does."""
    names = [name for name in EntryPoints.modules() if EntryPoints(name).fused]
    if not names:
        raise Unsupported("no module of this build fuses a*b + c", hint="build all instruction sets; unset ROSETTA_ISA")
    return names[-1]


def _version() -> str:
    try:
        return version("alexnet-rosetta")
    except PackageNotFoundError:
        return "not installed"
