"""Writes batches as the programs of 2011, 2012 and 2014 read them (data-checkpoints-tools 2)."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import BadInput, writing
from . import pickles
from .batches import Batch, DataSet

FORMS = {
    "columns": "one array with a column for each case (2011, 2012)",
    "jpeg-2012": "JPEG files, their sizes, and pairs of class name and class",
    "jpeg-2014": "folders of lists of JPEG files",
}
QUALITY, PART = 95, 1024
"""Of the JPEG files; and how many of them a file of 2014 holds."""


def make(data_set: DataSet, folder: Path, form: str = "columns") -> Iterator[int]:
    """Write a data set into a new or empty folder, which appears when all of it is there; yields each batch's number.

    Batches keep their numbers; where several are for tests, these are counted from the next 1000 on, as in 2014. The
    form is one of `FORMS`. Raises BadInput: the folder is not empty, cannot be written, or the form is none for these
    cases.
    """
    if form != "columns" and data_set.shape[0] != 3:
        raise BadInput(f"{data_set.source}: JPEG batches hold pictures in colours", hint="--form columns")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is not empty", hint="--out takes a new or empty folder")
    for old in files.drafts(folder):
        if not files.alive(old):
            shutil.rmtree(old, ignore_errors=True)
    several = len(data_set.test) > 1
    first = -(-(max(data_set.train) + 1) // 1000) * 1000
    numbers = {number: first + k if several else number for k, number in enumerate(data_set.test)}
    largest = 0
    with writing(folder, "make room, or another --out"), files.new_folder(folder) as draft:
        for number in data_set.batches:
            batch, name = data_set.read(number), f"data_batch_{numbers.get(number, number)}"
            if batch.unreadable:
                raise BadInput(f"{data_set.source}, batch {number}: a picture cannot be decoded",
                               actual=data_set.named(number, batch.unreadable[0]))  # fmt: skip
            _write(draft / name, batch, data_set, form)
            largest = max(largest, batch.labels.shape[1])
            yield numbers.get(number, number)
        (draft / "batches.meta").write_bytes(pickles.dumps(_meta(data_set, largest)))


def _meta(data_set: DataSet, cases: int) -> dict[str, Any]:
    meta = {"num_vis": data_set.features, "img_size": data_set.shape[1], "label_names": list(data_set.label_names),
            "batch_size": cases, "num_cases_per_batch": cases, "data_mean": data_set.mean[:, None]}  # fmt: skip
    return meta | ({"color_pca": data_set.colours} if data_set.colours else {})


def _write(path: Path, batch: Batch, data_set: DataSet, form: str) -> None:
    labels = [int(label) for label in batch.labels[0]]
    if form == "columns":
        path.write_bytes(pickles.dumps({"data": np.ascontiguousarray(batch.pixels), "labels": labels}))
        return
    pictures = batch.pixels.reshape(*data_set.shape, -1).transpose(3, 1, 2, 0)
    texts = [_jpeg(picture) for picture in pictures]
    if form == "jpeg-2012":
        pairs = [(data_set.label_names[label] if data_set.label_names else "", label) for label in labels]
        path.write_bytes(pickles.dumps([texts, [picture.shape[1::-1] for picture in pictures], pairs]))
        return
    path.mkdir()
    for k in range(0, len(texts), PART):
        part = {"data": texts[k : k + PART], "labels": [[label] for label in labels[k : k + PART]]}
        (path / f"{path.name}.{k // PART}").write_bytes(pickles.dumps(part))


def _jpeg(picture: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture, np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
