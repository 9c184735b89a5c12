"""`rosetta publish`: a record with all that a run was made from, as a folder that is an RO-Crate.

``record/`` is the record, ``network/`` and ``values/`` hold the files that the run read, ``article.md`` says on a page
what was found. ``manifest-sha256.txt`` has the hash of every other file; its own hash, the *seal*, stands for all.
"""

import json
import os
import re
import shutil
from collections import Counter
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from html import escape
from importlib.metadata import version
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import files
from ..engines import is_program
from ..errors import BadInput, RecordError, one_line, told, writing
from ..judging.row import decisive
from ..reporting import report
from ..reporting.record import Record, read
from ..reporting.report import words
from ..values.inputs import KINDS

MANIFEST, METADATA, ARTICLE = "manifest-sha256.txt", "ro-crate-metadata.json", "article.md"
RECORD, DEFINITION, PARAMETERS = "record", "network/definition.cfg", "network/parameters.cfg"
OF_THE_RECORD = ("record.json", "arrays.npz", "results.csv", "results.parquet")
LICENCE = "CC-BY-4.0"


def publish(
    run: str | Path, out: str | Path, title: str = "", authors: tuple[str, ...] = (), licence: str = LICENCE
) -> str:
    """Write the package of a run; the result is the seal: the SHA-256 of the manifest.

    `run` is the folder of a record; `out` does not exist yet, and appears whole or not at all. The title is by default
    made from engines and network; the licence is an SPDX identifier, for the package.

    Raises RecordError, BadInput: the record cannot be read or is not complete, a file that the run read is gone or was
    changed since, the licence is no identifier, or the package cannot be written.
    """
    run, out = Path(run), Path(out).absolute()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", licence):
        raise BadInput(f"{licence!r} is no SPDX identifier", expected=f"letters, digits, dots, as {LICENCE}",
                       hint="https://spdx.org/licenses lists them")  # fmt: skip
    found = read(run)
    try:
        sources, facts = _sources(found, run), _facts(found, title, authors, licence)
    except (LookupError, TypeError, AttributeError) as error:
        raise RecordError(f"{run} cannot be read as a record: {told(error)}") from error
    if os.path.lexists(out):
        raise BadInput(f"{out} exists", hint="--out takes a new folder")
    with writing(out, "choose another --out"), files.new_folder(out) as draft:
        (draft / RECORD).mkdir()
        for path, name in sources + [(run / name, f"{RECORD}/{name}") for name in OF_THE_RECORD]:
            if path.exists() or (path, name) in sources:
                (draft / name).parent.mkdir(exist_ok=True)
                (shutil.copytree if path.is_dir() else shutil.copyfile)(path, draft / name)
        report.write(run, draft / RECORD / "report.html")
        (draft / ARTICLE).write_text(_article(facts), encoding="utf-8")
        (draft / METADATA).write_text(json.dumps(_crate(draft, facts), indent=1, ensure_ascii=False), encoding="utf-8")
        manifest = manifest_of(draft)
        (draft / MANIFEST).write_bytes(manifest)
    return sha256(manifest).hexdigest()


