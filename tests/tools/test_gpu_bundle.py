"""What travels to a GPU machine: the stand-in for the driver, the wheels, the archive and its launcher."""

import ast
import ctypes
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest

from alexnet_rosetta.harness.errors import BadInput
from tools.gpu_bundle import launcher, pack, stub, wheels

ROOT = Path(__file__).parents[2]
WORKSHOP = wheels.Workshop(ROOT / "build" / "gpu")
HEADER = """\
typedef enum cudaError_enum { CUDA_SUCCESS = 0 } CUresult;
#define cuMemAlloc cuMemAlloc_v2
CUresult cuInit(unsigned int Flags);
CUresult cuMemAlloc(unsigned long long *address, unsigned long size);
CUresult cuGetErrorString(CUresult error, const char **text);
CUresult cuGetErrorName(CUresult error, const char **text);
#ifdef __CUDA_API_VERSION_INTERNAL
#undef cuMemAlloc
CUresult cuMemAlloc(unsigned int *address, unsigned int size);
#endif
"""


def toolkit_or_skip():
    try:
        return wheels.find_toolkit()
    except BadInput as error:
        pytest.skip(str(error))


@pytest.fixture
def include(tmp_path):
    folder = tmp_path / "include"
    folder.mkdir()
    (folder / "cuda.h").write_text(HEADER)
    (folder / "cudaProfiler.h").write_text("#include <cuda.h>\nCUresult cuProfilerStart(void);\n")
    return folder


def test_the_stub_has_the_names_of_all_versions(include):
    names = ["cuGetErrorName", "cuGetErrorString", "cuInit", "cuMemAlloc", "cuMemAlloc_v2", "cuProfilerStart"]
    assert stub.symbols(include) == names


def test_the_stub_is_a_driver_without_a_device(include, tmp_path):
    library = ctypes.CDLL(str(stub.build(include, tmp_path / "stub")))
    assert library.cuInit(0) == library.cuMemAlloc_v2(0, 0) == stub.STUB_LIBRARY
    text = ctypes.c_char_p()
    library.cuGetErrorString(stub.STUB_LIBRARY, ctypes.byref(text))
    assert text.value == b"this libcuda is a stub, there is no driver"
    assert (tmp_path / "stub" / "libcuda.so").resolve().name == "libcuda.so.1"


def test_a_header_that_does_not_compile_is_reported(tmp_path):
    (tmp_path / "cuda.h").write_text("#error no\n")
    with pytest.raises(OSError, match="no"):
        stub.symbols(tmp_path)


@pytest.mark.gpu_tools
def test_the_stub_of_the_toolkit(tmp_path):
    toolkit = toolkit_or_skip()
    library = ctypes.CDLL(str(stub.build(toolkit / "include", tmp_path)))
    for name in ("cuInit", "cuMemAlloc_v2", "cuCtxCreate_v2", "cuLaunchKernel", "cuProfilerStart"):
        assert hasattr(library, name)


@pytest.fixture
def python():
    """The Python 3.12 of `make gpu-wheels`, with PyCUDA in it."""
    toolkit_or_skip()
    if not WORKSHOP.python.exists() or not WORKSHOP.wheel("pycuda"):
        pytest.skip("no wheels in build/gpu; make gpu-wheels makes them")
    return WORKSHOP


@pytest.mark.gpu_tools
def test_pycuda_is_installed_imports_on_the_stub_and_makes_a_cubin(python):
    assert python.prove().startswith("no device: cuInit failed")


