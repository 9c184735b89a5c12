import numpy as np
from alexnet_rosetta.harness.draws import Tape, generator


class Layer(dict):
    """A layer specification reduced to what the tape asks for."""

    def __init__(self, name="hs1", kind="hs", **keys):
        super().__init__(keep=0.25, **keys)
        self.name, self.type, self.outputs = name, kind, 400


def test_a_stream_depends_on_its_key_alone():
    first = generator(1, "conv1", "weights").standard_normal(5)
    generator(1, "conv2", "weights").standard_normal(7)
    assert np.array_equal(first, generator(1, "conv1", "weights").standard_normal(5))
    for other in (generator(2, "conv1", "weights"), generator(1, "conv1", "biases")):
        assert not np.array_equal(first, other.standard_normal(5))


def test_masks_are_drawn_once_and_replayed():
    tape = Tape(3)
    mask = tape.mask(Layer(), 16)
    assert mask.dtype == bool
    assert mask is tape.mask(Layer(), 16)
    assert np.array_equal(mask, Tape(3).mask(Layer(), 16))
    assert not np.array_equal(mask, tape.mask(Layer(), 16, occurrence=1))
    assert not np.array_equal(mask, tape.mask(Layer("hs2"), 16))


def test_masks_keep_the_share_they_should():
    mask = Tape(0).mask(Layer(), 100)
    deviation = (0.25 * 0.75 / mask.size) ** 0.5
    assert abs(mask.mean() - 0.25) < 5 * deviation


def test_only_training_dropout_has_a_mask():
    tape = Tape(0)
    assert tape.mask(Layer(kind="fc"), 4) is None
    assert tape.mask(Layer(), 4, "test") is None
    assert tape.mask(Layer(enable=False), 4) is None
    assert tape.masks == {}
