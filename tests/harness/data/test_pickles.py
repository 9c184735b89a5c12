"""Pickles are read without running anything in them, and written such that Python 2 reads them."""

import gzip
import io
import os
import pickle
import pickletools
import re
import zipfile

import numpy as np
import pytest

from alexnet_rosetta.harness.data import pickles
from alexnet_rosetta.harness.data.pickles import Instance, Name
from alexnet_rosetta.harness.errors import BadInput

VALUES = {
    "none": None,
    "truth": [True, False],
    "numbers": [0, -1, 255, 65536, -(2**31), 2**31, 2**62, -(2**63), 0.1, -0.0, 1e300],
    "texts": ["", "a", "é\xff", "x" * 300, "猫"],
    "containers": {"a": [], "b": (), "c": {}, "d": (1,), "e": (1, 2, 3, 4), 5: [[1], [2, [3]]]},
    "arrays": [np.arange(12, dtype=np.uint8).reshape(3, 4), np.float32([[1, 2], [3, 4]]).T, np.zeros((0, 3), np.int64)],
    "kinds": [np.array([1], kind) for kind in ("b1", "i1", "u2", ">i4", "<u8", "f2", ">f8", "S3")],
}


def same(one, other):
    if isinstance(one, np.ndarray):
        kinds = {array.dtype.newbyteorder("=") for array in (one, other)}
        return len(kinds) == 1 and one.shape == other.shape and (one == other).all()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)


@pytest.mark.parametrize("name", VALUES)
def test_what_is_written_is_read(name):
    data = pickles.dumps(VALUES[name])
    assert same(pickles.loads(data), VALUES[name])
    assert same(pickle.loads(data, encoding="latin1"), VALUES[name])


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("name", VALUES)
def test_what_python_writes_is_read(name, protocol):
    value = VALUES[name]
    if name == "arrays" and protocol < 3:
        value = value[:2]  # of an empty array Python 3 calls bytes(), which is not read
    assert same(pickles.loads(pickle.dumps(value, protocol)), value)


def test_python_2_finds_byte_strings_and_its_own_instructions():
    data = pickles.dumps({"labels": [1, 2], "data": np.zeros((2, 2), np.uint8), "name": "cat", "files": [b"\xff\xd8"]})
    instructions = [(code.name, code.proto) for code, _, _ in pickletools.genops(data)]
    assert max(proto for _, proto in instructions) == 2
    assert "BINUNICODE" not in {name for name, _ in instructions}
    assert set(pickle.loads(data, encoding="bytes")) == {b"labels", b"data", b"name", b"files"}


# As cPickle of Python 2.7 with numpy 1.6 writes {'data': uint8 array, 'labels': [3, 5L], 'u': u'\xe9'}.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05"
    b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x88U\x06abcdeftbU\x06labelsq\x08]q\t(K\x03\x8a\x01\x05eU\x01uX\x02\x00\x00\x00\xc3\xa9u."
)


def test_arrays_of_python_2():
    found = pickles.loads(PYTHON_2)
    assert found["data"].tolist() == [[97, 99, 101], [98, 100, 102]]  # in Fortran order
    assert (found["labels"], found["u"]) == ([3, 5], "é")


def test_what_is_shared_stays_shared():
    weights, layer = np.ones((2, 2), np.float32), {"name": "conv1"}
    found = pickles.loads(pickles.dumps({"a": [weights, weights], "b": [layer, layer]}))
    assert found["a"][0] is found["a"][1]
    assert found["b"][0] is found["b"][1]


def test_options_are_inert():
    """As the options module of 2.7 writes them: MARK, class, OBJ, state, BUILD; parsers are classes alone."""
    data = (
        b"\x80\x02(coptions\nOptionsParser\no}q\x01U\x07options}q\x02U\x04mini(coptions\nOption\no}q\x03(U\x05value"
        b"K\x80U\x06parsercoptions\nIntegerOptionParser\nU\x07defaultI00\nubssb."
    )
    found = pickles.loads(data)
    assert (type(found), found.of) == (Instance, Name("options", "OptionsParser"))
    assert found.state["options"]["mini"].state["value"] == 128
    assert found.state["options"]["mini"].state["parser"] == Name("options", "IntegerOptionParser")
    again = pickles.loads(pickles.dumps(found))
    assert again.state["options"]["mini"].state == found.state["options"]["mini"].state


class Mine:
    def __init__(self, call, *given):
        self.called = call, given

    def __reduce__(self):
        return self.called


