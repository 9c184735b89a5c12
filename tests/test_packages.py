"""What the archive of the sources and the installed package hold, and how they are made."""

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from fnmatch import fnmatch
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from tools.gpu_bundle import wheels

ROOT = Path(__file__).parent.parent
ROOMS = ("legacy", "port", "harness", "testing")
COMPILED = (
    "legacy/*.pyx",
    "harness/*/_*.pyx",
    "harness/*/_*.h",
)  # what is compiled there is not needed afterwards; all other sources are, for a study


def tracked():
    """The files that git knows, relative to the top."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no checkout")
    lines = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=True).stdout
    return {name for name in lines.splitlines() if (ROOT / name).exists()}


def setup(*arguments):
    subprocess.run([sys.executable, "setup.py", "--quiet", *map(str, arguments)], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The archive of the sources."""
    folder = tmp_path_factory.mktemp("archive")
    setup("egg_info", "--egg-base", folder, "sdist", "--dist-dir", folder)
    (path,) = folder.glob("*.tar.gz")
    return path


def test_the_archive_has_every_file_and_no_other(archive):
    with tarfile.open(archive) as tar:
        found = {name.partition("/")[2] for name in tar.getnames() if not tar.getmember(name).isdir()}
    made = {"PKG-INFO", "setup.cfg", "harness/commit.txt"}
    assert {name for name in found - made if ".egg-info/" not in name} == tracked()


def test_the_package_has_every_file_of_the_rooms(tmp_path):
    setup("egg_info", "--egg-base", tmp_path, "build_py", "--build-lib", tmp_path / "lib")
    package = tmp_path / "lib" / "alexnet_rosetta"
    found = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()} - {"harness/commit.txt"}
    assert found == {
        name for name in tracked() if name.startswith(ROOMS) and not any(fnmatch(name, one) for one in COMPILED)
    }


def test_build_requirements_stand_once():
    for path in (ROOT / "Makefile", ROOT / "tools" / "gpu_bundle" / "wheels.py"):
        assert not re.search(r"\b(setuptools|cython|cmake|ninja)\s*[<>=]", path.read_text(encoding="utf-8")), path
    needs = wheels.build_requirements(ROOT)
    names = {re.match("[a-z-]+", need)[0] for need in needs}
    assert names == {"setuptools", "setuptools-scm", "cython", "numpy", "scipy", "cmake", "ninja"}


def test_setup_calls_and_replaces_nothing_private():
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    assert not [name for name in used if name.startswith("_")]


def untyped(path):
    """Names of the public functions and methods of a file of which an argument or the result has no annotation."""
    found = []

    def look(node, prefix, in_class):
        for one in ast.iter_child_nodes(node):
            if isinstance(one, ast.ClassDef):
                look(one, f"{prefix}{one.name}.", True)
            elif isinstance(one, ast.FunctionDef) and (not one.name.startswith("_") or one.name.endswith("__")):
                static = any(isinstance(name, ast.Name) and name.id == "staticmethod" for name in one.decorator_list)
                given = [*one.args.posonlyargs, *one.args.args][in_class and not static :]
                given += filter(None, (*one.args.kwonlyargs, one.args.vararg, one.args.kwarg))
                if not one.returns or not all(argument.annotation for argument in given):
                    found.append(f"{path.name}: {prefix}{one.name}")
            elif not isinstance(one, ast.FunctionDef):
                look(one, prefix, in_class)

    look(ast.parse(path.read_text(encoding="utf-8")), "", False)
    return found


def test_the_rooms_are_checked_for_types():
    """mypy in `make lint` is strict on the three rooms, and there every public function has types."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert re.search(r"^\t\$\(BIN\)/mypy$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert settings["strict"]
    assert sorted(settings["files"]) == sorted(ROOMS)
    assert [name for room in ROOMS for path in (ROOT / room).rglob("*.py") for name in untyped(path)] == []


def test_a_function_without_types_is_found(tmp_path):
    (tmp_path / "one.py").write_text(
        "def right(a: int, *, b: str) -> None: ...\n"
        "def no_result(a: int): ...\n"
        "def _private(a): ...\n"
        "class One:\n"
        "    def __init__(self, a: int) -> None: ...\n"
        "    @staticmethod\n"
        "    def loose(a) -> int: ...\n"
        "    def more(self, *given, **others: int) -> int: ...\n"
    )
    assert untyped(tmp_path / "one.py") == ["one.py: no_result", "one.py: One.loose", "one.py: One.more"]


def test_the_version_is_that_of_the_tag():
    """setuptools-scm gives the package its version; what a release names by hand is one version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" in project["dynamic"]
    (cited,) = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    newest = re.search(r"^## (\S+), (?:unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == cited
    for room in ROOMS[:3]:
        assert import_module(f"alexnet_rosetta.{room}").__version__ == version("alexnet-rosetta")


def test_the_archive_without_git_keeps_its_version(archive, tmp_path):
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    tree = tmp_path / archive.name.removesuffix(".tar.gz")
    found = subprocess.run(
        [sys.executable, "setup.py", "--version"], cwd=tree, capture_output=True, text=True, check=True
    )
    assert found.stdout.split()[-1] == tree.name.partition("-")[2]


def test_the_conda_recipe_needs_what_the_package_needs():
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    run = re.search(r"^  run:\n((?:    - .*\n)*)", recipe, re.MULTILINE)[1]
    needed = {line.strip("- ").replace("matplotlib-base", "matplotlib") for line in run.splitlines()}
    assert needed - {"python"} == {one.replace(">=", " >=") for one in project["dependencies"]}


def test_workflows_call_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in (*ROOT.glob(".github/workflows/*.yml"), ROOT / ".ci" / "run"):
        for line in re.findall(r"\bmake ([a-z -]+)", path.read_text(encoding="utf-8")):
            assert set(line.split()) <= targets, path
