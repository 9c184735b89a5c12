"""Batches that are written are read back, whatever their form."""

import pickle

import numpy as np
import pytest
from PIL import Image

from alexnet_rosetta.harness.data import DataSet, batches, make, open_data, pickles
from alexnet_rosetta.harness.data.batches import opened
from alexnet_rosetta.harness.errors import BadInput


@pytest.fixture
def pictures():
    """Two batches to learn from and one for tests, smooth enough for JPEG."""
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (3, 9, 3, 2, 2), np.uint8)
    pixels = np.ascontiguousarray(small.repeat(8, 3).repeat(8, 4).transpose(0, 2, 3, 4, 1).reshape(3, -1, 9))
    labels = rng.integers(0, 4, (3, 9))
    colours = np.float32([1, 2, 3]), np.eye(3, dtype=np.float32)
    return DataSet("made up", "pictures", (3, 16, 16), ("cat", "dog", "é", "猫"), (1, 2), (3,),
                   lambda number: (pixels[number - 1], labels[number - 1]), colours=colours)  # fmt: skip


def written(data_set, folder, form):
    list(make.make(data_set, folder, form))
    return open_data(folder)


def test_columns_are_read_back_to_the_bit(pictures, tmp_path):
    found = written(pictures, tmp_path / "new" / "out", "columns")
    for name in ("shape", "label_names", "train", "test"):
        assert getattr(found, name) == getattr(pictures, name)
    assert np.array_equal(found.mean, pictures.mean)
    assert all(np.array_equal(a, b) for a, b in zip(found.colours, pictures.colours, strict=True))
    for number in (1, 2, 3):
        assert np.array_equal(found.read(number).pixels, pictures.read(number).pixels)
        assert np.array_equal(found.read(number).labels, pictures.read(number).labels)


@pytest.mark.parametrize("form", ["jpeg-2012", "jpeg-2014"])
def test_jpeg_is_read_back_as_what_was_written(pictures, tmp_path, form, monkeypatch):
    monkeypatch.setattr(make, "PART", 4)
    found = written(pictures, tmp_path / "out", form)
    assert len(list(tmp_path.glob("out/data_batch_1/*"))) == (3 if form == "jpeg-2014" else 0)
    for number in (1, 2, 3):
        batch, before = found.read(number), pictures.read(number)
        for case in range(9):
            text = make._jpeg(before.pixels[:, case].reshape(3, 16, 16).transpose(1, 2, 0))
            assert np.array_equal(np.asarray(opened(text)).transpose(2, 0, 1).ravel(), batch.pixels[:, case])
        for case in range(9):  # no other picture of the batch is as near
            distances = np.abs(before.data - batch.data[:, [case]]).sum(axis=0)
            assert distances.argmin() == case
        assert np.array_equal(batch.labels, before.labels)


def test_a_program_of_2012_would_read_it(pictures, tmp_path):
    """Byte strings alone, one array in C order, labels a list of ints; no module that numpy 1.6 lacks."""
    written(pictures, tmp_path / "out", "columns")
    batch = pickle.loads((tmp_path / "out" / "data_batch_1").read_bytes(), encoding="bytes")
    assert set(batch) == {b"data", b"labels"}
    assert (batch[b"data"].shape, batch[b"data"].flags.c_contiguous, type(batch[b"labels"][0])) == ((768, 9), True, int)
    meta = pickle.loads((tmp_path / "out" / "batches.meta").read_bytes(), encoding="bytes")
    assert meta[b"label_names"][:3] == [b"cat", b"dog", b"\xe9"]
    assert (meta[b"data_mean"].shape, meta[b"data_mean"].dtype) == ((768, 1), np.float32)
    assert b"numpy._core" not in (tmp_path / "out" / "data_batch_1").read_bytes()


def test_several_batches_for_tests_are_counted_from_1000(pictures, tmp_path):
    pictures.train, pictures.test = (1,), (2, 3)
    found = written(pictures, tmp_path / "out", "columns")
    assert (found.train, found.test) == ((1,), (1000, 1001))
    assert np.array_equal(found.read(1001).pixels, pictures.read(3).pixels)


