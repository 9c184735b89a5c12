import json
import pickle
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image
from small_nets import DEFINITION, PARAMS, write_net

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.running import prepare as run
from alexnet_rosetta.harness.values import inputs, parameters


@pytest.fixture
def network(tmp_path):
    return networks.load(write_net(tmp_path))


@pytest.mark.parametrize("kind", ["photos", "random", "exact"])
def test_every_kind_fills_every_data_layer(network, kind):
    found = inputs.make(network, kind, 8, seed=1)
    assert {name: array.shape for name, array in found.data.items()} == {"data": (192, 8), "labels": (1, 8)}
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in found.data.values())
    assert np.isin(found.data["labels"], np.arange(10)).all()
    assert found.batch == 8
    again = inputs.make(network, kind, 8, seed=1)
    assert found.hashes() == again.hashes()
    assert found.hashes() != inputs.make(network, kind, 8, seed=2).hashes()


def test_exact_values_are_few_eighths(network):
    eighths = inputs.make(network, "exact", 8, seed=0).data["data"] * 8
    assert np.array_equal(eighths, np.round(eighths))
    assert np.abs(eighths).max() <= 6


def test_photographs_come_with_pictures_and_names(network):
    found = inputs.make(network, "photos", 4, seed=0)
    assert found.pictures.shape == (4, 8, 8, 3)
    assert found.captions == ["astronaut", "chelsea", "coffee", "rocket"]
    assert found.data["labels"].tolist() == [[0, 1, 2, 3]]


def test_photographs_need_square_images(tmp_path):
    network = networks.load(write_net(tmp_path, DEFINITION.replace("dims=192", "dims=128").replace(
        "channels=3", "channels=2")))  # fmt: skip
    with pytest.raises(BadInput, match=r"layer data: 128 values.*--input random"):
        inputs.make(network, "photos", 4, seed=0)


def test_a_grey_network_sees_grey_photographs(tmp_path, network):
    flat = DEFINITION.replace("dims=192", "dims=64").replace("channels=3", "channels=1")
    grey = inputs.make(networks.load(write_net(tmp_path, flat)), "photos", 4, seed=0)
    colours = inputs.make(network, "photos", 4, seed=0)
    red, green, blue = colours.data["data"].astype(np.float64).reshape(3, 64, 4)
    assert np.array_equal(grey.data["data"], (0.299 * red + 0.587 * green + 0.114 * blue).astype(np.float32))
    assert grey.data["data"].flags.c_contiguous
    assert (grey.pictures == grey.pictures[..., :1]).all()
    assert np.abs(grey.pictures[..., 0] - colours.pictures @ [0.299, 0.587, 0.114]).max() <= 0.5
    assert grey.note == "data: photographs were made grey, since the layer has one value a pixel"
    assert colours.note == ""
    work = run.prepare(run.Options(write_net(tmp_path, flat), engines=("reference",), batch=4))
    assert grey.note in work.network.spec.warnings


def picture(kind):
    def save(path):
        Image.new("RGB", (4, 4)).save(path, kind)

    return save


def checkpoint(path):
    with ZipFile(path, "w") as archive:
        archive.writestr("alexnet/data.pkl", b"\x80\x02}q")


