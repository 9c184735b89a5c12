"""Data sets in batches, from many kinds of files: read safely, cut into views, written in the format of 2012."""

from .batches import Batch, DataSet
from .sources import open_data

__all__ = ["Batch", "DataSet", "open_data"]
