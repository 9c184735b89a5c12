"""A copy of the compiled sources, built once without much optimisation; a mutant costs the files that it reaches."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path

import numpy as np

from ...errors import BadInput

MODULES = {"_legacy_strict": "legacy", "_conv": "port", "_gemm": "port", "_loops": "port", "_judge": "harness.judging"}
"""The modules that can be built, and their packages; of the engine, the build that never fuses a·b + c."""


class Workshop:
    """Sources and objects in a folder of their own, kept for the next run if the sources are the same."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.tree, self.build, self.objects = folder / "tree", folder / "build", folder / "objects"
        for name in ("legacy", "port", "harness/judging"):  # always: an ended run may have left a mutant
            ignored = shutil.ignore_patterns("*.so", "*.py", "__pycache__")
            shutil.copytree(root / name, self.tree / name, ignore=ignored, dirs_exist_ok=True)
        shutil.copyfile(root / "CMakeLists.txt", self.tree / "CMakeLists.txt")
        texts = [path.read_bytes() for path in sorted(self.tree.rglob("*")) if path.is_file()]
        seal, kept = sha256(b"".join(texts)).hexdigest(), folder / "seal"
        if not kept.exists() or kept.read_text() != seal:
            shutil.rmtree(self.build, ignore_errors=True)
            shutil.rmtree(self.objects, ignore_errors=True)
            path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
            os.environ |= {"PATH": path, "CCACHE_DISABLE": "1"}
            if missing := [tool for tool in ("cmake", "ninja") if shutil.which(tool) is None]:
                raise BadInput(f"no {missing[0]} here, which building mutants takes", hint="make build installs it")
            words = [
                "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
                "-DROSETTA_ISAS=strict",
                f"-DPython_EXECUTABLE={sys.executable}",
            ]
            command = ["cmake", "-S", str(self.tree), "-B", str(self.build), "-G", "Ninja", *words]
            subprocess.run([*command, f"-DNUMPY_INCLUDE={np.get_include()}"], check=True, stdout=subprocess.DEVNULL)
            kept.write_text(seal)
        entries = json.loads((self.build / "compile_commands.json").read_text())
        commands = [_command(entry) for entry in entries]
        self.commands = {name: words for name, words in commands if name.split("/")[0] in MODULES}

    def _built(self, module: str) -> list[str]:
        """The names of a module's objects, which are there then."""
        names = [name for name in self.commands if name.startswith(f"{module}/")]
        if not (self.build / f"{module}.cpp").exists():
            subprocess.run(["ninja", "-C", self.build, f"{module}.cpp"], check=True, stdout=subprocess.DEVNULL)
        for name in names:
            if not (self.objects / name).exists() and self._compile(name, self.objects / name):
                raise BadInput(f"{name} does not compile in {self.build}")
        return names

    def _compile(self, name: str, into: Path, source: Path | None = None) -> int:
        """The exit code of the compiler; what the object was made from stands beside the object."""
        into.parent.mkdir(parents=True, exist_ok=True)
        partial, words = into.with_suffix(".part"), self.commands[name]
        command = [*words[:-1], source or words[-1], "-MMD", "-MF", into.with_suffix(".d"), "-o", partial]
        code = subprocess.run(command, cwd=self.build, capture_output=True).returncode
        if not code:
            partial.replace(into)
        return code

    def mutant(self, file: str, text: str) -> tuple[str, str, Path | None]:
        """Build a changed text of a file: (how, module, library).

        How is ``no program`` if the text does not compile, ``same`` if every object has the same bytes, else "".
        """
        source, new = self.tree / file, self.objects.with_name("mutant")
        is_cython, package = file.endswith(".pyx"), str(Path(file).parent).replace("/", ".")
        modules = [Path(file).stem] if is_cython else [name for name in MODULES if package.startswith(MODULES[name])]
        names = [name for module in modules for name in self._built(module)]
        kept = source.read_text(encoding="utf-8")
        shutil.rmtree(new, ignore_errors=True)
        try:
            source.write_text(text, encoding="utf-8")
            written = self._translated(modules[0], new) if is_cython else None
            for name in [name for name in names if is_cython or source.resolve() in self._made_from(name)]:
                if self._compile(name, new / name, written):
                    return "no program", "", None
                if (new / name).read_bytes() == (self.objects / name).read_bytes():
                    (new / name).unlink()
        except subprocess.CalledProcessError:
            return "no program", "", None
        finally:
            source.write_text(kept, encoding="utf-8")
        changed = {path.parent.name for path in new.rglob("*.o")}
        if not changed:
            return "same", "", None
        (module,) = changed
        return "", f"{MODULES[module]}.{module}", self._link(module, new)

    def _made_from(self, name: str) -> set[Path]:
        """The files that an object was made from."""
        words = (self.objects / name).with_suffix(".d").read_text().replace("\\\n", " ").split()
        return {Path(self.build, word).resolve() for word in words}

    def _translated(self, module: str, new: Path) -> Path:
        """What Cython makes of a changed module, elsewhere than the unchanged."""
        told = subprocess.run(
            ["ninja", "-C", self.build, "-t", "commands", f"{module}.cpp"], check=True, capture_output=True, text=True
        )
        into, written = new / f"{module}.cpp", self.build / f"{module}.cpp"
        into.parent.mkdir(parents=True)
        command = told.stdout.strip().splitlines()[-1].replace(str(written), str(into))
        subprocess.run(command, shell=True, check=True, capture_output=True)
        return into

    def _link(self, module: str, new: Path) -> Path:
        names = [name for name in self.commands if name.startswith(f"{module}/")]
        objects = [new / name if (new / name).exists() else self.objects / name for name in names]
        words = self.commands[names[0]]
        compiler = words[: next(at for at, word in enumerate(words) if word.startswith("-"))]
        flags = ["-fopenmp"] if "-fopenmp" in words else []
        library = new / f"{module}{sysconfig.get_config_var('EXT_SUFFIX')}"
        subprocess.run([*compiler, "-shared", *flags, *objects, "-o", library], check=True)
        return library


def _command(entry: dict[str, str]) -> tuple[str, list[str]]:
    """MODULE/STEM.o, and the command up to the source, with little optimisation."""
    words = shlex.split(entry["command"])
    output = words[words.index("-o") + 1]
    module = next((part.removesuffix(".dir") for part in Path(output).parts if part.endswith(".dir")), "")
    kept = ["-O1" if word in ("-O2", "-O3") else word for word in words if word not in ("-o", "-c", output)]
    return f"{module}/{Path(entry['file']).stem}.o", [*kept[:-1], "-c", kept[-1]]
