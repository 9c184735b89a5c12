"""Compiling kernel instances and keeping them: with a compiler that is a script, and once with nvcc."""

import os
import shutil
import threading

import pytest

from alexnet_rosetta.legacy.gpu import cubins, cuda_source, resources
from alexnet_rosetta.legacy.gpu.cubins import CompileError, Kernels

SCRIPT = """#!/bin/sh
if [ "$1" = --version ]; then echo "Cuda compilation tools, release {release}"; exit; fi
for word in "$@"; do last="$word"; case "$word" in *.cu) source="$word";; esac; done
echo "$@" >> {log}
if grep -q kBroken "$source"; then echo "error: kBroken is broken"; exit 2; fi
cp "$source" "$last"
"""
INSTANCES = [("kTotalAgg<agg::Sum>", "PPii"), ("kLogregCostGrad<false>", "PPPiif"), ("kDotProduct_r", "PPPii")]


@pytest.fixture
def compiler(tmp_path):
    """A script that copies the source to the output, and the log of its calls."""

    def make(release):
        path = tmp_path / f"nvcc-{release}"
        path.write_text(SCRIPT.format(release=release, log=tmp_path / "log"))
        path.chmod(0o755)
        return str(path)

    make.calls = lambda: len((tmp_path / "log").read_text().splitlines())
    return make


def test_instances_are_compiled_in_one_go_and_kept(compiler, tmp_path):
    kernels = Kernels("sm_90", tmp_path / "cache", compiler("13.0"), workers=2)
    assert kernels.prepare([*INSTANCES, INSTANCES[0]]) == 3
    assert compiler.calls() == 2
    paths = [kernels.path(*instance) for instance in INSTANCES]
    for path, instance in zip(paths, INSTANCES, strict=True):
        assert cuda_source.symbol(*instance) in path.read_text()
    again = Kernels("sm_90", tmp_path / "cache", compiler("13.0"))
    assert [again.path(*instance) for instance in INSTANCES] == paths
    assert again.prepare(INSTANCES) == 0
    assert compiler.calls() == 2


def test_other_compilers_architectures_and_sources_are_other_cubins(compiler, tmp_path, monkeypatch):
    folder, instance = tmp_path / "cache", INSTANCES[0]
    found = {Kernels("sm_90", folder, compiler("13.0")).path(*instance)}
    found.add(Kernels("sm_80", folder, compiler("13.0")).path(*instance))
    found.add(Kernels("sm_90", folder, compiler("13.1")).path(*instance))
    monkeypatch.setattr(cubins, "FLAGS", ("-std=c++20",))
    found.add(Kernels("sm_90", folder, compiler("13.0")).path(*instance))
    monkeypatch.setattr(cuda_source, "fingerprint", lambda: "changed")
    found.add(Kernels("sm_90", folder, compiler("13.0")).path(*instance))
    assert len(found) == compiler.calls() == 5


def test_a_lost_cubin_is_made_again(compiler, tmp_path):
    kernels = Kernels("sm_90", tmp_path / "cache", compiler("13.0"))
    path = kernels.path(*INSTANCES[0])
    path.unlink()
    assert kernels.path(*INSTANCES[0]) == path
    assert path.is_file()
    assert compiler.calls() == 2


def test_a_key_leads_only_to_what_is_ours(compiler, tmp_path, monkeypatch):
    kernels = Kernels("sm_90", tmp_path / "cache", compiler("13.0"))
    path = kernels.path(*INSTANCES[0])
    (key,) = [entry for entry in path.parent.iterdir() if entry != path]
    name = key.read_text()
    elsewhere = tmp_path / f"{'0' * 32}.cubin"
    elsewhere.write_text("another program")
    for wrong in (str(elsewhere), f"../{elsewhere.name}", "", "\0", key.name):
        key.write_text(wrong)
        assert kernels._kept(*INSTANCES[0]) is None
    key.write_text(name)
    assert kernels._kept(*INSTANCES[0]) == path
    path.unlink()
    path.symlink_to(elsewhere)
    assert kernels._kept(*INSTANCES[0]) is None
    assert kernels.path(*INSTANCES[0]) == path
    assert not path.is_symlink()
    monkeypatch.setattr(os, "getuid", lambda: 10**6)  # of root, which this may be, files are ours
    assert (kernels._kept(*INSTANCES[0]) is None) == (path.stat().st_uid != 0)


def test_processes_that_compile_the_same_do_not_disturb_each_other(compiler, tmp_path):
    makers = [Kernels("sm_90", tmp_path / "cache", compiler("13.0"), workers=1) for _ in range(4)]
    threads = [threading.Thread(target=maker.prepare, args=(INSTANCES,)) for maker in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({maker.path(*INSTANCES[0]) for maker in makers}) == 1
    left = sorted(path.name for path in (tmp_path / "cache").iterdir() if path.is_dir() or path.suffix == ".cu")
    assert left == []


def test_compile_errors_show_the_command_and_all_output(compiler, tmp_path):
    kernels = Kernels("sm_90", tmp_path / "cache", compiler("13.0"))
    with pytest.raises(CompileError, match=r"(?s)-cubin -arch=sm_90 .*--fmad=true.*error: kBroken is broken"):
        kernels.path("kBroken", "PP")
    assert list((tmp_path / "cache").iterdir()) == []


def test_large_plans_are_split_into_files(compiler, tmp_path):
    kernels = Kernels("sm_90", tmp_path / "cache", compiler("13.0"), workers=2)
    assert kernels.prepare([(f"k<{i}>", "P") for i in range(100)]) == 100
    assert compiler.calls() == -(-100 // cubins.GROUP)


def test_the_compiler_is_found_beside_the_toolkit(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.write_text("#!/bin/sh\n")
    nvcc.chmod(0o755)
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert cubins.find_compiler() == str(nvcc)


@pytest.mark.nvcc
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on the path")
def test_nvcc_makes_a_cubin_and_says_what_it_takes(tmp_path):
    kernels = Kernels("sm_90", tmp_path)
    assert kernels.path(*INSTANCES[0]).read_bytes()[:4] == b"\x7fELF"
    measured = resources.measure(dict(INSTANCES[:1]), "sm_90")
    table = tmp_path / "table.csv"
    resources.write({"sm_90": measured, "sm_75": measured}, table)
    about, read = resources.read(table)
    assert about.startswith(f"nvcc {cubins.compiler_version('nvcc')}")
    assert read == {INSTANCES[0][0]: {"sm_90": measured[INSTANCES[0][0]], "sm_75": measured[INSTANCES[0][0]]}}
    assert measured[INSTANCES[0][0]].shared == 4 * 512
    assert 8 <= measured[INSTANCES[0][0]].registers <= 255
