"""A layer's verdict after every change of an engine, from tensors that are never stale."""

import os
import random
import shutil
import sys
import sysconfig
from dataclasses import replace
from types import SimpleNamespace

import pytest
from small_nets import write_net

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.running.prepare import Options
from alexnet_rosetta.harness.study import watch

ENGINE = """
from alexnet_rosetta.harness.engines.reference import Reference, ReferenceSession


class Mine(Reference):
    name = "mine"

    def open(self, network, threads):
        return Session(network)


class Session(ReferenceSession):
    def run_forward(self, layer, inputs, mask):
        return super().run_forward(layer, inputs, mask){bent}
"""


@pytest.fixture
def options(tmp_path):
    (tmp_path / "mine.py").write_text(ENGINE.format(bent=""))
    engines = (str(tmp_path / "mine.py"),)
    return Options(write_net(tmp_path), engines=engines, input="random", batch=4, threads=1)


def save(path, text):
    """Save a file as an editor does, and see that its time is another one."""
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def watching(options, tmp_path, monkeypatch, changes):
    """What is said of fc1 by a watch during which functions change files, each while the watch waits."""
    log, said, left = tmp_path / "log", [], list(changes)
    monkeypatch.setattr(watch, "sleep", lambda seconds: left.pop(0)())

    def show(rows):  # in a child process
        with open(log, "a") as file:
            file.write(" ".join(f"{row.step} {row.tensor}={row.status()}" for row in rows) + "\n")

    def say(text):
        with open(log, "a") as file:
            file.write(f"{text}\n")
        said.append(text)

    stale = watch.watch(options, "fc1", show, say, len(changes))
    return stale, [line for line in log.read_text().splitlines() if "acts=" in line or line.startswith("!")], said


def test_every_change_of_an_engine_gives_a_verdict_of_both_passes(options, tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    stale, lines, said = watching(options, tmp_path, monkeypatch, [
        lambda: save(path, ENGINE.format(bent=" + 1")),
        lambda: save(path, ENGINE.format(bent=" +")),
        lambda: save(path, "import os\n\nos._exit(3)\n"),
        lambda: save(path, ENGINE.format(bent="")),
    ])  # fmt: skip
    assert not stale
    good = "forward acts=identical"
    assert [line.startswith(good) for line in lines] == [True, False, False, False, True]
    assert lines[0] == lines[4]
    assert {word.partition("=")[0] for word in lines[0].split()[1::2]} >= {"acts", "inputs_grad[0]", "biases_grad"}
    assert lines[1].startswith("forward acts=different")
    assert lines[2].startswith("! ")
    assert "SyntaxError" in lines[2]
    assert lines[3] == "! the engine ended its process: exit code 3"
    assert any(text.endswith("s after it was saved") for text in said)


def test_what_the_held_tensors_depend_on_ends_their_use(options, tmp_path, monkeypatch):
    params = tmp_path / "small-params.cfg"
    changed = params.read_text().replace("0.9", "0.8", 1)
    stale, lines, _ = watching(options, tmp_path, monkeypatch, [lambda: save(params, changed)])
    assert stale
    assert len(lines) == 1


def test_a_stale_tensor_is_never_used_100_of_100(options, tmp_path, monkeypatch):
    """A byte of any file that the tensors depend on, or any option, is another digest; putting it back is the old."""
    draw = random.Random(0)
    copied = tmp_path / "copied"
    for path in watch.depends(options):
        if path.is_relative_to(watch.ROOT) and path.suffix != ".so":  # large, and read as all others
            (copied / path.relative_to(watch.ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied / path.relative_to(watch.ROOT))
    monkeypatch.setattr(watch, "ROOT", copied)
    paths, held = watch.depends(options), watch.digest(options)
    assert {"small.cfg", "small-params.cfg", "conv.py", "noise.py", "layer_types.py"} <= {path.name for path in paths}
    assert not any(path.name == "mine.py" for path in paths)
    for trial in range(85):
        path = paths[trial] if paths[trial].parent == tmp_path else draw.choice(paths)
        data = path.read_bytes()
        at = draw.randrange(len(data)) if data else 0
        path.write_bytes(data[:at] + bytes([(data[at] if data else 0) ^ 1]) + data[at + 1 :])
        assert watch.digest(options) != held, path
        path.write_bytes(data)
    for trial in range(15):
        kinds = {"seed": trial + 1}, {"batch": 5 + trial}, {"progress": 0.01 + trial / 20}
        other = kinds[trial % 3]
        assert watch.digest(replace(options, **other)) != held
    assert watch.digest(options) == held
    (paths[0].parent / "new.py").write_text("")
    assert watch.digest(options) != held


def test_weights_and_inputs_that_are_files_count(options, tmp_path):
    for name in ("weights", "input"):
        path = tmp_path / f"{name}.npz"
        path.write_bytes(b"first")
        own = replace(options, **{name: str(path)})
        before = watch.digest(own)
        path.write_bytes(b"other")
        assert watch.digest(own) != before


def test_a_layer_that_is_not_there_is_refused(options):
    with pytest.raises(BadInput, match="no layer 'fc9'"):
        watch.hold(options, "fc9")


def test_what_is_built_is_put_in_the_place_of_the_module(options, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "ROOT", tmp_path)
    options = replace(options, engines=("port", "legacy-cpu"))
    assert "'make build' makes it" in watch.build(options)
    folder = tmp_path / "build" / f"cmake-{sys.implementation.cache_tag}"
    (folder / "modules").mkdir(parents=True)
    (folder / "build.ninja").write_text("")
    monkeypatch.setenv("ROSETTA_ISA", "x86-64-v4")
    monkeypatch.setattr(watch.shutil, "which", lambda name, path: "ninja")
    asked, suffix = [], sysconfig.get_config_var("EXT_SUFFIX")
    for room, name in (("port", "_loops"), ("legacy", "_legacy_v4")):
        (tmp_path / room).mkdir()
        (folder / "modules" / f"{name}.so").write_bytes(b"new")
        (tmp_path / room / f"{name}{suffix}").write_bytes(b"old")
    (tmp_path / "port" / "_loops.pyx").write_text("")

    def run(command, **rest):
        asked.append(command)
        return SimpleNamespace(returncode=len(asked) - 1, stdout="[1/2] x\na.cpp:3: error: no such name\nmore")

    monkeypatch.setattr(watch, "run", run)
    assert watch.build(options) == ""
    assert asked == [["ninja", "-C", folder, "_legacy_v4", "_loops"]]
    assert (tmp_path / "port" / f"_loops{suffix}").read_bytes() == b"new"
    assert (tmp_path / "legacy" / f"_legacy_v4{suffix}").read_bytes() == b"new"
    assert watch.build(options) == "a.cpp:3: error: no such name"


def test_the_names_of_modules_are_those_that_python_imports(options):
    """What `build` writes over is what is there."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    found = {path.stem for path in (watch.ROOT / "port").glob("_*.pyx")}
    assert found
    assert all((watch.ROOT / "port" / f"{name}{suffix}").exists() for name in found)
