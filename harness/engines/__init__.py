"""Engines by name: the built-in ones, and those that other packages register as ``rosetta.engines``."""

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from ..errors import BadInput, EngineUnavailable, RosettaError, meant, told
from .protocol import Engine, lacking

BUILT_IN = {
    "legacy-cpu": ("legacy", "LegacyCpu"),
    "legacy-gpu": ("legacy", "LegacyGpu"),
    "port": ("port", "Port"),
    "reference": ("reference", "Reference"),
    "torch": ("torch", "Torch"),
    "torch-channels-last": ("torch", "TorchChannelsLast"),
    "torch-gpu": ("torch", "TorchGpu"),
}
DEFAULT = ("legacy-cpu", "port")


def registered() -> list[str]:
    """Names of all engines, built-in ones first."""
    return [*BUILT_IN, *sorted(point.name for point in entry_points(group="rosetta.engines"))]


def is_program(name: str) -> bool:
    """Whether `find` would run a Python file for that name."""
    return name.endswith(".py")


def find(name: str) -> Engine:
    """The engine of that name, or of a Python file; BadInput if there is none."""
    if is_program(name):
        return _in_file(Path(name))
    if name in BUILT_IN:
        module, cls = BUILT_IN[name]
        engine: Engine = getattr(import_module(f".{module}", __name__), cls)()
        return engine
    for point in entry_points(group="rosetta.engines"):
        if point.name == name:
            registered_engine: Engine = point.load()()
            return registered_engine
    known = registered()
    raise BadInput(f"no engine is called {name!r}", hint=meant(name, known, f"engines: {', '.join(known)}"))


def _in_file(path: Path) -> Engine:
    """The engine whose class is the only one in a Python file."""
    spec = spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise BadInput(f"there is no file {str(path)!r} with an engine", hint="--engines takes names and Python files")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    own = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
    found = [one for one in own if Engine in one.__mro__]
    if len(found) != 1:
        raise BadInput(f"{path} has {len(found)} engines", expected="one class derived from engines.protocol.Engine")
    engine: Engine = found[0]()
    return engine


def probe(name: str) -> tuple[Engine | None, str]:
    """(engine, "what it says of itself") of that name if it can run here, else (None, "why not").

    Whatever another package's engine raises is a reason. BadInput if there is no engine of that name.
    """
    try:
        engine = find(name)
        if lacks := lacking(engine, Engine):
            return None, f"it lacks {', '.join(lacks)}: derive it from engines.protocol.Engine"
        works, reason = engine.probe()
    except BadInput:
        raise
    except Exception as error:
        return None, str(error) if isinstance(error, ImportError | RosettaError) else told(error)
    return engine if works else None, reason


def available(names: Iterable[str]) -> list[Engine]:
    """The engines of these names, each able to run here; EngineUnavailable naming the first that is not."""
    engines = []
    for name in names:
        engine, reason = probe(name)
        if engine is None:
            raise EngineUnavailable(
                f"engine {name} is unavailable: {reason}", hint="see 'rosetta doctor', choose --engines"
            )
        engines.append(engine)
    names_found = [engine.name for engine in engines]
    if len(set(names_found)) < len(engines):
        raise BadInput(f"two engines have the same name: {', '.join(names_found)}", hint="the attribute 'name' of each")
    return engines
