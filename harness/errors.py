"""What can go wrong in a comparison, said in one line: what, expected, actual, hint."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from traceback import extract_tb

NEAR = 0.6
"""How alike two names are, from 0 to 1, of which one may be a slip of the other."""


class RosettaError(Exception):
    """Base of all errors that a user can do something about.

    `what` was being done, and what is wrong with it; what was wanted (`expected`) and what was there (`actual`); a
    `hint`, what to try.
    """

    exit_code = 2

    def __init__(self, what: str, *, expected: object = None, actual: object = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what, self.expected, self.actual, self.hint = what, expected, actual, hint

    def __str__(self) -> str:
        details = [f"{name} {text}" for name, text in self._details()[:2] if text]
        line = self.what + (f" ({', '.join(details)})" if details else "")
        return f"{line}; hint: {self.hint}" if self.hint else line

    def explain(self) -> str:
        """The same over several lines, for people."""
        lines = [f"  {name + ':':<10}{text}" for name, text in self._details() if text]
        return "\n".join([self.what, *lines])

    def _details(self) -> list[tuple[str, object]]:
        return [("expected", self.expected), ("actual", self.actual), ("hint", self.hint)]


class BadInput(RosettaError, ValueError):
    """A file, option or array that cannot be used: unreadable, inconsistent, impossible, too large."""


class TooLarge(BadInput):
    """Something that takes more memory than the machine has."""


class RecordError(RosettaError, ValueError):
    """A comparison record that cannot be read or does not fit."""


class EngineUnavailable(RosettaError, RuntimeError):
    """An engine that cannot run here: not built, not installed, no device."""


class Unsupported(RosettaError, NotImplementedError):
    """Something that an engine, or the reference, does not do."""

    status = "unsupported"  # what a comparison calls the tensors that are not there for that reason


def meant(name: object, known: Iterable[str], otherwise: str) -> str:
    """A hint for a name that is not among those known: the nearest, then what else there is to say."""
    likeness = {one: SequenceMatcher(None, one, str(name)).ratio() for one in known}
    near = max(likeness, key=likeness.__getitem__, default=None)  # the first of those that are equally near
    return f"did you mean {near}? {otherwise}" if near is not None and likeness[near] >= NEAR else otherwise


def one_line(text: object) -> str:
    """A text of several lines in one, with semicolons for their ends."""
    return "; ".join(" ".join(line.split()) for line in str(text).splitlines() if line.strip())


def told(error: BaseException) -> str:
    """An exception that was not expected, in one line: its type, its text, and the line that raised it."""
    text = f"{type(error).__name__}: {one_line(error)}".rstrip(": ")
    frames = extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text


@contextmanager
def writing(place: object, hint: str | None = None) -> Iterator[None]:
    """BadInput, with a hint, where a place cannot be written in the block."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{place} cannot be written: {error.strerror or error}", hint=hint) from error


class NothingCompared(RosettaError):
    """A run that ended without a single verdict."""

    exit_code = 3