def manifest_of(folder: Path) -> bytes:
    """The manifest of a folder as it is: a line for each file but the manifest itself, in the order of their names.

    BadInput if something in it is neither a file nor a folder.
    """
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BadInput(f"{path} is neither a file nor a folder", hint="a package holds nothing else")
        if path.is_file() and path != folder / MANIFEST:
            with open(path, "rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def _sources(found: Record, run: Path) -> list[tuple[Path, str]]:
    """The files that a run read; BadInput unless they are as they were then."""
    about = found.about
    if about["status"] != "complete":
        raise BadInput(f"{run} is not complete", actual=about["status"], hint="run the comparison to its end")
    own = [name for name in about["options"]["engines"] if is_program(name)]
    if own:
        hint = "register it as an engine of a package: see 'Your own engine' in the guide"
        raise BadInput(f"the engine of {own[0]} has no name by which somebody else could run it", hint=hint)
    sources = []
    for entry, name in zip(about["network"]["files"], (DEFINITION, PARAMETERS), strict=False):
        path = Path(entry["name"])
        if not path.is_file() or sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            what = "was changed since the run" if path.is_file() else "is not there"
            raise BadInput(
                f"the layer file {path} {what}", hint="publish what is as it was, or run the comparison again"
            )
        sources.append((path, name))
    for key, name in file_options(about["options"]).items():
        path = Path(about["options"][key])
        if not path.exists():
            raise BadInput(f"{path}, which the run read, is not there", hint="publish where the run was made")
        sources.append((path, name))
    return sources


def file_options(options: dict[str, Any]) -> dict[str, str]:
    """Which options of a run name files, weights and input, and what these are called in the package."""
    found = {"weights": options.get("weights"), "input": options["input"]}
    return {key: f"values/{key}{Path(value).suffix}" for key, value in found.items() if value and value not in KINDS}


def _facts(found: Record, title: str, authors: tuple[str, ...], licence: str) -> dict[str, Any]:
    about = found.about
    packages = about["environment"]["packages"]
    return {
        "about": about,
        "title": title or f"{' and '.join(about['engines'])} on {about['network']['name']}, layer by layer",
        "authors": authors,
        "licence": licence,
        "date": datetime.now(UTC).date().isoformat(),
        "counts": Counter(one.status for _, one in decisive(found.rows)),
        "introduction": list(words.about_the_run(about)),
        "command": Markup(one_line(words.command(about["options"]))),
        "versions": [f"{name} {packages[name]}" for name in packages],
    }


def _article(facts: dict[str, Any]) -> str:
    """The page in Markdown; what comes from files is no markup in it."""
    settings: dict[str, Any] = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    loader = FileSystemLoader(Path(__file__).parent)
    return (
        Environment(loader=loader, finalize=_marked, autoescape=False, **settings).get_template(ARTICLE).render(facts)
    )


def _marked(value: object) -> str:
    if isinstance(value, Markup):  # the command, a block of code
        return value
    plain = " ".join(str(value).split())
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", escape(plain, quote=False))


def _crate(draft: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """The metadata of RO-Crate 1.1: every file with its hash, and the run as the action that made the record."""
    about = facts["about"]
    lines = [line.partition("  ") for line in manifest_of(draft).decode().splitlines()]
    parts = [
        {"@id": name, "@type": "File", "name": name, "sha256": digest,
         "contentSize": str((draft / name).stat().st_size),
         "encodingFormat": guess_type(name)[0] or "application/octet-stream"}
        for digest, _, name in lines
    ]  # fmt: skip
    people = [{"@id": f"#author-{k}", "@type": "Person", "name": name} for k, name in enumerate(facts["authors"], 1)]
    licence = f"https://spdx.org/licenses/{facts['licence']}"
    names = [part["@id"] for part in parts]
    graph = [
        {"@id": METADATA, "@type": "CreativeWork", "about": {"@id": "./"},
         "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"}},
        {"@id": "./", "@type": "Dataset", "name": facts["title"], "description": about["sentence"],
         "datePublished": facts["date"], "license": {"@id": licence}, "author": [{"@id": one["@id"]} for one in people],
         "hasPart": [{"@id": name} for name in names], "mainEntity": {"@id": f"{RECORD}/record.json"},
         "mentions": [{"@id": "#run"}]},
        {"@id": licence, "@type": "CreativeWork", "name": facts["licence"]},
        *people,
        {"@id": "#run", "@type": "CreateAction", "name": facts["command"], "endTime": about["created"],
         "instrument": {"@id": "#program"}, "result": [{"@id": one} for one in names if one.startswith(RECORD)],
         "object": [{"@id": one} for one in names if one.startswith(("network/", "values/"))]},
        {"@id": "#program", "@type": "SoftwareApplication", "name": "AlexNet Rosetta",
         "version": about["environment"]["packages"].get("alexnet-rosetta", version("alexnet-rosetta")),
         "softwareVersion": about["environment"]["commit"] or "unknown",
         "softwareRequirements": ", ".join([f"Python {about['environment']['python']}", *facts["versions"]])},
        *parts,
    ]  # fmt: skip
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}
