import gzip
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from alexnet_rosetta.harness.data import make, open_data, pickles, sources
from alexnet_rosetta.harness.data.batches import ranges, split
from alexnet_rosetta.harness.errors import BadInput


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def photos():
    return open_data("photos", size=16)


def test_photographs_need_nothing(photos):
    batch = photos.read(6)
    assert (photos.shape, photos.classes, photos.train, photos.test) == ((3, 16, 16), 6, (1, 2, 3, 4, 5), (6,))
    assert photos.batches == (1, 2, 3, 4, 5, 6)
    assert (batch.data.shape, batch.data.dtype) == ((768, 1000), np.float32)
    assert batch.labels.shape == (1, 1000)
    assert photos.mean.shape == (768,)
    assert photos.read(6) is batch
    assert np.array_equal(open_data("photos", size=16).read(6).data, batch.data)


def test_crops_for_tests_share_no_pixel_with_the_others(monkeypatch):
    """The photographs say in each pixel where the pixel is."""
    rows, columns = np.mgrid[:400, :400]
    where = Image.fromarray(np.stack([rows // 100 * 60, columns // 100 * 60, 0 * rows], 2).astype(np.uint8))
    monkeypatch.setattr(sources.photographs, "open_photograph", lambda name: where)
    found = open_data("photos", size=8)

    def tiles(number):
        pixels = found.read(number).pixels.reshape(3, 64, -1)
        assert (pixels == pixels[:, :1]).all()  # no crop reaches over the border of a tile
        return {tuple(place) for place in (pixels[:2, 0] // 60).T.tolist()}

    assert tiles(6) == set(sources.HELD_OUT)
    assert len(tiles(1)) == 12
    assert not tiles(1) & tiles(6)


def write_idx(folder, images, labels):
    for part, count in (("train", slice(0, -3)), ("t10k", slice(-3, None))):
        image, label = images[count], labels[count]
        head = bytes([0, 0, 8, 3]) + struct.pack(">3I", *image.shape)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + image.tobytes()))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            bytes([0, 0, 8, 1]) + struct.pack(">I", len(label)) + label.tobytes()
        )


def test_idx_files(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(sources, "BATCH", 5)
    images, labels = rng.integers(0, 256, (12, 6, 6), np.uint8), np.arange(12, dtype=np.uint8) % 10
    write_idx(tmp_path, images, labels)
    found = open_data(tmp_path)
    assert (found.shape, found.train, found.test, found.classes) == ((1, 6, 6), (1, 2), (3,), 10)
    assert np.array_equal(found.read(2).data, images[5:9].reshape(4, 36).T)
    assert found.read(3).labels.tolist() == [[9, 0, 1]]
    assert np.allclose(found.mean, images[:9].reshape(9, 36).mean(0))


def test_fashion_mnist_of_debian():
    if not sources.FASHION.is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    found = open_data("fashion")
    assert (found.shape, found.train, found.test) == ((1, 28, 28), (1, 2, 3, 4, 5, 6), (7,))
    assert found.read(7).data.shape == (784, 10_000)
    assert np.array_equal(np.bincount(found.read(7).labels[0].astype(int)), [1000] * 10)
    assert found.label_names[9] == "ankle boot"


@pytest.mark.parametrize(
    ("bend", "said"),
    [
        (lambda data: data[:-1], "of another length than it says"),
        (lambda data: data + b"1", "of another length than it says"),
        (lambda data: data[:3], "no IDX file"),
        (lambda data: data[:9], "cut off in its header"),
        (lambda data: data[:4] + b"\xff\xff\xff\xff" * 3 + data[16:], "of two sizes"),
        (lambda data: b"\x1f\x8b" + data, "no IDX file"),
    ],
)
def test_bent_idx_files(tmp_path, rng, bend, said):
    write_idx(tmp_path, rng.integers(0, 256, (12, 6, 6), np.uint8), np.zeros(12, np.uint8))
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(bend(gzip.decompress((tmp_path / "train-images-idx3-ubyte.gz").read_bytes())))
    with pytest.raises(BadInput, match=said) as error:
        open_data(tmp_path).read(1)
    assert str(tmp_path) in str(error.value)


def test_cut_gzip(tmp_path, rng):
    write_idx(tmp_path, rng.integers(0, 256, (12, 6, 6), np.uint8), np.zeros(12, np.uint8))
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadInput, match=r"idx3-ubyte\.gz cannot be read"):
        open_data(tmp_path).read(1)


def cifar(rng, cases):
    return rng.integers(0, 256, (cases, 3072), np.uint8), rng.integers(0, 10, cases).tolist()


def test_cifar_10_python(tmp_path, rng):
    """As its authors publish it: a row a case, strings of Python 2."""
    expected = {}
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]:
        expected[name] = data, labels = cifar(rng, 4)
        batch = {"batch_label": "training batch", "labels": labels, "data": data, "filenames": ["a.png"] * 4}
        (tmp_path / name).write_bytes(pickles.dumps(batch))
    meta = {"num_cases_per_batch": 4, "label_names": [f"name {k}" for k in range(10)], "num_vis": 3072}
    (tmp_path / "batches.meta").write_bytes(pickles.dumps(meta))
    found = open_data(tmp_path)
    assert (found.kind, found.train, found.test) == ("CIFAR, python version", (1, 2, 3, 4, 5), (6,))
    assert np.array_equal(found.read(2).data, expected["data_batch_2"][0].T)
    assert found.read(6).labels.tolist() == [expected["test_batch"][1]]
    assert np.allclose(found.mean, np.concatenate([expected[f"data_batch_{k}"][0] for k in range(1, 6)]).mean(0))


def test_cifar_10_binary(tmp_path, rng):
    expected = {}
    for name in [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]:
        expected[name] = data, labels = cifar(rng, 3)
        (tmp_path / name).write_bytes(b"".join(bytes([k]) + row.tobytes() for k, row in zip(labels, data, strict=True)))
    (tmp_path / "batches.meta.txt").write_text("\n".join(f"n{k}" for k in range(10)) + "\n\n")
    found = open_data(tmp_path)
    assert (found.classes, found.train, found.test) == (10, (1, 2, 3, 4, 5), (6,))
    assert np.array_equal(found.read(6).data, expected["test_batch.bin"][0].T)
    assert found.read(1).labels.tolist() == [expected["data_batch_1.bin"][1]]
    (tmp_path / "test_batch.bin").write_bytes(b"1" * 3074)
    with pytest.raises(BadInput, match="no whole records"):
        open_data(tmp_path).read(6)


@pytest.mark.parametrize("binary", [False, True])
def test_cifar_100(tmp_path, rng, binary, monkeypatch):
    monkeypatch.setattr(sources, "BATCH", 4)
    for name, cases in (("train", 10), ("test", 3)):
        data, fine = rng.integers(0, 256, (cases, 3072), np.uint8), list(range(90, 90 + cases))
        if binary:
            rows = zip(fine, data, strict=True)
            (tmp_path / f"{name}.bin").write_bytes(b"".join(bytes([7, k]) + row.tobytes() for k, row in rows))
        else:
            (tmp_path / name).write_bytes(pickles.dumps({"data": data, "fine_labels": fine, "coarse_labels": fine}))
    names = [f"n{k}" for k in range(100)]
    if binary:
        (tmp_path / "fine_label_names.txt").write_text("\n".join(names))
    else:
        (tmp_path / "meta").write_bytes(pickles.dumps({"fine_label_names": names}))
    found = open_data(tmp_path)
    assert (found.classes, found.train, found.test) == (100, (1, 2, 3), (4,))
    assert found.read(3).labels.tolist() == [[98, 99]]
    assert np.array_equal(found.read(4).data, data.T)


def test_pictures_by_class(tmp_path, rng):
    for label, name in enumerate(["cat", "dog"]):
        (tmp_path / name).mkdir()
        for k in range(10):
            picture = np.full((20 + k, 40, 3), 100 * label, np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{k}.png")
    (tmp_path / "dog" / "3.png").write_bytes(b"\x89PNG\r\n nothing")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no picture, and so no class")
    found = open_data(tmp_path, size=8)
    assert (found.shape, found.label_names, found.train, found.test) == ((3, 8, 8), ("cat", "dog"), (1,), (2,))
    batches = [found.read(1), found.read(2)]
    assert [batch.labels.size for batch in batches] == [16, 4]
    bad = [(n, k) for n, batch in enumerate(batches) for k in batch.unreadable]
    assert [found.named(n + 1, k) for n, k in bad] == [str(tmp_path / "dog" / "3.png")]
    with pytest.raises(BadInput, match=r"cannot be decoded .*dog/3\.png"):
        list(make.make(found, tmp_path / "made"))
    for n, batch in enumerate(batches):
        for k in range(batch.labels.size):
            expected = 128 if (n, k) in bad else 100 * batch.labels[0, k]
            assert (batch.pixels[:, k] == expected).all()


def test_the_centre_of_a_picture(tmp_path):
    picture = np.zeros((8, 24, 3), np.uint8)
    picture[:, 8:16] = 200
    (tmp_path / "a").mkdir()
    for k in range(2):
        Image.fromarray(picture).save(tmp_path / "a" / f"{k}.png")
    assert (open_data(tmp_path, size=8).read(1).pixels == 200).all()


def test_folders_of_train_and_test(tmp_path):
    for part, count in (("train", 3), ("val", 2)):
        (tmp_path / part / "a").mkdir(parents=True)
        for k in range(count):
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / part / "a" / f"{k}.jpg")
    found = open_data(tmp_path, size=4)
    assert [found.read(n).labels.size for n in found.batches] == [3, 2]


@pytest.mark.parametrize(("source", "said"), [("phots", "did you mean photos"), ("nowhere/data", "there is no folder")])
def test_sources_that_are_not_there(source, said):
    with pytest.raises(BadInput, match=said):
        open_data(source)


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(BadInput, match="is no data set"):
        open_data(tmp_path)


def test_a_batch_that_is_not_there(photos):
    with pytest.raises(BadInput, match=r"photos has no batch 7 \(expected 1-6"):
        photos.read(7)


def test_numbers():
    assert ranges((1, 2, 3, 7, 9, 10)) == "1-3, 7, 9-10"
    assert split((1, 2, 3)) == ((1, 2), (3,))
    assert split((0, 1, 1000, 1001)) == ((0, 1), (1000, 1001))
    assert split((4,)) == ((4,), (4,))
    assert split((2000, 2001)) == ((2000,), (2001,))


def test_what_python_writes_today(tmp_path, rng):
    data, labels = cifar(rng, 4)
    for k in (1, 2):
        (tmp_path / f"data_batch_{k}").write_bytes(
            pickle.dumps({b"data": data.T.copy(), b"labels": labels}, protocol=4)
        )
    (tmp_path / "batches.meta").write_bytes(
        pickle.dumps({"label_names": list("abcdefghij"), "num_vis": 3072}, protocol=4)
    )
    assert np.array_equal(open_data(tmp_path).read(1).data, data.T)