@pytest.mark.gpu_tools
def test_our_kernels_become_a_module_that_pycuda_would_load(python, tmp_path):
    """Through the compile path of `legacy.gpu`, in the Python that has PyCUDA."""
    rooms = tmp_path / "alexnet_rosetta"
    rooms.mkdir()
    for room in ("legacy", "port", "harness"):
        (rooms / room).symlink_to(ROOT / room)
    program = """
import sys, types
package = types.ModuleType("alexnet_rosetta.legacy")            # without the extension modules of this Python
package.__path__ = [sys.argv[1]]
sys.modules["alexnet_rosetta.legacy"] = package
from alexnet_rosetta.legacy.gpu.cubins import Kernels
path = Kernels("sm_90", sys.argv[2]).path(sys.argv[3], sys.argv[4])
assert path.read_bytes()[:4] == b"\\x7fELF"
import pycuda.driver
try:
    pycuda.driver.module_from_file(str(path))
except pycuda.driver.Error as error:
    print(type(error).__name__, error)
"""
    arguments = [str(ROOT / "legacy"), str(tmp_path / "cubins"), *one_instance()]
    done = subprocess.run([python.python, "-c", program, *arguments], capture_output=True, text=True, check=False,
                          env={**python.environment(), "PYTHONPATH": str(tmp_path)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "cuModuleLoad" in done.stdout


def one_instance():
    """(kernel string, argument kinds) of a launch."""
    from alexnet_rosetta.legacy import cudaconv, launch_log
    from alexnet_rosetta.legacy.gpu import cuda_source

    with launch_log() as log:
        cudaconv.convReflectHorizontal(np.zeros((3 * 4, 8), np.float32), imgSize=2)
    return log[0]["kernel"], "".join(map(cuda_source.kind, log[0]["args"]))


def test_names_of_distributions():
    assert wheels.distribution("cuda-bindings>=13,<14") == "cuda_bindings"
    assert wheels.distribution("cuda_bindings-13.5.0-cp312-cp312-linux_x86_64.whl") == "cuda_bindings"


def test_a_wheel_without_compression_has_the_same_contents():
    data = io.BytesIO()
    with ZipFile(data, "w") as archive:
        archive.writestr("a/b.py", "x = 1\n")
    with ZipFile(io.BytesIO(pack.stored(data.getvalue()))) as archive:
        assert archive.read("a/b.py") == b"x = 1\n"
        assert archive.infolist()[0].compress_type == ZIP_STORED


def test_sources_have_every_room_that_is_built():
    text = (ROOT / "setup.py").read_text()
    rooms = ast.literal_eval(re.search(r"^ROOMS = (\(.+\))$", text, re.MULTILINE)[1])
    assert {*rooms, "setup.py", "CMakeLists.txt", "pyproject.toml"} <= set(pack.SOURCES)


def test_sources_are_what_people_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "SOURCES", ("setup.py", "legacy"))
    (tmp_path / "legacy" / "__pycache__").mkdir(parents=True)
    names = ["setup.py", "legacy/host.cpp", "legacy/_legacy_v4.pyx"]
    for name in (*names, "legacy/_legacy_v4.cpp", "legacy/_legacy_v4.so", "legacy/__pycache__/a.pyc"):
        (tmp_path / name).write_text("")
    with tarfile.open(fileobj=io.BytesIO(pack.source_archive(tmp_path))) as tar:
        assert sorted(tar.getnames()) == sorted(f"alexnet_rosetta/{name}" for name in names)


def test_sources_are_copied_when_they_change(tmp_path):
    for name in pack.SOURCES:
        (tmp_path / "tree" / name).mkdir(parents=True)
    kept, changed, gone = (tmp_path / "tree" / "legacy" / name for name in ("kept.cpp", "changed.cpp", "gone.cpp"))
    for path in (kept, changed, gone):
        path.write_text("1")
    (tmp_path / "tree" / "legacy" / "_legacy_v4.cpp").write_text("made")
    copy = pack.copy_sources(tmp_path / "tree", tmp_path / "copy")
    os.utime(copy / "legacy" / "kept.cpp", (1, 1))
    os.utime(copy / "legacy" / "changed.cpp", (1, 1))
    changed.write_text("2")
    gone.unlink()
    pack.copy_sources(tmp_path / "tree", tmp_path / "copy")
    assert (copy / "legacy" / "kept.cpp").stat().st_mtime == 1
    assert (copy / "legacy" / "changed.cpp").stat().st_mtime > 1
    assert sorted(path.name for path in (copy / "legacy").iterdir()) == ["changed.cpp", "kept.cpp"]


@pytest.fixture
def archive(tmp_path):
    """A bundle with one small wheel, which is everything that its command needs."""
    wheel = io.BytesIO()
    with ZipFile(wheel, "w") as files:
        files.writestr("alexnet_rosetta/harness/cli/commands.py", "import sys\nprint(*sys.argv[1:])\nsys.exit(3)\n")
        info = "alexnet_rosetta-0.1.0.dist-info"
        files.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: alexnet-rosetta\nVersion: 0.1.0\n")
        files.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        files.writestr(f"{info}/RECORD", "")
    name = "wheels/alexnet_rosetta-0.1.0-py3-none-any.whl"
    own = ".".join(map(str, sys.version_info[:2]))
    manifest = {"python": own, "wheels": {name: {"sha256": "", "always": True}}}
    path = tmp_path / pack.NAME
    pack.write(path, {name: wheel.getvalue(), "manifest.json": json.dumps(manifest).encode(), "golden/a.npz": b""})
    return path


def run_archive(path, *arguments):
    return subprocess.run([sys.executable, path, *arguments], capture_output=True, text=True, check=False)


def test_the_archive_installs_itself_once_and_runs_the_check(archive):
    first = run_archive(archive, "--only", "golden")
    assert first.returncode == 3, first.stderr
    env = archive.with_name("rosetta-gpu-env")
    assert first.stdout.splitlines()[-1] == f"check gpu --golden {env}/bundle/golden --only golden"
    assert "installed alexnet_rosetta" in first.stdout
    second = run_archive(archive, "--steps", "5")
    assert second.stdout == f"check gpu --golden {env}/bundle/golden --steps 5\n"


def test_the_folder_of_the_environment_is_emptied_only_if_it_is_one(archive, tmp_path):
    thesis = tmp_path / "work" / "docs" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("years of work")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "work")
    for env in (tmp_path / "work", link, thesis):
        refused = run_archive(archive, "--env", env, "--install-only")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "--env takes a new" in refused.stderr
    assert thesis.read_text() == "years of work"
    assert launcher.foreign(tmp_path / "new") == ""
    (tmp_path / "empty").mkdir()
    assert run_archive(archive, "--env", tmp_path / "empty", "--install-only").returncode == 0
    (tmp_path / "empty" / launcher.MARK).write_text("unfinished")
    assert "installed alexnet_rosetta" in run_archive(archive, "--env", tmp_path / "empty", "--install-only").stdout


