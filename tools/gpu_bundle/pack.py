"""Packs wheels, sources, recorded cases and the launcher into ``rosetta-gpu.pyz``, which Python runs as it is.

Wheels and recorded cases are stored without their own compression, which they may, so that LZMA takes their whole
contents: half the size.
"""

import io
import json
import shutil
import tarfile
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

from alexnet_rosetta.harness.errors import BadInput

from .wheels import ALWAYS, VERSION, distribution

NAME = "rosetta-gpu.pyz"
LIMIT = 60_000_000  # bytes
PROJECT = "alexnet_rosetta"
SOURCES = (
    "setup.py",
    "CMakeLists.txt",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "legacy",
    "port",
    "harness",
    "testing",
)
MADE = ("__pycache__", "*.so", "*.o", "_legacy_*.cpp", "_gemm.c*", "_loops.c*")


def bundle(workshop, root, echo=print):
    """Build this project's wheel and write the archive; its path. All other wheels of the workshop are made already.

    BadInput: the archive is larger than `LIMIT`.
    """
    for old in workshop.wheels.glob(f"{PROJECT}-*.whl"):
        old.unlink()
    source = copy_sources(root, workshop.folder / "source")
    for old in source.glob("build/lib.*"):
        shutil.rmtree(old)  # setuptools packs whatever it finds there
    echo("building this project for Python 3.12 (four minutes on two cores, less if it was built before)")
    workshop.pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", workshop.wheels, ".", cwd=source)
    workshop.install(["--force-reinstall", workshop.wheel(PROJECT)])
    path = workshop.folder / NAME
    write(path, members(workshop, root))
    size = path.stat().st_size
    echo(f"{path}: {size / 1e6:.1f} MB of at most {LIMIT / 1e6:.0f}")
    if size > LIMIT:
        path.unlink()
        raise BadInput(f"the bundle has {size:,} bytes", expected=f"at most {LIMIT:,}", hint="leave a wheel out")
    return path


def copy_sources(root, folder):
    """Copy what the project is built from, and only what changed, so that objects of earlier builds stay valid.

    In the tree itself Cython's output for one Python would be in the way of the other.
    """
    wanted = {path.relative_to(root): path for name in SOURCES for path in written(root / name)}
    for path in [path for name in SOURCES for path in written(folder / name)]:
        if path.relative_to(folder) not in wanted:
            path.unlink()
    for name, path in wanted.items():
        copy = folder / name
        if not copy.is_file() or copy.read_bytes() != path.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return folder


def written(path):
    """The files of a folder that people wrote, or the file itself."""
    files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
    return [file for file in files if not any(fnmatch(part, made) for part in file.parts for made in MADE)]


def members(workshop, root):
    """{name in the archive: bytes} of everything but the launcher."""
    found = {f"wheels/{path.name}": stored(path.read_bytes()) for path in sorted(workshop.wheels.glob("*.whl"))}
    for path in recorded(root):
        found[path.relative_to(root / "tests").as_posix()] = stored(path.read_bytes())
    found |= {f"sources/{path.name}": path.read_bytes() for path in sorted(workshop.sources.glob("*.tar.gz"))}
    found[f"sources/{PROJECT}.tar.gz"] = source_archive(root)
    always = {distribution(name) for name in (*ALWAYS, "pycuda", PROJECT)}
    wheels = {name: {"sha256": sha256(data).hexdigest(), "always": distribution(Path(name).name) in always}
              for name, data in found.items() if name.endswith(".whl")}  # fmt: skip
    found["manifest.json"] = json.dumps({"python": ".".join(map(str, VERSION)), "wheels": wheels}, indent=1).encode()
    return found


def recorded(root):
    """The files of recorded cases."""
    return sorted((root / "tests" / "golden").rglob("*.npz"))


def stored(data):
    """The same zip archive without compression."""
    target = io.BytesIO()
    with ZipFile(io.BytesIO(data)) as old, ZipFile(target, "w", ZIP_STORED) as new:
        for entry in old.infolist():
            contents = old.read(entry)
            entry.compress_type = ZIP_STORED
            new.writestr(entry, contents)
    return target.getvalue()


def source_archive(root):
    """What the project is built from, as a tar archive that pip takes."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for path in [path for name in SOURCES for path in written(root / name)]:
            tar.add(path, f"{PROJECT}/{path.relative_to(root)}")
    return target.getvalue()


def write(path, contents):
    """Write the archive whole or not at all."""
    draft = path.with_suffix(".part")
    with ZipFile(draft, "w", ZIP_LZMA) as archive:
        archive.write(Path(__file__).with_name("launcher.py"), "__main__.py", ZIP_DEFLATED)
        for name, data in contents.items():
            archive.writestr(name, data)
    draft.replace(path)