HOSTILE = {
    "system": b"cos\nsystem\n(S'touch CANARY'\ntR.",
    "posix": b"\x80\x02cposix\nsystem\nU\x0ctouch CANARY\x85R.",
    "builtins": b"\x80\x02c__builtin__\neval\nU\x01a\x85R.",
    "stack global": pickle.dumps(Mine(os.system, "touch CANARY"), 4),
    "instance": b"(S'touch CANARY'\nios\nsystem\n.",
    "object": b"(cos\nsystem\nS'touch CANARY'\no.",
    "option with arguments": b"(coptions\nOption\nS'touch CANARY'\no.",
    "called option": b"coptions\nOption\n)R.",
    "new object": b"\x80\x02coptions\nOption\n)\x81.",
    "state of a name": b"coptions\nOption\n(dS'__init__'\nNsb.",
    "attributes": b"(coptions\nOption\no(dS'__class__'\nNsb.",
    "state and slots": b"(coptions\nOption\no(N(dS'a'\nNstb.",
    "dtype of objects": b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.",
    "dtype of fields": b"cnumpy\ndtype\n(S'V4'\nI0\nI1\ntR.",
    "dtype by name": b"cnumpy\ndtype\n((lS'f4'\natR.",
    "copy_reg": b"ccopy_reg\n_reconstructor\n(c__main__\nA\nc__builtin__\nobject\nNtR.",
    "persistent": b"Psystem\n.",
    "binary persistent": b"\x80\x02NQ.",
    "extension": b"\x80\x02\x82\x01.",
    "out of band": b"\x80\x05\x97.",
    "set": b"\x80\x04\x8f.",
    "frombuffer": pickle.dumps(np.arange(3), 5),
    "objects": pickle.dumps(np.array([None, 3]), 2),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_run(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data_batch_1"
    path.write_bytes(HOSTILE[name].replace(b"CANARY", b"canary"))
    with pytest.raises(BadInput, match=re.escape(str(path))):
        pickles.load(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["data_batch_1"]


def test_what_is_refused_is_named():
    with pytest.raises(BadInput, match=r"wants os\.system, which may be a program"):
        pickles.loads(HOSTILE["system"])
    with pytest.raises(BadInput, match=r"wants \\x1b\[2J\.\\x07, which"):
        pickles.loads(b"c\x1b[2J\n\x07\n.")


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
BOMBS = {
    "memo": b"\x80\x02Nr\xff\xff\xff\xff.",
    "text memo": b"Np99999999999999999999\n.",
    "deep lists": b"(" * 100_000 + b"l" * 100_000 + b".",
    "deep tuples": b"N" + b"\x85" * 100_000 + b".",
    "long number": b"\x80\x02\x8b\x00\x00\x00\x01" + bytes(1 << 24) + b".",
    "digits": b"L" + b"9" * 100_000 + b"L\n.",
    "negative length": b"\x80\x02T\xff\xff\xff\xff.",
    "length": b"\x80\x02T\xff\xff\xff\x7fabc.",
    "8-byte length": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
    "no end": b"]" * 5_000_000,
    "array of nothing": ARRAY + b"(I1\n(I1000000000000\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntRI00\nS'abcd'\ntb.",
    "unfilled array": ARRAY + b".",
    "empty": b"",
    "text": b"hello",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_at_once(name):
    from alexnet_rosetta.harness import machine

    machine.reset_peak_memory()
    before = machine.peak_memory()
    if name.startswith("deep"):
        pickles.loads(BOMBS[name])  # as deep as the file is long, which hurts nobody
    elif "memo" in name:
        assert pickles.loads(BOMBS[name]) is None
    else:
        with pytest.raises(BadInput):
            pickles.loads(BOMBS[name])
    assert machine.peak_memory() - before < 600 << 20


def test_bytes_of_an_array_are_not_used_twice():
    """One string of 100,000 bytes in the memo, and a thousand arrays that all want it."""
    begin = b"\x80\x02T\xa0\x86\x01\x00" + bytes(100_000) + b"q\x000]("
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J\xa0\x86\x01\x00\x85"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R\x89h\x00tb"
    )
    assert len(pickles.loads(begin + array + b"e.")) == 1
    with pytest.raises(BadInput, match="more numbers than bytes"):
        pickles.loads(begin + array * 1000 + b"e.")


def test_containers(tmp_path):
    value = {"data": list(range(50))}
    plain = pickles.dumps(value)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", plain)
    path = tmp_path / "1.5"
    for data in (plain, gzip.compress(plain), zipped.getvalue()):
        path.write_bytes(data)
        assert pickles.load(path) == value
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(BadInput, match=re.escape(str(path))):
            pickles.load(path)


def test_a_compressed_file_does_not_grow_without_end(tmp_path):
    path = tmp_path / "batches.meta"
    path.write_bytes(gzip.compress(bytes(200 << 20), 9))
    with pytest.raises(BadInput, match=r"batches\.meta: too large \(expected at most [67]"):
        pickles.load(path)


def test_a_file_larger_than_memory_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "1.2"
    path.write_bytes(pickles.dumps([b"x" * 100_000]))
    monkeypatch.setattr(pickles.machine, "available_memory", lambda: 100_000)
    with pytest.raises(BadInput, match="at most 25,000 bytes"):
        pickles.load(path)


@pytest.mark.parametrize("name", ["a folder", "nothing"])
def test_no_file(tmp_path, name):
    with pytest.raises(BadInput, match=r"is no file|there is no file"):
        pickles.load(tmp_path if name == "a folder" else tmp_path / "x")


def test_what_python_2_has_not_is_not_written():
    with pytest.raises(TypeError, match="no set"):
        pickles.dumps({"a": {1}})
