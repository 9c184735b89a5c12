"""A data set of two training batches and one for tests that reads in milliseconds: 3 x 10 x 10, ten classes."""

import numpy as np
import small_nets

from alexnet_rosetta.harness.data import pickles
from alexnet_rosetta.harness.training.run import Settings, Training
from alexnet_rosetta.harness.values.noise import generator

SIDE, CASES, CLASSES = 10, 40, 10
NAMES = [f"kind {k}, or so" for k in range(CLASSES)]
LEARNS = (small_nets.DEFINITION.replace("initW=0.1\n", "initW=0.002\n", 1),
          small_nets.PARAMS.replace("epsW=0.01\n", "epsW=0.000001\n", 1))  # fmt: skip
"""The small network with a first layer for pixels, which are numbers of about 100."""


def write_data(folder, side=SIDE, classes=CLASSES):
    """Write historical batches 1, 2 and 3; returns the folder as a string."""
    folder.mkdir()
    for number in (1, 2, 3):
        random = generator(0, "small data", number)
        labels = random.integers(0, classes, CASES)
        pixels = random.integers(0, 128, (3, side, side, CASES)) + 12 * labels
        batch = {"data": pixels.astype(np.uint8).reshape(-1, CASES), "labels": labels.tolist()}
        (folder / f"data_batch_{number}").write_bytes(pickles.dumps(batch))
    meta = {"label_names": NAMES[:classes], "num_vis": 3 * side * side}
    (folder / "batches.meta").write_bytes(pickles.dumps(meta))
    return str(folder)


def train(settings, folder, resume=False, stop_at=None):
    """Train to the end, or until so many minibatches are done; returns the Training and its events."""
    training = Training(settings, folder, resume)

    def step():
        training.stop = training.stop or training.state.step == stop_at

    training.on_step = step
    return training, list(training.events())


def settings(net, data, **more):
    """Settings of a training of 3 epochs of 2 batches of 3 minibatches."""
    return Settings(net, data, **{"epochs": 3, "batch": 16, "threads": 1, **more})
