"""Who may import whom (docs/architecture.md): rooms, parts of the harness, and what is imported only when used."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("legacy", "port", "harness", "testing")
OURS = "alexnet_rosetta"

# Outside the standard library: what a room may import when it is imported, and what only inside functions.
OUTSIDE = {
    "legacy": ({"numpy", "scipy", "threadpoolctl"}, {"pycuda", "nvmath"}),
    "port": ({"numpy", "scipy", "threadpoolctl"}, set()),
    "harness": ({"numpy", "threadpoolctl", "click"}, {"pandas", "pyarrow", "PIL", "safetensors", "torch", "scipy"}),
    "harness/data": (set(), {"onnx"}),
    "harness/reporting/report": ({"numpy", "matplotlib", "jinja2", "markupsafe", "PIL"}, set()),
    "harness/training": ({"markupsafe"}, {"PIL", "matplotlib"}),
    "harness/cli/terminal.py": ({"rich"}, set()),
    "harness/checks/mutants": (set(), {"hypothesis", "pytest"}),
    "harness/checks/rules": (set(), {"matplotlib"}),
    "harness/publishing": ({"jinja2", "markupsafe"}, set()),
    "harness/study": ({"markupsafe"}, {"latex2mathml", "matplotlib"}),
    "harness/sweeps": ({"markupsafe"}, {"dask", "distributed"}),
    "harness/reference": ({"numpy"}, set()),
    "testing": ({"numpy"}, set()),
    "testing/plugin.py": ({"pytest"}, set()),
}

# The parts of the harness, floor by floor: a part imports from the floors below its own and from no other.
FLOORS = (
    ("concordance", "errors", "files", "reference"),
    ("machine", "network", "recording"),
    ("judging", "quirks", "values"),
    ("data", "engines"),
    ("running",),
    ("bench", "reporting"),
    ("comparison", "study", "training"),
    ("checks", "pairs", "publishing"),
    ("lab", "pack", "sweeps"),
    ("cli",),
    ("__main__",),
)

FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path):
    """(module, at import time) of every import of a file; relative ones keep their dots resolved to our names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = [OURS, *path.relative_to(ROOT).parts[:-1]]
    later = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) or is_for_types(node)]
    deferred = {id(node) for one in later for node in ast.walk(one)}
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


def is_for_types(node):
    """Whether what stands below is never imported: `if TYPE_CHECKING`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


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
        if room == "testing" and name.startswith(f"{OURS}.harness"):
            continue
        where = path.relative_to(ROOT).as_posix()
        is_adapter = where.startswith("harness/engines/") or where == "harness/network/load.py"
        assert is_adapter, f"{where} imports {name}"
        assert not at_import, f"{where} imports {name} outside a function"
        if where == "harness/network/load.py":
            assert name.startswith(f"{OURS}.port.config")


@pytest.mark.parametrize("path", sorted((ROOT / "harness").rglob("*.py")), ids=lambda path: path.as_posix())
def test_the_arrow_inside_the_harness(path):
    own = part_of(path)
    below = parts_below(own)
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[:2] == [OURS, "harness"] and len(parts) > 2 and parts[2] not in (own, "__version__"):
            assert parts[2] in below, f"{own} must not import {parts[2]}"


def part_of(path):
    """The part of the harness that a file belongs to: its folder, or the file itself; of the room's face, all."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def parts_below(part):
    """The parts on the floors below one; all of them for the face of the room."""
    floor = next((number for number, parts in enumerate(FLOORS) if part in parts), len(FLOORS))
    return {name for parts in FLOORS[:floor] for name in parts}


def test_every_part_has_a_floor():
    found = {part_of(path) for path in (ROOT / "harness").rglob("*.py")} - {"__init__"}
    assert found == {name for parts in FLOORS for name in parts}


def test_tests_mirror_the_rooms():
    """A folder of tests is called as the folder that it tests, except for what tests need and for hostile input."""
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")} - {Path()}
    strangers = {folder for folder in folders if not (ROOT / folder).is_dir()}
    assert strangers == {Path("fuzz")}
    assert {path.parent.relative_to(ROOT) for path in (ROOT / "harness").glob("*/*.py")} <= folders


def test_no_test_imports_another():
    """What several tests need is in a module that holds no tests. Programs in strings count."""
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    assert len(tests) > 100
    modules = {path.stem for path in tests}
    for path in tests:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        named = re.findall(
            r"\b(?:from|import) (test_\w+)", "\n".join(filter(lambda text: isinstance(text, str), strings))
        )
        found = {part for name, _ in imports(path) for part in name.split(".")} | set(named)
        assert not found & modules, f"{path.name} imports {found & modules}"


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