def test_an_installation_that_fails_says_so_in_a_line(archive):
    with ZipFile(archive, "a") as files:
        manifest = json.loads(files.read("manifest.json"))
    broken = archive.with_name("broken.pyz")
    pack.write(broken, {"manifest.json": json.dumps(manifest).encode(), next(iter(manifest["wheels"])): b"no wheel"})
    failed = run_archive(broken, "--install-only")
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr
    assert "could not be filled" in failed.stderr


def test_sources_cannot_leave_their_folder(tmp_path):
    (tmp_path / "sources").mkdir()
    with tarfile.open(tmp_path / "sources" / "pycuda-1.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../outside"))
    with pytest.raises(tarfile.FilterError):
        launcher.pycuda_source(tmp_path)
    assert not (tmp_path.parent / "outside").exists()


def test_the_environment_sees_what_this_python_has(archive):
    run_archive(archive, "--install-only")
    python = archive.with_name("rosetta-gpu-env") / "bin" / "python"
    command = [python, "-c", "import numpy; print(numpy.__file__)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == np.__file__


def test_another_python_is_refused(monkeypatch):
    assert "wheels are for Python 2.7, this is 3." in launcher.unfit("2.7", from_source=False)
    assert launcher.unfit("2.7", from_source=True) == ""
    monkeypatch.setattr(launcher, "present", lambda name: False)
    assert launcher.unfit("2.7", from_source=True) == "NumPy is not installed for this Python"


def test_options_of_the_launcher_are_not_handed_on():
    arguments = ["--env", "here", "--only", "golden", "--from-source"]
    assert launcher.option(arguments, "--env") == "here"
    assert launcher.take(arguments, "--from-source")
    assert arguments == ["--only", "golden"]


def test_a_bundle_over_the_limit_is_refused(tmp_path, monkeypatch):
    class Shop:
        folder = wheels = sources = tmp_path

        def pip(self, *arguments, **more):
            with ZipFile(tmp_path / "alexnet_rosetta-0.1.0-py3-none-any.whl", "w") as files:
                files.writestr("a", os.urandom(2000))

        def wheel(self, name):
            return None

        def install(self, names):
            pass

    monkeypatch.setattr(pack, "LIMIT", 1000)
    monkeypatch.setattr(pack, "SOURCES", ())
    monkeypatch.setattr(pack, "recorded", lambda root: [])
    with pytest.raises(BadInput, match="at most 1,000"):
        pack.bundle(Shop(), tmp_path, echo=lambda line: None)
    assert not (tmp_path / pack.NAME).exists()