def test_folders_of_others_stay_as_they_are(pictures, tmp_path):
    (tmp_path / "mine").write_text("1")
    with pytest.raises(BadInput, match="is not empty"):
        list(make.make(pictures, tmp_path))
    with pytest.raises(BadInput, match="is not empty"):
        list(make.make(pictures, tmp_path / "mine"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_nothing_is_left_of_a_failure(pictures, tmp_path):
    load = pictures.load
    pictures.load = lambda number: load(number) if number < 3 else (np.zeros((1, 1), np.uint8), np.zeros(1, int))
    with pytest.raises(BadInput, match="batch 3: data of the wrong shape"):
        list(make.make(pictures, tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_grey_pictures_are_no_jpeg(tmp_path):
    grey = DataSet("grey", "", (1, 4, 4), ("a",), (1,), (1,), None)
    with pytest.raises(BadInput, match="in colours"):
        list(make.make(grey, tmp_path / "out", "jpeg-2012"))


# --- What the programs of other hands wrote --------------------------------------------------------------------------


def folder(tmp_path, batch, **meta):
    meta = {"num_vis": 48, "label_names": ["a", "b"], "data_mean": np.full((48, 1), 7, np.float64)} | meta
    (tmp_path / "batches.meta").write_bytes(pickles.dumps(meta))
    (tmp_path / "data_batch_7").write_bytes(pickles.dumps(batch))
    return open_data(tmp_path)


def jpegs(count, side=4):
    return [make._jpeg(np.full((side, side, 3), 50 * k, np.uint8)) for k in range(count)]


def test_2012_with_damaged_pictures_offset_and_test_cases(tmp_path):
    texts = jpegs(3)
    texts[1] = texts[1][:50]
    found = folder(tmp_path, [texts, [(4, 4)] * 3, [("n01", 0), ("n02", 1), ("n03", None)]], label_offset=0)
    batch = found.read(7)
    assert batch.unreadable == (1,)
    assert (batch.pixels[:, 1] == 7).all()  # the mean keeps the place
    assert batch.labels.tolist() == [[0, 1, 0]]


def test_2012_packed_again(tmp_path):
    assert folder(tmp_path, [jpegs(2), [1, 0], [55, 66]]).read(7).labels.tolist() == [[1, 0]]


def test_2014_takes_the_first_of_several_labels(tmp_path):
    found = folder(tmp_path, {"data": jpegs(2), "labels": [[1, 0], [0]]}, label_offset=0)
    assert found.read(7).labels.tolist() == [[1, 0]]
    with pytest.raises(BadInput, match="batch 7, case 1: a label outside the classes"):
        folder(tmp_path, {"data": jpegs(2), "labels": [[1], []]}).read(7)


def test_an_offset_is_added_to_the_labels(tmp_path):
    pixels = np.zeros((48, 2), np.uint8)
    assert folder(tmp_path, {"data": pixels, "labels": [2, 3]}, label_offset=-2).read(7).labels.tolist() == [[0, 1]]


def test_pictures_of_any_size_stand_on_a_canvas(tmp_path):
    picture = make._jpeg(np.full((100, 50, 3), 200, np.uint8))
    meta = {"num_vis": 3 * 256 * 256, "no_crop": True, "data_mean": np.full((3 * 256 * 256, 1), 9.7)}
    found = folder(tmp_path, [[picture], [(50, 100)], [("n", 1)]], **meta).read(7).pixels.reshape(3, 256, 256)
    expected = np.full((3, 256, 256), 9)
    expected[:, 78:178, 103:153] = 200
    assert np.array_equal(found, expected)


BAD = {
    "labels are missing": ({"data": np.zeros((48, 2), np.uint8)}, {}, "data or labels are missing"),
    "fewer labels": ({"data": np.zeros((48, 2), np.uint8), "labels": [1]}, {}, "not one label a case"),
    "a class too much": ({"data": np.zeros((48, 2), np.uint8), "labels": [1, 2]}, {}, r"case 1: a label .*0 to 1.*2"),
    "a label of text": ({"data": np.zeros((48, 1), np.uint8), "labels": ["a"]}, {}, r"labels\[0\] is no class"),
    "tags": ([jpegs(1), [(4, 4)], [["dog", "cat"]]], {}, r"labels\[0\] is no class"),
    "another size": ({"data": np.zeros((27, 2), np.uint8), "labels": [1, 0]}, {}, "data of the wrong shape"),
    "numbers of another kind": ({"data": np.zeros((48, 2), "S1"), "labels": [1, 0]}, {}, "data of the wrong shape"),
    "NaN": ({"data": np.full((48, 1), np.nan, np.float32), "labels": [1]}, {}, "NaN or infinity"),
    "no cases": ({"data": np.zeros((48, 0), np.uint8), "labels": []}, {}, "no cases"),
    "a picture too large": ({"data": jpegs(1, 8), "labels": [1]}, {}, "wrong size.*4x4.*8x8"),
    "pictures of numbers": ({"data": [3], "labels": [1]}, {}, "a picture of the kind int"),
    "no batch": (3, {}, "no batch"),
    "a mean of another size": ({}, {"data_mean": np.zeros(5)}, "data_mean does not fit"),
    "names of another kind": ({}, {"label_names": "ab"}, "label_names is of the wrong kind"),
    "names that are none": ({}, {"label_names": [None]}, "label_names holds what is no name"),
    "no number": ({}, {"num_vis": "many"}, "num_vis is of the wrong kind"),
    "a number below": ({}, {"num_vis": -3}, "num_vis"),
    "colours": ({}, {"color_pca": [1, 2]}, "color_pca is no pair"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_named(tmp_path, name):
    batch, meta, said = BAD[name]
    with pytest.raises(BadInput, match=said) as error:
        folder(tmp_path, batch, **meta).read(7)
    assert str(tmp_path) in str(error.value)


def test_columns_of_features_without_names(tmp_path):
    """What 'write features' leaves: rows of cases, labels in a matrix, a meta without names."""
    features = np.arange(10, dtype=np.float32).reshape(2, 5)
    (tmp_path / "batches.meta").write_bytes(pickles.dumps({"source_model": "x", "num_vis": 5}))
    (tmp_path / "data_batch_1").write_bytes(pickles.dumps({"data": features, "labels": np.float32([[3, 4]])}))
    found = open_data(tmp_path)
    assert (found.shape, found.classes) == ((5, 1, 1), 0)
    assert np.array_equal(found.read(1).data, features.T)
    assert found.read(1).labels.tolist() == [[3, 4]]


def test_large_pictures_are_not_decoded(tmp_path, monkeypatch):
    Image.new("1", (2_000, 2_000)).save(tmp_path / "a.png")
    monkeypatch.setattr(batches, "MOST_PIXELS", 1 << 21)
    with pytest.raises(ValueError, match="too large"):
        batches.in_colours(opened((tmp_path / "a.png").read_bytes()))
