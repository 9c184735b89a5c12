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
from pathlib import Path

import pytest

from tools.gpu_bundle import wheels

ROOT = Path(__file__).parent.parent
ROOMS = ("legacy", "port", "harness")
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


def test_the_archive_has_every_file_and_no_other(tmp_path):
    setup("egg_info", "--egg-base", tmp_path, "sdist", "--dist-dir", tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
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
    names = {re.match("[a-z]+", need)[0] for need in needs}
    assert names == {"setuptools", "cython", "numpy", "scipy", "cmake", "ninja"}


def test_setup_calls_and_replaces_nothing_private():
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    assert not [name for name in used if name.startswith("_")]


def test_the_public_faces_are_checked_for_types():
    """mypy in `make lint` is strict on files that exist, the faces of the rooms among them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    listed = settings["files"]
    assert settings["strict"]
    assert len(set(listed)) == len(listed)
    assert [name for name in listed if not (ROOT / name).exists()] == []
    faces = {"__init__.py", "comparison.py", "running/prepare.py", "engines/protocol.py", "judging/row.py"}
    assert {f"harness/{name}" for name in faces} | {"port/__init__.py", "legacy/cudaconv.py"} <= set(listed)
    assert re.search(r"^\t\$\(BIN\)/mypy$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    (lenient,) = settings["overrides"]
    for name in lenient["module"]:
        path = f"{name.replace('.', '/')}.py"
        assert path in listed
        for function in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
            if isinstance(function, ast.FunctionDef) and not function.name.startswith("_"):
                arguments = (*function.args.args, *function.args.kwonlyargs)
                typed = [function.returns, *(one.annotation for one in arguments)]
                assert all(typed), f"{name}.{function.name}"


def test_the_version_is_the_same_everywhere():
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {stated}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for room in ROOMS:
        assert import_module(f"alexnet_rosetta.{room}").__version__ == stated
