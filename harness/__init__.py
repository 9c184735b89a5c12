"""Runs engines side by side, judges, times and reports.

``compare`` is the whole of it as a function; the command ``rosetta`` is the same for a shell. Importing this package
loads nothing heavy: what a name needs is imported when it is used.
"""

from typing import Any

__all__ = ["Comparison", "Options", "compare", "compare_functions", "explain", "read_record"]

_HOMES = {
    "Comparison": "comparison",
    "compare": "comparison",
    "compare_functions": "pairs.functions",
    "explain": "study.explain",
    "Options": "running.prepare",
    "read_record": "reporting.record",
}
_NAMES = {"read_record": "read"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("alexnet-rosetta")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), _NAMES.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
