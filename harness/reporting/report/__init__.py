"""From a record to one self-contained HTML page."""

from pathlib import Path

from ... import files
from ...errors import BadInput
from ..record import read, reading

HERE = Path(__file__).parent
"""Where its template, style sheet and script stand."""


def write(folder, out=None):
    """Write the report of a record; an earlier report stays until the new one is whole.

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
        The record cannot be read, the page not be drawn, or the file not be written.
    """
    try:
        from .page import render
    except ImportError as error:  # also where there is no memory for the libraries of the charts
        raise BadInput(f"the report cannot be drawn: {error}", hint=f"later, 'rosetta report {folder}'") from error
    with reading(folder):
        page = render(read(folder)).encode("utf-8", "backslashreplace")
    path = Path(out) if out is not None else Path(folder) / "report.html"
    try:
        files.write(path, page)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", hint="choose another file with --out") from error
    return path
