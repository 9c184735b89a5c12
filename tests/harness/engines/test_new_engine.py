import subprocess
import sys
import tomllib

import pytest

from alexnet_rosetta.harness.engines.new import write
from alexnet_rosetta.harness.errors import BadInput


def test_the_package_works_as_it_is_written(tmp_path):
    engine = write(str(tmp_path / "mine-2"))
    assert engine.name == "mine_2.py"
    project = tomllib.loads((engine.parent / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["rosetta.engines"] == {"mine_2": "mine_2:Mine"}
    assert project["tool"]["setuptools"]["py-modules"] == ["mine_2"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", engine.parent], capture_output=True
    )
    assert ended.returncode == 0, ended.stdout.decode()
    broken = engine.read_text().replace('own[f"weights[{i}]"] @ acts_grad', '0 * own[f"weights[{i}]"] @ acts_grad')
    engine.write_text(broken)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", engine.parent], capture_output=True
    )
    assert b"different" in ended.stdout


NAMES = {"port": "is installed already", "1st": "letters", "two words": "letters", "": "letters", "none/mine": "folder"}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_cannot_be(tmp_path, name):
    with pytest.raises(BadInput, match=NAMES[name]):
        write(str(tmp_path / name) if name else "")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    engine = write(str(tmp_path / "mine"))
    engine.write_text("mine")
    (engine.parent / "pyproject.toml").unlink()
    with pytest.raises(BadInput, match="exists"):
        write(str(tmp_path / "mine"))
    assert engine.read_text() == "mine"
    assert not (engine.parent / "pyproject.toml").exists()
