import numpy as np
import pytest

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.values import photographs as photos


@pytest.fixture(scope="module")
def batch():
    return photos.crops(28, 70, 6, seed=5)


def test_shapes_and_labels(batch):
    data, labels, shown = batch
    assert data.shape == (3 * 28 * 28, 70)
    assert data.dtype == np.float32
    assert data.flags.c_contiguous
    assert shown.shape == (70, 28, 28, 3)
    assert labels.tolist() == [[n % 6 for n in range(70)]]


def test_the_same_seed_gives_the_same_crops(batch):
    assert np.array_equal(photos.crops(28, 70, 6, seed=5)[0], batch[0])
    assert not np.array_equal(photos.crops(28, 70, 6, seed=6)[0], batch[0])


def test_a_larger_batch_begins_with_the_smaller(batch):
    assert np.array_equal(photos.crops(28, 10, 6, seed=5)[0], batch[0][:, :10])


def test_the_mean_is_the_same_for_all_images(batch):
    data, _, shown = batch
    mean = shown.transpose(3, 1, 2, 0).reshape(data.shape).astype(np.float32) - data
    assert np.array_equal(np.ptp(np.round(mean, 2), axis=1), np.zeros(len(mean), np.float32))
    assert 30 < mean.mean() < 220


def test_rows_are_channel_y_x(batch):
    data, _, shown = batch
    mean = photos._mean_picture([photos.open_photograph(name) for name in photos.PHOTOGRAPHS], 32, 5)[2:30, 2:30]
    image = data[:, 3].reshape(3, 28, 28)
    assert np.array_equal(image[2, 5, 7], shown[3, 5, 7, 2] - mean[5, 7, 2])


def test_32_images_share_offset_and_mirror(monkeypatch):
    ramp = np.add.outer(100 * np.arange(32), np.arange(32)) % 251
    monkeypatch.setattr(photos, "square", lambda *_: np.repeat(ramp[..., None], 3, 2).astype(np.uint8))
    _, _, shown = photos.crops(28, 320, 6, seed=0)
    chunks = shown.reshape(10, 32, -1)
    assert (chunks == chunks[:, :1]).all()
    assert len(np.unique(chunks[:, 0], axis=0)) > 3


def test_mirroring_happens_about_half_the_time(monkeypatch):
    picture = np.repeat(np.tile(np.arange(32, dtype=np.uint8), (32, 1))[..., None], 3, 2)
    crops = [photos._train_crop(picture, 28, 2, photos.generator(0, k)) for k in range(200)]
    mirrored = sum(crop[0, 0, 0] > crop[0, -1, 0] for crop in crops)
    assert 60 < mirrored < 140
    assert {int(min(crop[0, 0, 0], crop[0, -1, 0])) for crop in crops} == {0, 1, 2, 3, 4}


def test_few_classes_use_few_photographs():
    assert set(photos.crops(16, 8, 2, seed=0)[1].ravel()) == {0, 1}


def test_a_missing_photograph_says_what_to_do(monkeypatch):
    monkeypatch.setitem(photos.PHOTOGRAPHS, "astronaut", "nothing.png")
    with pytest.raises(BadInput, match=r"astronaut cannot be read.*hint.*scikit-image"):
        photos.crops(16, 1, 1, seed=0)


def test_pictures_without_a_clear_licence_are_not_used():
    assert not {"stereo_motorcycle", "lfw_subset"} & set(photos.PHOTOGRAPHS)
