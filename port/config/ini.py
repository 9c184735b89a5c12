"""The INI dialect of layer files, which is that of SafeConfigParser in Python 2.7.

configparser of Python 3 reads another dialect; therefore this module has a reader of its own, rule by rule
(config-format 2). The reader does not interpolate values: no layer file needs that, and a ``%`` in a value is an error.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WHITE = " \t\x0b\x0c"
MAX_BYTES = 4 * 2**20
MAX_WARNINGS = 100
SHOWN = 60
_HEADER = re.compile(r"\[([^\[\]]+)\]")


def shorten(value: object) -> str:
    """``repr`` of a value, cut to a length that fits in a one-line message."""
    return brief(repr(value))


def brief(text: str) -> str:
    """The text, cut to a length that fits in a one-line message."""
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def visible(text: str) -> str:
    """The text on one line, each unprintable character replaced by its escape sequence, as in Python's ``repr``."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class ConfigError(ValueError):
    """A layer file that cannot be used; the message is one line and names the place.

    `what` is wrong in a `file`, in a `line` (from 1), section (`layer`) and option (`key`); `expected` would have been
    right, `actual` was found, and is shown with ``repr``, shortened; the `hint` says how to mend the file.
    """

    def __init__(
        self,
        what: str,
        *,
        file: str | None = None,
        line: int | None = None,
        layer: str | None = None,
        key: str | None = None,
        expected: object = None,
        actual: object = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.file, self.line, self.layer, self.key = what, file, line, layer, key
        self.expected, self.actual, self.hint = expected, actual, hint
        parts = [what]
        if expected is not None:
            parts.append(f"expected {expected}")
        if actual is not None:
            parts.append(f"actual {shorten(actual)}")
        if hint is not None:
            parts.append(f"hint: {hint}")
        super().__init__(visible(place(file, line, layer, key) + "; ".join(parts)))


def place(file: str | None, line: int | None, layer: str | None, key: str | None) -> str:
    """The prefix of a message: ``file:line: [layer] key: ``, as far as known."""
    text = ""
    if file is not None:
        text += f"{file}:{line}: " if line is not None else f"{file}: "
    if layer is not None:
        text += f"[{brief(layer)}] "
    if key is not None:
        text += f"{brief(key)}: "
    return text


@dataclass
class Option:
    """One option: its text in pieces, one per line, and the line it starts on."""

    parts: list[str]
    line: int

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n".join(self.parts)


@dataclass
class Section:
    """One section: its options by lower-case name, in file order."""

    file: str
    name: str
    line: int  # 0: the section stands in no file
    options: dict[str, Option] = field(default_factory=dict)
    inherited: dict[str, Option] = field(default_factory=dict)

    def find(self, key: str) -> Option | None:
        """The option `key` (any case), from the section or from [DEFAULT], or None."""
        name = key.lower()
        option = self.options.get(name) or self.inherited.get(name)
        if option is not None and "%" in option.text:
            raise self.error("'%' is not allowed in values", key, actual=option.text, hint="write the value out")
        return option

    def error(self, what: str, key: str | None = None, **facts: Any) -> ConfigError:
        """A ConfigError placed at option `key` of this section."""
        option = None if key is None else self.options.get(key.lower()) or self.inherited.get(key.lower())
        line = self.line if option is None else option.line
        return ConfigError(what, file=self.file, line=line or None, layer=self.name, key=key, **facts)


class _Reader:
    """State of the line reader: the open section, the last option, the bad lines so far."""

    def __init__(self, file: str, salvage: bool) -> None:
        self.file, self.salvage = file, salvage
        self.sections: dict[str, Section] = {}
        self.defaults: dict[str, Option] = {}
        self.warnings: list[str] = []
        self.bad: list[tuple[int, str]] = []
        self.options: dict[str, Option] | None = None
        self.section: Section | None = None
        self.last: Option | None = None

    def line(self, number: int, line: str) -> None:
        """Take one physical line; the order of the tests is that of the specification."""
        if not line.strip(WHITE) or line[0] in "#;":
            return
        if line[0] in "rR" and line.split(None, 1)[0].lower() == "rem":
            return
        if line[0] in WHITE and self.options is not None and self.last is not None:
            self.last.parts.append(line.strip(WHITE))
        elif line[0] == "[" and line.find("]") > 1:
            self.header(number, line[1 : line.index("]")])
        elif self.options is None and self.salvage and (found := _HEADER.search(line)):
            self.warn(number, f"{shorten(line[: found.start()])} before the first section is left out")
            self.header(number, found[1])
        elif self.options is None:
            raise ConfigError(
                "an option before the first section", file=self.file, line=number,
                expected="a line [name]", actual=line,
            )  # fmt: skip
        else:
            self.option(self.options, number, line)

    def header(self, number: int, name: str) -> None:
        """Open section `name`, again if it exists already."""
        self.last = None
        if name == "DEFAULT":
            self.section, self.options = None, self.defaults
            return
        if name in self.sections:
            self.warn(number, f"[{brief(name)}] occurs again; its options are added to the first one's")
        else:
            self.sections[name] = Section(self.file, name, number, inherited=self.defaults)
        self.section = self.sections[name]
        self.options = self.section.options

    def option(self, options: dict[str, Option], number: int, line: str) -> None:
        """Read a line ``name = value``; remember any other line as bad."""
        cut = min((i for i in (line.find(":"), line.find("=")) if i >= 0), default=-1)
        if cut < 1 or line[0] in WHITE:
            self.bad.append((number, line))
            return
        name = line[:cut].rstrip(WHITE).lower()
        text = line[cut + 1 :].lstrip(WHITE)
        semicolon = text.find(";")
        if semicolon > 0 and text[semicolon - 1] in WHITE:
            text = text[:semicolon]
        text = text.strip(WHITE)
        if name in options:
            where = "DEFAULT" if self.section is None else self.section.name
            self.warn(number, f"[{brief(where)}] {brief(name)} is given again; the last one counts")
        self.last = options[name] = Option(["" if text == '""' else text], number)

    def warn(self, number: int, text: str) -> None:
        """Record a warning about a line; warnings beyond `MAX_WARNINGS` are only counted."""
        shown = len(self.warnings) < MAX_WARNINGS
        self.warnings.append(visible(f"{self.file}:{number}: {text}") if shown else "")


def read_ini(text: str, file: str = "<text>", salvage: bool = False) -> tuple[dict[str, Section], list[str]]:
    """The sections of a layer file in file order, by case-sensitive name, and warnings: what occurs twice.

    The text may have any of the three line ends. `file` is a name for messages. With `salvage`, accept a first section
    whose header stands behind something else on its line, as an editor left it. Raises ConfigError: a line that is
    neither header, option, continuation nor comment; an option before the first header.
    """
    reader = _Reader(file, salvage)
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        reader.line(number, line)
    if reader.bad:
        number, line = reader.bad[0]
        more = len(reader.bad) - 1
        raise ConfigError(
            "not a line of a layer file" + (f" (and {more} more)" if more else ""), file=file, line=number,
            expected="[name], key=value, or a # comment at the start of the line", actual=line,
        )  # fmt: skip
    return reader.sections, reader.warnings


def read_source(source: str | Path) -> tuple[str, str]:
    """Contents and name of a layer file given as a path, or as its text (a str with a line end in it).

    Raises ConfigError: the file does not exist, cannot be read, or is larger than any layer file (4 MiB).
    """
    if isinstance(source, str) and "\n" in source:
        text, file = source, "<text>"
    else:
        path = Path(source)
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            hint = "give the path of a layer file"
            raise ConfigError(f"cannot be read: {reason}", file=str(path), hint=hint) from None
        text, file = _decode(data), path.name
    if len(text) > MAX_BYTES:
        raise ConfigError("is too large for a layer file", file=file, expected=f"at most {MAX_BYTES} bytes")
    return text, file


def _decode(data: bytes) -> str:
    """The text of UTF-8 data; data that are no UTF-8 count as Latin-1, which accepts every byte."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
