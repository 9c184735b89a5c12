"""The engine of 2012 on the CPU: a thin cover over ``alexnet_rosetta.legacy.Network``, whose verbs are the same."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import EngineUnavailable, Unsupported, one_line
from ..network.load import Network, plain
from ..quirks import levels
from .card import card_peak
from .peaks import Peak
from .protocol import Arithmetic, Engine, Session


class LegacyCpu(Engine):
    """The engine ``legacy-cpu``.

    ``isa``: the build for an instruction set, of `EntryPoints.modules`; by default the best.
    """

    name = "legacy-cpu"
    device = "cpu"

    def __init__(self, isa: str | None = None) -> None:
        self.isa = isa

    def probe(self) -> tuple[bool, str]:
        """Available where the extension modules were built; the reason names instruction set and compiler."""
        try:
            from alexnet_rosetta import legacy
            from alexnet_rosetta.legacy.network import Network  # noqa: F401

            info = legacy.build_info()
        except ImportError as error:
            return False, f"not built ({error}); run 'pip install -e .' or 'make build'"
        except ValueError as error:
            return False, one_line(error)
        return True, ", ".join(f"{key} {value}" for key, value in info.items() if key != "threads")

    def open(self, network: Network, threads: int) -> Session:
        from alexnet_rosetta.legacy import use_isa

        with use_isa(self.isa) if self.isa else nullcontext():
            return _session(network, device="cpu", threads=threads)

    def quirks(self) -> Mapping[str, bool]:
        from alexnet_rosetta import legacy

        return legacy.quirk_defaults()

    def arithmetic(self) -> Arithmetic:
        """The order of the kernels of 2012; whether they are compiled with fused multiply-adds."""
        from alexnet_rosetta import legacy

        return Arithmetic("legacy", legacy.build_info()["fma"])


class LegacyGpu(Engine):
    """The engine ``legacy-gpu``: the same C++ network, its kernels on a GPU."""

    name = "legacy-gpu"

    def probe(self) -> tuple[bool, str]:
        """Available where there is a GPU with its driver, nvcc, PyCUDA and nvmath; else the reason says what to get."""
        available, reason = LegacyCpu().probe()
        if not available:
            return False, reason
        from alexnet_rosetta.legacy import gpu

        return gpu.probe()

    def missing(self) -> Sequence[str]:
        from alexnet_rosetta.legacy import gpu

        return gpu.missing()

    def peak(self) -> Peak | None:
        return card_peak()

    def open(self, network: Network, threads: int) -> Session:
        """A session on the first GPU; its times are those of events, without the copies between host and GPU."""
        return _session(network, device="gpu")

    def quirks(self) -> Mapping[str, bool]:
        return LegacyCpu().quirks()


class LegacySession(Session):
    """Hands every verb on; what the engine refuses is `Unsupported`."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self._pass_type = "train"

    def set_pass_type(self, pass_type: str) -> None:
        self._pass_type = pass_type

    def set_quirk(self, name: str, on: bool) -> None:
        self.network.set_quirk(name, on)

    def write(self, layer: str, tensor: str, array: np.ndarray) -> None:
        _translated(self.network.write, layer, tensor, array)

    def read(self, layer: str, tensor: str) -> np.ndarray:
        return self.network.read(layer, tensor)

    def forward(self, layer: str, inputs: Sequence[np.ndarray] | None = None, mask: np.ndarray | None = None) -> None:
        _translated(self.network.forward, layer, inputs, mask, self._pass_type)

    def backward(self, layer: str, acts_grad: np.ndarray | None = None, progress: float = 0.0) -> None:
        _translated(self.network.backward, layer, acts_grad, progress)

    def sum_grad(self, layer: str, parts: Sequence[tuple[str, int, np.ndarray]]) -> np.ndarray:
        return _translated(self.network.sum_grad, layer, parts)

    def update(self, layer: str, progress: float = 0.0) -> None:
        _translated(self.network.update, layer, progress)

    def seconds(self, layer: str, step: str) -> float:
        return self.network.seconds(layer, step)

    def copy_seconds(self, layer: str, step: str) -> float:
        """Seconds of the copies between host and GPU in that step; 0 on the CPU."""
        return self.network.copy_seconds(layer, step)

    def record_launches(self) -> None:
        self.network.logging = True

    def launches(self) -> list[dict[str, Any]]:
        """The launch records since `record_launches`.

        Dicts with layer, pass, kernel, grid, block, shared_bytes, args, seconds, rule.
        ``resources`` is what the instance takes of a GPU: {architecture: registers, shared, local, spills}.
        """
        from alexnet_rosetta.legacy.gpu import resources

        return [{**launch, "resources": resources.lookup(launch["kernel"])} for launch in self.network.launches]

    def release(self, layer: str) -> None:
        self.network.release(layer)

    def drop(self, layer: str, tensor: str) -> None:
        """Free the output of a layer with weights that was given its inputs: no later step reads that one."""
        if tensor == "acts":
            self.network.release(layer, acts_alone=True)


