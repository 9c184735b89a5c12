"""Who may import whom (docs/architecture.md): rooms, parts of the harness, and what is imported only when used."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("legacy", "port", "harness")
OURS = "alexnet_rosetta"

# Outside the standard library: what a room may import when it is imported, and what only inside functions.
OUTSIDE = {
    "legacy": ({"numpy", "scipy"}, {"pycuda", "nvmath"}),
    "port": ({"numpy", "scipy", "threadpoolctl"}, set()),
    "harness": ({"numpy", "threadpoolctl", "click"}, {"pandas", "pyarrow", "PIL", "torch", "scipy"}),
    "harness/report": ({"numpy", "matplotlib", "jinja2", "markupsafe", "PIL"}, set()),
    "harness/terminal.py": ({"rich"}, set()),
    "harness/reference": ({"numpy"}, set()),
}

# harness: errors <- records <- judgement <- running <- reporting and command line.
LEVELS = {
    "errors": 0,
    "files": 0,
    "names": 0,
    "dataset": 0,
    "contents": 0,
    "archive": 1,
    "verdicts": 1,
    "reference": 2,
    "judge": 3,
    "exact": 3,
    "quantise": 3,
    "labels": 3,
    "graph": 4,
    "draws": 4,
    "views": 4,
    "machine": 4,
    "peaks": 4,
    "photos": 5,
    "networks": 5,
    "inputs": 6,
    "learning": 6,
    "parameters": 7,
    "places": 7,
    "quirks": 7,
    "rerun": 7,
    "work_counts": 7,
    "update": 8,
    "stream": 8,
    "table": 8,
    "engines": 9,
    "workload": 9,
    "afterwards": 10,
    "attribution": 10,
    "exact_workload": 10,
    "forward": 10,
    "backward": 10,
    "sweep": 11,
    "propagated": 12,
    "record": 12,
    "run": 13,
    "display": 13,
    "report": 14,
    "api": 15,
    "bench": 16,
    "bench_table": 17,
    "gpu_bundle": 16,
    "gpu_check": 18,
    "faults": 16,
    "golden": 16,
    "grads": 16,
    "layers": 16,
    "study": 17,
    "doctor": 16,
    "new_net": 16,
    "terminal": 18,
    "cli": 19,
    "__main__": 20,
}

FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path):
    """(module, at import time) of every import of a file; relative ones keep their dots resolved to our names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = [OURS, *path.relative_to(ROOT).parts[:-1]]
    deferred = {id(node) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for node in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((name, id(node) not in deferred) for name in names)


def room_of(path):
    return path.relative_to(ROOT).parts[0]


def outside(path):
    """(allowed when imported, allowed inside functions) of the most particular entry for a file, and its parents."""
    name = path.relative_to(ROOT).as_posix()
    always, deferred = set(), set()
    for prefix, (at_import, later) in OUTSIDE.items():
        if name == prefix or name.startswith(prefix + "/"):
            if prefix == "harness/reference":
                return at_import, later
            always, deferred = always | at_import, deferred | later
    return always, deferred


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_other_peoples_packages(path):
    import sys

    always, deferred = outside(path)
    for name, at_import in imports(path):
        package = name.split(".")[0]
        if package in sys.stdlib_module_names or package == OURS:
            continue
        assert package in (always if at_import else always | deferred), f"{name} in {path.relative_to(ROOT)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_rooms(path):
    room = room_of(path)
    for name, at_import in imports(path):
        if not name.startswith(OURS) or name.startswith(f"{OURS}.{room}"):
            continue
        where = path.relative_to(ROOT).as_posix()
        is_adapter = where.startswith("harness/engines/") or where == "harness/networks.py"
        assert is_adapter, f"{where} imports {name}"
        assert not at_import, f"{where} imports {name} outside a function"
        if where == "harness/networks.py":
            assert name.startswith(f"{OURS}.port.config")


@pytest.mark.parametrize("path", sorted((ROOT / "harness").rglob("*.py")), ids=lambda path: path.name)
def test_the_arrow_inside_the_harness(path):
    own = path.relative_to(ROOT).parts[1].removesuffix(".py")
    if own == "__init__":
        return
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[:2] != [OURS, "harness"] or len(parts) < 3 or parts[2] == own:
            continue
        assert LEVELS[parts[2]] < LEVELS[own], f"{own} must not import {parts[2]}"


def test_inside_a_room_imports_are_relative():
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = f"{OURS}.{room_of(path)}"
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert not (node.module or "").startswith(own), f"{path}: {node.module}"
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith(own) for alias in node.names), path


def test_the_rules_can_fail(tmp_path):
    path = ROOT / "harness" / "reference" / "example.py"
    names = dict(_imports_of("import scipy\nfrom .. import judge\ndef f():\n    import torch\n", path))
    assert names == {"scipy": True, f"{OURS}.harness.judge": True, "torch": False}


def _imports_of(source, path):
    class Text:
        def read_text(self, encoding):
            return source

        def relative_to(self, other):
            return path.relative_to(other)

    return imports(Text())