def safetensors(path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


@pytest.mark.parametrize(
    ("name", "make", "what", "todo"),
    [
        ("cat.png", picture("PNG"), "a PNG picture", "store its pixels"),
        ("cat.jpg", picture("JPEG"), "a JPEG picture", "store its pixels"),
        ("cat.npz", picture("GIF"), "a GIF picture", "store its pixels"),
        ("cat.bmp", picture("BMP"), "a BMP picture", "store its pixels"),
        ("cat.webp", picture("WEBP"), "a WebP picture", "store its pixels"),
        ("x.npy", lambda path: np.save(path, np.zeros(3)), "an npy file, one array without a name", "numpy.savez"),
        ("x.pt", checkpoint, "a PyTorch checkpoint", "can run programs"),
        ("x.pkl", lambda path: path.write_bytes(pickle.dumps({})), "a pickle, perhaps a", "can run programs"),
        ("x.safetensors", safetensors, "a safetensors file", "store its arrays by name"),
        ("x.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "an HDF5 file", "store its arrays by name"),
        ("x", lambda path: path.mkdir(), "a folder", "numpy.savez"),
    ],
)
def test_other_files_are_called_what_they_are(tmp_path, network, name, make, what, todo):
    make(tmp_path / name)
    for read in (lambda path: inputs.make(network, path, 4, seed=0), lambda path: parameters.make(network, 0, path)):
        with pytest.raises(BadInput) as error:
            read(str(tmp_path / name))
        assert f"{name} is {what}" in str(error.value)
        assert ", and no npz file" in str(error.value)
        assert todo in error.value.hint


def good():
    random = np.random.default_rng(0)
    data = random.standard_normal((192, 4)).astype(np.float32)
    return {"data": data, "labels": np.array([[0, 1, 2, 3]], np.float32)}


def nan(array):
    array[5, 2] = np.nan
    return array


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("data", lambda a: a.T.copy(), r"data.*wrong shape.*\(192, 4\).*\(4, 192\).*transposed"),
        ("data", lambda a: a[:10].copy(), r"data.*wrong shape.*\(10, 4\)"),
        ("data", lambda a: a.astype(np.float64), r"data.*wrong dtype.*float64"),
        ("data", lambda a: np.asfortranarray(a), r"data.*wrong memory order"),
        ("data", nan, r"data.*nan at \(5, 2\)"),
        ("data", lambda a: a.ravel(), r"data.*wrong shape"),
        ("labels", lambda a: a + 0.5, r"labels.*no class label.*0 to 9"),
        ("labels", lambda a: a + 7, r"labels.*no class label"),
        ("labels", lambda a: a[:, :2].copy(), r"data.*wrong shape.*\(192, 2\)"),
    ],
)
def test_a_bad_array_is_refused(tmp_path, network, name, spoil, message):
    arrays = good()
    arrays[name] = spoil(arrays[name])
    np.savez(tmp_path / "batch.npz", **arrays)
    with pytest.raises(BadInput, match=message) as caught:
        inputs.make(network, str(tmp_path / "batch.npz"), 32, seed=0)
    assert caught.value.hint
    assert "batch.npz" in str(caught.value)


def test_a_good_file_brings_its_own_number_of_cases(tmp_path, network):
    np.savez(tmp_path / "batch.npz", **good())
    found = inputs.make(network, str(tmp_path / "batch.npz"), 32, seed=0)
    assert found.batch == 4
    assert found.kind == "batch.npz"
    assert np.array_equal(found.data["data"], good()["data"])


@pytest.mark.parametrize(
    ("change", "word"), [({"more": np.zeros(1)}, "unknown: more"), ({"data": None}, "missing: data")]
)
def test_arrays_are_matched_by_name(tmp_path, network, change, word):
    arrays = {name: array for name, array in (good() | change).items() if array is not None}
    np.savez(tmp_path / "batch.npz", **arrays)
    with pytest.raises(BadInput, match=word):
        inputs.make(network, str(tmp_path / "batch.npz"), 32, seed=0)


def test_a_file_that_is_none_or_no_npz(tmp_path, network):
    with pytest.raises(BadInput, match=r"no such file.*photos, random, exact"):
        inputs.make(network, "pictures", 4, seed=0)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(BadInput, match=r"not a readable npz"):
        inputs.make(network, str(tmp_path / "text.npz"), 4, seed=0)


def test_pickles_are_refused(tmp_path, network):
    np.savez(tmp_path / "evil.npz", data=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match=r"not a readable npz"):
        inputs.make(network, str(tmp_path / "evil.npz"), 4, seed=0)


def test_targets_of_other_costs_are_drawn_and_checked(tmp_path):
    multi = DEFINITION.replace("dataIdx=1\ndims=1", "dataIdx=1\ndims=10").replace("cost.logreg", "cost.crossent")
    network = networks.load(write_net(tmp_path, multi, PARAMS.replace("topk=2", "")))
    for kind in ("photos", "random", "exact"):
        found = inputs.make(network, kind, 8, seed=1).data["labels"]
        assert found.shape == (10, 8)
        assert (np.abs(found.sum(0, dtype=np.float64) - 1) <= 10 * 2.0**-24).all()
    arrays = good() | {"labels": np.full((10, 4), -0.1, np.float32)}
    np.savez(tmp_path / "batch.npz", **arrays)
    with pytest.raises(BadInput, match=r"labels has a value that is no distribution.*0 to 1"):
        inputs.make(network, str(tmp_path / "batch.npz"), 4, seed=0)
