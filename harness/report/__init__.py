"""From a record to one self-contained HTML page."""

from pathlib import Path

from ..errors import BadInput
from ..record import read


def write(folder, out=None):
    """Write the report of a record.

    Parameters
    ----------
    folder : path
        The record.
    out : path, optional
        The HTML file; by default ``report.html`` in the record.

    Returns
    -------
    Path

    Raises
    ------
    errors.RosettaError
        The record cannot be read, or the file cannot be written.
    """
    from .page import render

    record = read(folder)
    path = Path(out) if out is not None else Path(folder) / "report.html"
    page = render(record)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", hint="choose another file with --out") from error
    return path
