"""Checks the 2012 AlexNet engine on this machine's graphics card; needs no network.

    python3 rosetta-gpu.pyz [--env DIR] [--from-source] [--install-only] [options of rosetta check gpu]

Needed: Linux x86-64, an NVIDIA GPU with its driver, nvcc, Python 3.12 with NumPy and pip. The first run installs what
is in this file into a virtual environment (default: rosetta-gpu-env beside it) on top of the packages that are here;
later runs use it again. With --from-source PyCUDA and this project are compiled here, for another Python too (needs
g++, setuptools, Cython, CMake and Ninja; minutes). Then it runs `rosetta check gpu`, which writes evidence.json.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ARCHIVE = Path(sys.argv[0]).absolute()
MARK = "rosetta-gpu-bundle"  # a file in the environments that this program made, with what is in them


def main(arguments):
    """Install if that was not done, then check; returns the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0
    from_source, install_only = take(arguments, "--from-source"), take(arguments, "--install-only")
    env = Path(option(arguments, "--env") or ARCHIVE.with_name("rosetta-gpu-env")).absolute()
    with zipfile.ZipFile(ARCHIVE) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    problem = unfit(manifest["python"], from_source) or foreign(env)
    if problem:
        print(f"rosetta-gpu: {problem}", file=sys.stderr)
        return 2
    python = env / "bin" / "python"
    mark = env / MARK
    digest = hashlib.sha256(ARCHIVE.read_bytes()).hexdigest()
    if not mark.is_file() or mark.read_text() != digest:
        try:
            install(env, python, manifest["wheels"], from_source)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"rosetta-gpu: {env} could not be filled: {error}", file=sys.stderr)
            return 2
        mark.write_text(digest)
    if install_only:
        return 0
    command = [
        python,
        "-m",
        "alexnet_rosetta.harness.cli.commands",
        "check",
        "gpu",
        "--golden",
        env / "bundle" / "golden",
    ]
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # what is checked is in here
    return subprocess.call([*map(str, command), *arguments], env=own)


def unfit(wanted, from_source):
    """Why this machine's Python cannot run the bundle; "" if it can."""
    found = ".".join(map(str, sys.version_info[:2]))
    if found != wanted and not from_source:
        return f"the wheels are for Python {wanted}, this is {found}; --from-source compiles them here"
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"the wheels are for Linux x86_64, this is {platform.system()} {platform.machine()}"
    return "" if present("numpy") else "NumPy is not installed for this Python"


def foreign(env):
    """Why a folder cannot become the environment, which empties it; "" if it is new, empty or one that we made."""
    if not os.path.lexists(env):
        return ""
    if env.is_symlink() or not env.is_dir():
        return f"{env} is no folder; --env takes a new one"
    made = (env / MARK).is_file()
    return "" if made or not any(env.iterdir()) else f"{env} holds files of others; --env takes a new or empty folder"


def install(env, python, wheels, from_source):
    """Make the virtual environment and fill it."""
    print(f"installing into {env}", flush=True)
    venv.create(env, system_site_packages=True, with_pip=False, clear=True)
    (env / MARK).write_text("unfinished")
    site = next(env.glob("lib/python3*/site-packages"))
    # A virtual environment made from one sees the system's packages, not those of the one it was made from.
    (site / "parent.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("-packages")))
    bundle = env / "bundle"
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(bundle)
    chosen = [bundle / name for name, about in wheels.items() if about["always"] or not present(distribution(name))]
    if from_source:
        chosen = [path for path in chosen if distribution(path.name) not in ("pycuda", "alexnet_rosetta")]
        chosen += [pycuda_source(bundle), bundle / "sources" / "alexnet_rosetta.tar.gz"]
    pip = ["-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
           "--no-compile", "--ignore-installed", "--disable-pip-version-check", *chosen]  # fmt: skip
    subprocess.run([sys.executable, *map(str, pip)], check=True)
    print("installed " + ", ".join(sorted(path.name.split("-")[0] for path in chosen)), flush=True)


def pycuda_source(bundle):
    """The source of PyCUDA, unpacked and told where the toolkit is."""
    (archive,) = (bundle / "sources").glob("pycuda-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(bundle / "sources", filter="data")
    source = Path(str(archive)[: -len(".tar.gz")])
    toolkit = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    (source / "siteconf.py").write_text(f"CUDA_ROOT = {toolkit!r}\nCUDA_ENABLE_CURAND = False\n")
    return source


def present(name):
    """Whether a distribution is installed for this Python."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def distribution(path):
    """The name of a wheel's distribution."""
    return path.rpartition("/")[2].split("-")[0]


def take(arguments, flag):
    """Remove a flag from the arguments; whether it was there."""
    found = flag in arguments
    if found:
        arguments.remove(flag)
    return found


def option(arguments, name):
    """Remove an option with its value from the arguments; the value, or None."""
    if name not in arguments[:-1]:
        return None
    i = arguments.index(name)
    value = arguments[i + 1]
    del arguments[i : i + 2]
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