def count(
    network: Network, run: Callable[[Session], object], blocks: int | None = None, trace: int = 0
) -> list[tuple[dict[str, Any], Any]]:
    """Count what the kernels of some steps do with memory (`alexnet_rosetta.legacy.counted`).

    `run` runs the steps of a session; it is called twice, the first time on a device that computes nothing. `blocks` of
    a launch, spread over its grid, are counted; all by default. The trace of one block of a launch may have `trace`
    bytes; 0: none.

    The result has launch records, without matrix products, and what was counted. Raises Unsupported: there is no C++
    compiler.
    """
    from alexnet_rosetta.legacy import use_isa
    from alexnet_rosetta.legacy.counted import CountingDevice, library
    from alexnet_rosetta.legacy.gpu.recording import DryDevice

    with use_isa("strict"):
        run(_session(network, device=(dry := DryDevice())))
        device = CountingDevice(_translated(library, dry.instances), blocks, trace=trace)
        session = _session(network, device=device)
        session.record_launches()
        run(session)
    launched = [launch for launch in session.launches() if not launch["kernel"].startswith("sgemm(")]
    return list(zip(launched, device.launches, strict=True))


def _session(network: Network, **where: Any) -> "LegacySession":
    from alexnet_rosetta.legacy.network import Network

    layers = [plain(layer) for layer in network.layers]
    more = {"update_every": network.update_every, "minibatch": network.minibatch, "quantise": network.quantise}
    return LegacySession(_translated(Network, layers, **where, **more))


def _translated(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    from alexnet_rosetta.legacy import Refused

    try:
        return call(*args, **kwargs)
    except Refused as error:
        raise Unsupported(error.what, expected=error.expected, actual=error.actual, hint=error.hint) from error


@dataclass(frozen=True)
class EntryResult:
    """What a call of an entry point gave: outputs and launches (kernel, grid, block), or why it was refused.

    ``records`` are the whole launch records.
    """

    outputs: Sequence[np.ndarray] = ()
    launches: Sequence[tuple[str, Any, Any]] = ()
    refusal: str = ""
    records: Sequence[Mapping[str, Any]] = ()


class EntryPoints:
    """The historical entry points, on one instruction set of `modules`, on the ``cpu`` or ``gpu``.

    `fused` says whether this build contracts a*b + c.
    """

    def __init__(self, isa: str, device: str = "cpu") -> None:
        from alexnet_rosetta.legacy import isa as modules

        self.device = device
        self.isa, self.fused = isa, modules.load(isa).build_info()["fma"]

    @staticmethod
    def modules() -> list[str]:
        """Names of the instruction sets that were built and run here, strict first."""
        from alexnet_rosetta.legacy import isa

        return isa.available()

    def call(self, entry: str, arguments: Mapping[str, Any]) -> EntryResult:
        """Call an entry point by name, with the quirks of the release that the argument ``generation`` names."""
        from alexnet_rosetta.legacy import Refused, cudaconv, launch_log, quirk_defaults, quirks, use_isa

        then = levels.positions(arguments["generation"])
        own = {name.replace("-", "_"): then[name] for name in quirk_defaults() if name in then}
        try:
            with use_isa(self.isa), quirks(**own), launch_log() as log:
                outputs = getattr(cudaconv, entry)(**arguments, device=self.device)
        except Refused as error:
            return EntryResult(refusal=one_line(error))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return EntryResult(outputs, [(r["kernel"], r["grid"], r["block"]) for r in log], records=log)


def kernel_sources() -> str:
    """A hash of all kernel files."""
    from alexnet_rosetta.legacy.gpu import cuda_source

    return cuda_source.fingerprint()


def approximate_functions(kernels: Iterable[str]) -> list[str]:
    """The functions of `fastmath.cuh`, approximate on a GPU, that the files of these kernels call.

    ``kernels``: kernel strings of launch records.
    """
    from alexnet_rosetta.legacy.gpu import cuda_source

    names = {name for kernel in kernels for name in re.findall(r"[A-Za-z_]\w{3,}", kernel)} - {"true", "false"}
    texts = [path.read_text() for path in cuda_source.KERNELS.glob("*.cuh") if path.name != "fastmath.cuh"]
    used = [set(re.findall(r"\w+", text)) for text in texts]
    return sorted({word for words in used if words & names for word in words if re.fullmatch(r"fast[A-Z]\w+", word)})


def planned(layer: dict[str, Any], inputs: Mapping[str, tuple[int, bool]], batch: int) -> list[dict[str, Any]]:
    """What the engine would launch for a layer alone, forward and backward; nothing runs.

    ``layer``: a layer as `network.load.plain` gives it.
    ``inputs``: the layers that it reads: their outputs, and whether they want a gradient.
    Returns: launch records as of `LegacySession.launches`, without resources and seconds; empty where the engine
    refuses.
    Raises Unsupported: the engine does not take such a layer.
    """
    from alexnet_rosetta.legacy.gpu import recording

    below = []
    for name, (outputs, wants) in inputs.items():
        learner = {"type": "fc", "inputs": [""], "numInputs": [1], "weightShapes": [[1, outputs]], "neuron": "",
                   "biasShape": [1, outputs], "epsW": [1], "epsB": 1, "momW": [0], "momB": 0, "wc": [0]}  # fmt: skip
        below.append({"name": name, "outputs": outputs, **(learner if wants else {"type": "data"})})
    layers = [{"name": "", "type": "data", "outputs": 1}, *below, layer]
    return _translated(recording.launches, layers, layer["name"], batch)


@contextmanager
def instructions(name: str) -> Iterator[None]:
    """Have the engine use one instruction set inside the block; EngineUnavailable where it is not there."""
    from alexnet_rosetta.legacy import Refused, use_isa

    with ExitStack() as stack:
        try:
            stack.enter_context(use_isa(name))
        except Refused as error:
            raise EngineUnavailable(f"instruction set {name} is unavailable: {one_line(error)}") from error
        yield
