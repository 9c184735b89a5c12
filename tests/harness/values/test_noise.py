import numpy as np
from layer_specs import layer

from alexnet_rosetta.harness.values.noise import Tape, generator


def random_layer(name="hs1", kind="hs", **keys):
    return layer(name, kind, outputs=400, keep=0.25, **keys)


def test_a_stream_depends_on_its_key_alone():
    first = generator(1, "conv1", "weights").standard_normal(5)
    generator(1, "conv2", "weights").standard_normal(7)
    assert np.array_equal(first, generator(1, "conv1", "weights").standard_normal(5))
    for other in (generator(2, "conv1", "weights"), generator(1, "conv1", "biases")):
        assert not np.array_equal(first, other.standard_normal(5))


def test_masks_are_drawn_once_and_replayed():
    tape = Tape(3)
    mask = tape.mask(random_layer(), 16)
    assert mask.dtype == bool
    assert mask is tape.mask(random_layer(), 16)
    assert np.array_equal(mask, Tape(3).mask(random_layer(), 16))
    assert not np.array_equal(mask, tape.mask(random_layer(), 16, occurrence=1))
    assert not np.array_equal(mask, tape.mask(random_layer("hs2"), 16))


def test_masks_keep_the_share_they_should():
    mask = Tape(0).mask(random_layer(), 100)
    deviation = (0.25 * 0.75 / mask.size) ** 0.5
    assert abs(mask.mean() - 0.25) < 5 * deviation


def neuron(kind):
    return random_layer(kind="neuron", neuron={"type": kind})


def test_noisy_neurons_and_random_pools_draw_in_every_pass():
    tape = Tape(1)
    pool = random_layer("pool1", "pool", pool="rand", doMax=False)
    for pass_type in ("train", "test"):
        normals = tape.mask(neuron("nrelu"), 50, pass_type)
        assert normals.shape == (400, 50)
        assert normals.dtype == np.float32
        assert abs(normals.mean(dtype=np.float64)) < 5 / normals.size**0.5
        uniforms = tape.mask(pool, 50, pass_type)
        assert uniforms.shape == (400, 50)
        assert uniforms.dtype == np.float32
        assert ((uniforms >= 0) & (uniforms < 1)).all()
        assert abs(uniforms.mean(dtype=np.float64) - 0.5) < 5 / (12 * uniforms.size) ** 0.5
    assert tape.mask(neuron("relu"), 4) is None
    assert tape.mask(random_layer(kind="pool", pool="rand", doMax=True), 4) is None
    assert tape.mask(random_layer(kind="pool", pool="max"), 4) is None


def test_rescaling_is_drawn_once_for_all_cases():
    tape = Tape(1)
    drawn = tape.mask(random_layer(kind="rscale"), 50)
    assert drawn.shape == (4, 1)
    assert drawn is tape.mask(random_layer(kind="rscale"), 50)
    assert tape.mask(random_layer(kind="rscale"), 50, "test") is None


def test_learning_rates_have_normals_of_their_own():
    tape = Tape(1)
    drawn = tape.normals(random_layer("fc1", "fc"), 3)
    assert drawn.shape == (3, 2)
    assert len(np.unique(drawn)) == 6
    assert np.array_equal(drawn, Tape(1).normals(random_layer("fc1", "fc"), 3))
    assert not np.array_equal(drawn, tape.normals(random_layer("fc1", "fc"), 3, occurrence=1))


def test_only_training_dropout_has_a_mask():
    tape = Tape(0)
    assert tape.mask(random_layer(kind="fc"), 4) is None
    assert tape.mask(random_layer(), 4, "test") is None
    assert tape.mask(random_layer(enable=False), 4) is None
    assert tape.masks == {}
