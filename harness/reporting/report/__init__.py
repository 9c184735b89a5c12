"""From a record to one file: a self-contained HTML page, or what `formats` writes."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ... import files
from ...errors import BadInput, writing
from ...judging.row import Row
from .. import formats
from ..record import Record, read, reading
from . import words

HERE = Path(__file__).parent
"""Where its template, style sheet and script stand."""


def filled(name: str, folder: Path = HERE, **facts: Any) -> str:
    """The text of a page, from the template of that name in a folder and what all pages share; names are escaped.

    ``style``, ``script`` and ``created`` are those of the report and this moment, where they are not among the facts.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    shared = {name: Markup((HERE / f"{name}.{kind}").read_text(encoding="utf-8"))
              for name, kind in (("style", "css"), ("script", "js"))}  # fmt: skip
    facts = shared | {"created": f"{datetime.now(UTC):%d %B %Y, %H:%M UTC}"} | facts
    settings: dict[str, Any] = {
        "undefined": StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
        "autoescape": True,
    }
    return Environment(loader=FileSystemLoader([folder, HERE]), **settings).get_template(name).render(facts)


def write(folder: str | Path, out: str | Path | None = None, kind: str = "html", fail_on: Sequence[str] = ()) -> Path:
    """Write what `rendered` gives; an earlier report stays until the new one is whole.

    By default it goes into the record, under the name in `FORMATS`, or beside a stored bench. BadInput if it cannot be
    written.
    """
    data = rendered(folder, kind, fail_on)
    path = Path(out) if out is not None else Path(folder) / FORMATS[kind][0]
    if out is None and Path(folder).is_file():
        path = Path(folder).with_suffix(".html")
        if path.exists():
            raise BadInput(f"{path} exists, and is not overwritten", hint="choose another file with --out")
    with writing(path, "choose another file with --out"):
        files.write(path, data)
    return path


def rendered(folder: str | Path, kind: str = "html", fail_on: Sequence[str] = ()) -> bytes:
    """The report of the record in a folder, as bytes, in one of the `FORMATS`; of a stored bench, a file, its page.

    `fail_on`, in place of what the run was told, is what counts against it: see `row.run_code`. RosettaError where the
    record cannot be read, or the page not be drawn.
    """
    if kind == "html":
        _require_charts(folder)
    if Path(folder).is_file():
        from . import bench

        return bench.rendered(folder, kind, fail_on)
    with reading(folder):
        record = read(folder)
        record.about["options"]["fail_on"] = list(fail_on) or record.about["options"].get("fail_on", [])
    with nullcontext() if kind == "parquet" else reading(folder):  # that lacks a package, if anything
        return FORMATS[kind][1](record)


def _require_charts(folder: str | Path) -> None:
    try:
        from . import page  # noqa: F401
    except ImportError as error:  # also where there is no memory for the libraries of the charts
        raise BadInput(f"the report cannot be drawn: {error}", hint=f"later, 'rosetta report {folder}'") from error


def _html(record: Record) -> bytes:
    from .page import render

    return render(record).encode("utf-8", "backslashreplace")


def _told(write: Callable[..., bytes], *more: str) -> Callable[[Record], bytes]:
    """A form of `formats` that takes title, rows and facts, as a function of a record."""

    def made(record: Record) -> bytes:
        about = record.about
        names, seen = list(about["engines"]), about["environment"]
        facts = {name: str(reason) for name, reason in about["engines"].items()}
        facts |= {"level": about["options"]["level"]} if about["options"].get("level") else {}
        facts["command"] = words.command(about["options"])
        facts["machine"] = f"{seen['processor']}, {seen['threads']} threads, {seen['system']}"
        facts["program"] = f"{seen['packages'].get('alexnet-rosetta', '')} {seen.get('commit') or ''}".strip()
        decides = {name: tuple(about["options"].get(name, ())) for name in ("allow", "fail_on")}
        title = f"{about['network']['name']}: {' and '.join(names)}"
        return write(title, record.rows, facts=facts, **decides, **{name: about[name] for name in more})

    return made


FORMATS: dict[str, tuple[str, Callable[[Record], bytes]]] = {
    "html": ("report.html", _html),
    "markdown": ("report.md", _told(formats.markdown)),
    "json": ("report.json", lambda record: formats.as_json({**record.about, "rows": [*map(Row.to_dict, record.rows)]})),
    "csv": ("results.csv", lambda record: formats.as_csv(record.rows)),
    "parquet": ("results.parquet", lambda record: formats.as_parquet(record.rows)),
    "junit": ("junit.xml", _told(formats.junit, "created")),
}
"""By name, the file in the record and what makes its bytes."""
