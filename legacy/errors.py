"""The error of the legacy room."""


class Refused(ValueError):
    """A call that the engine refuses: `what` is wrong, what was `expected`, what came (`actual`), and a `hint`."""

    def __init__(self, what: str, expected: object = "", actual: object = "", hint: str = "") -> None:
        self.what, self.expected, self.actual, self.hint = what, str(expected), str(actual), hint
        parts = (("expected: ", self.expected), ("actual:   ", self.actual), ("hint:     ", hint))
        super().__init__("\n  ".join([what, *(label + part for label, part in parts if part)]))
