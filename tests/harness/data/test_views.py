from types import SimpleNamespace

import numpy as np
import pytest

from alexnet_rosetta.harness.data import Batch, DataSet, views
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.values.noise import generator

SIDE, INNER, BORDER = 8, 4, 2


@pytest.fixture
def batch():
    pixels = generator(1, "pixels").integers(0, 256, (3 * SIDE * SIDE, 70), np.uint8)
    return Batch(pixels, np.arange(70, dtype=np.float32)[None] % 5)


@pytest.fixture
def data_set(batch):
    mean = generator(1, "mean").uniform(0, 255, 3 * SIDE * SIDE).astype(np.float32)
    return DataSet("here", "made up", (3, SIDE, SIDE), tuple("abcde"), (1,), (1,), lambda n: None, mean)


def windows(data_set, pixels):
    """{(y, x, mirrored): every crop of a picture minus the central mean}."""
    mean = data_set.mean.reshape(3, SIDE, SIDE)[:, BORDER : BORDER + INNER, BORDER : BORDER + INNER]
    picture = pixels.reshape(3, SIDE, SIDE)
    return {
        (y, x, turned): (
            picture[:, y : y + INNER, x : x + INNER][:, :, :: -1 if turned else 1].astype(np.float32) - mean
        ).ravel()
        for y in range(2 * BORDER + 1)
        for x in range(2 * BORDER + 1)
        for turned in (False, True)
    }


def seen(data_set, batch, found, case):
    """Which crop of a case a batch holds."""
    hits = [
        at for at, crop in windows(data_set, batch.pixels[:, case]).items() if np.array_equal(crop, found.data[:, case])
    ]
    assert len(hits) == 1
    return hits[0]


def test_every_picture_has_its_own_crop(data_set, batch):
    found = views.for_training(data_set, batch, generator(0, "views"), INNER)
    crops = [seen(data_set, batch, found, case) for case in range(70)]
    assert len(set(crops)) > 25
    assert {y for y, _, _ in crops} == {x for _, x, _ in crops} == set(range(5))
    assert 20 < sum(turned for _, _, turned in crops) < 50
    assert np.array_equal(found.labels, batch.labels)
    assert np.array_equal(views.for_training(data_set, batch, generator(0, "views"), INNER).data, found.data)


def test_32_pictures_share_a_crop_in_2012(data_set, batch):
    found = views.for_training(data_set, batch, generator(0, "views"), INNER, together=32)
    crops = [seen(data_set, batch, found, case) for case in range(70)]
    assert [len(set(part)) for part in (crops[:32], crops[32:64], crops[64:])] == [1, 1, 1]
    assert len(set(crops)) == 3


def test_no_mirror(data_set, batch):
    found = views.for_training(data_set, batch, generator(0, "views"), INNER, mirror=False)
    assert not any(seen(data_set, batch, found, case)[2] for case in range(70))


def test_the_centre(data_set, batch):
    found = views.for_test(data_set, batch, INNER)
    assert {seen(data_set, batch, found, case) for case in range(70)} == {(BORDER, BORDER, False)}
    whole = views.for_test(data_set, batch)
    assert np.array_equal(whole.data, batch.data - data_set.mean[:, None])


@pytest.mark.parametrize(
    ("number", "order"),
    [
        (9, [(y, x, False) for y in (0, 2, 4) for x in (0, 2, 4)]),
        (10, [(y, x, m) for m in (False, True) for y, x in ((0, 0), (0, 4), (2, 2), (4, 0), (4, 4))]),
    ],
)
def test_views_of_a_test(data_set, batch, number, order):
    found = views.for_test(data_set, batch, INNER, number)
    assert found.data.shape == (48, 70 * number)
    for view, at in enumerate(order):
        part = Batch(found.data[:, view * 70 : (view + 1) * 70], batch.labels)
        assert {seen(data_set, batch, part, case) for case in range(0, 70, 9)} == {at}
    assert np.array_equal(found.labels, np.tile(batch.labels, number))


def test_the_mean_over_views_is_their_sum_scaled():
    p = [generator(3, "p", k).random((5, 3), np.float32) for k in range(10)]
    total = np.zeros((5, 3), np.float32)
    for view in p:
        total += view
    assert np.array_equal(views.over_views(p), total * np.float32(0.1))


def test_colour_noise_is_one_colour_a_picture(data_set, batch):
    data_set.colours = np.float32([20, 40, 120]), np.float32([[0.4, -0.7, -0.6], [-0.8, 0, -0.6], [0.4, 0.7, -0.6]])
    quiet = views.for_training(data_set, batch, generator(0, "views"), INNER).data
    loud = views.for_training(data_set, batch, generator(0, "views"), INNER, colour_noise=0.1).data
    moved = (loud * np.float32(1.1) - quiet).reshape(3, -1, 70) / 0.1
    assert np.ptp(moved, axis=1).max() < 0.01
    z = np.linalg.solve(data_set.colours[1] * data_set.colours[0], moved.mean(1))
    assert 0.6 < z.std() < 1.4
    assert abs(z.mean()) < 0.4


def test_colours_of_a_batch_are_the_roots_of_its_covariance(data_set, batch):
    deviations, vectors = views.principal_colours(batch)
    expected = np.cov(batch.pixels.reshape(3, -1))
    assert np.allclose(vectors @ np.diag(deviations**2) @ vectors.T, expected, rtol=1e-3)


def test_a_scalar_mean(data_set, batch):
    found = views.for_test(data_set, batch, scalar_mean=True)
    assert np.allclose(batch.data - found.data, data_set.mean.mean(), atol=1e-3)


def test_columns_of_features(batch):
    features = DataSet("here", "features", (7, 1, 1), (), (1,), (1,), lambda n: None, np.zeros(7, np.float32))
    held = Batch(np.ones((7, 4), np.float32), np.zeros((1, 4), np.float32))
    assert np.array_equal(views.for_training(features, held, generator(0)).data, held.pixels)
    assert views.for_test(features, held, views=9).data.shape == (7, 36)


def test_what_cannot_be(data_set, batch):
    for inner in (0, 9):
        with pytest.raises(BadInput, match=f"no crops of side {inner}"):
            views.for_test(data_set, batch, inner)
    with pytest.raises(BadInput, match="number of views"):
        views.for_test(data_set, batch, views=3)
    grey = SimpleNamespace(shape=(1, 8, 8), source="grey", mean=np.zeros(64, np.float32), colours=None)
    with pytest.raises(BadInput, match="without colours"):
        views.for_training(grey, Batch(batch.pixels[:64], batch.labels), generator(0), colour_noise=0.1)
