"""Reads pickles without running anything in them; writes pickles that Python 2 reads too.

A pickle is a program for a small stack machine. This reader knows the instructions that build plain values, and of
the names that a pickle may call those in `NAMES`: each stands for a few checked lines here, never for what it names
elsewhere (data-checkpoints-tools 1.9). Byte strings of Python 2 become str, a code point a byte.

Time and memory are bounded: an instruction works on its own bytes, an array holds bytes that are in the file, all of
them together at most twice as many as the file has (Python 3 recodes what it writes for Python 2), the memo is a dict
whatever its indices are, and `MOST_STEPS` limits the instructions.
"""

import codecs
import gzip
import os
import re
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from pickletools import opcodes
from typing import Any, NamedTuple, NoReturn
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np

from .. import machine
from ..errors import BadInput, RosettaError, TooLarge

MOST_STEPS = 4_000_000
"""Instructions of a pickle; a checkpoint with the costs of 90 epochs of ImageNet has about half as many."""
LARGEST = 1 << 32
"""Bytes of a pickle."""
GROWTH, FLOOR = 16, 64 << 20
"""A compressed pickle may grow by this factor, and by so many bytes in any case."""
COPIES = 4
"""How often what is in a file stands in memory while the file is read."""


class Name(NamedTuple):
    """The name of a class or function in a pickle; never looked up."""

    module: str
    name: str


@dataclass(eq=False)
class Instance:
    """An instance of a class of the historical option machinery: its name and what its attributes were."""

    of: Name
    state: dict[str, Any]


@dataclass
class Kind:
    """A numpy dtype in the making: code such as ``f4``, byte order."""

    code: str
    order: str = "|"

    def dtype(self) -> np.dtype[Any]:
        """The dtype."""
        return np.dtype(self.order + self.code)


ATTRIBUTES = {"options", "letter", "name", "desc", "parser", "set_once", "default", "excuses", "requires", "save",
              "value", "value_given", "prefixed_letter", "parsers", "sepchar", "expr"}  # fmt: skip
PARSED = ("", "Integer", "Boolean", "String", "Float", "Range", "List")
CLASSES = ("OptionsParser", "Option", "OptionExpression", *(f"{kind}OptionParser" for kind in PARSED))
OPTIONS = frozenset(Name(module, name) for module in ("options", "python_util.options") for name in CLASSES)
RECONSTRUCT, SCALAR = (
    {Name(module, name) for module in ("numpy.core.multiarray", "numpy._core.multiarray")}
    for name in ("_reconstruct", "scalar")
)
NDARRAY, DTYPE, ENCODE = Name("numpy", "ndarray"), Name("numpy", "dtype"), Name("_codecs", "encode")
NAMES = OPTIONS | RECONSTRUCT | SCALAR | {NDARRAY, DTYPE, ENCODE}
STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8",
            "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "|i1", "ByteStorage": "|u1",
            "BoolStorage": "|b1"}  # fmt: skip
ORDERED = Name("collections", "OrderedDict")
TENSOR, PARAMETER = Name("torch._utils", "_rebuild_tensor_v2"), Name("torch._utils", "_rebuild_parameter")
OF_TORCH = {ORDERED, TENSOR, PARAMETER} | {Name("torch", name) for name in STORAGES}
"""What a state_dict of PyTorch names besides."""
CODES = re.compile(r"b1|[iu][1248]|f[248]|[Sa][1-9]\d{0,5}")


def load(path: str | Path) -> Any:
    """The value in a pickle file, which may be compressed by gzip, or be the member ``data`` of a zip file.

    Returns: of None, bool, int, float, str, bytes, list, tuple, dict with keys str or int, ndarray of numbers or bytes,
    `Name`, `Instance`. A list or dict may hold itself; what is shared in the file is shared.
    Raises BadInput: no such file, or no such pickle; names the file.
    """
    try:
        return loads(_unpacked(path))
    except RosettaError as error:
        raise type(error)(f"{path}: {error.what}", expected=error.expected, actual=error.actual, hint=error.hint) \
            from error  # fmt: skip
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {path}") from error
    except Exception as error:  # what a damaged file does to gzip, zipfile and zlib is not for us to list
        raise BadInput(f"{path} cannot be read ({type(error).__name__}: {str(error)[:100]})") from error


def _unpacked(path: str | Path) -> bytes:
    """The bytes of a pickle, out of its container."""
    if not os.path.isfile(path):
        raise BadInput("is no file") if os.path.exists(path) else FileNotFoundError(path)
    packed = os.path.getsize(path)
    free = (machine.available_memory() or COPIES * LARGEST) // COPIES
    with ExitStack() as files:
        file: Any = files.enter_context(open(path, "rb"))
        start, most = file.read(4), min(free, LARGEST)
        file.seek(0)
        if start[:2] in (b"\x1f\x8b", b"PK"):
            most = min(most, FLOOR + GROWTH * packed)
        if start[:2] == b"\x1f\x8b":
            file = files.enter_context(gzip.open(file))
        elif start[:2] == b"PK":
            archive = files.enter_context(ZipFile(file))
            (info,) = archive.infolist()
            if info.filename != "data" or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise ValueError("a zip file of another kind")
            file = files.enter_context(archive.open(info))
        data = file.read(most + 1) if start[:2] in (b"\x1f\x8b", b"PK") or packed <= most else None
    if data is None or len(data) > most:
        raise TooLarge("too large", expected=f"at most {most:,} bytes")
    return data


def load_torch(path: str | Path) -> Any:
    """What ``torch.save`` put into a file, a zip file of a pickle and of the numbers; tensors are ndarrays.

    Raises BadInput: no such file, or it holds more than plain values, tensors and ordered dicts of these; names the
    file.
    """
    try:
        with ZipFile(path) as archive:
            (told,) = [info for info in archive.infolist() if info.filename.endswith("/data.pkl")]
            if told.file_size > FLOOR or any(info.compress_type != ZIP_STORED for info in archive.infolist()):
                raise TooLarge("too large, or compressed", expected=f"a pickle of at most {FLOOR:,} bytes")
            order = told.filename.removesuffix("data.pkl") + "byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise ValueError("its numbers are not little-endian")
            return _TorchMachine(archive.read(told), archive, told.filename.removesuffix(".pkl")).run()
    except RosettaError as error:
        raise BadInput(
            f"{path}: {error.what}", expected=error.expected, actual=error.actual, hint=error.hint
        ) from error
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {path}") from error
    except Exception as error:  # what a damaged file does to zipfile and the stack is not for us to list
        raise BadInput(f"{path} cannot be read as a state_dict ({type(error).__name__}: {ascii(str(error))[:100]})",
                       expected="a file of torch.save, since PyTorch 1.6") from error  # fmt: skip


def loads(data: bytes) -> Any:
    """The value that the bytes of a pickle stand for; see `load`."""
    machine_ = _Machine(data)
    try:
        return machine_.run()
    except RosettaError:
        raise
    except Exception as error:  # whatever bent instructions do to a stack
        raise BadInput(
            f"no readable pickle ({type(error).__name__} at byte {machine_.file.tell():,})", hint="the file is damaged"
        ) from error


def _refuse(what: str, hint: str | None = None) -> NoReturn:
    raise BadInput(f"the pickle {what[:200]}", hint=hint)


class _Machine:
    """The stack machine; the arguments of instructions are read by the standard library."""

    names: frozenset[Name] | set[Name] = NAMES

    def __init__(self, data: bytes) -> None:
        self.file = BytesIO(data)
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.room = 2 * len(data)  # bytes that strings of numbers may still take
        self.unfilled: dict[int, np.ndarray] = {}  # arrays whose numbers are still to come, by identity

    def run(self) -> Any:
        """Run to the end."""
        for _ in range(MOST_STEPS):
            code = self.file.read(1).decode("latin1")
            if code in (".", ""):
                if not code or self.unfilled or self.marks or len(self.stack) != 1:
                    raise EOFError
                return self.stack[0]
            step = _INSTRUCTIONS.get(code)
            if step is None:
                at = self.file.tell() - 1
                _refuse(f"has the instruction {code.encode('latin1')!r} at byte {at:,}, which is not read")
            reader = _ARGUMENTS[code]
            if code == "S":  # which the library takes for ASCII
                step(self, _unquoted(self.file.readline()))
            elif reader:
                step(self, reader.reader(self.file))
            else:
                step(self)
        return _refuse(f"has more than {MOST_STEPS:,} instructions")

    def value(self, value: Any) -> None:
        """Put a value from the file on the stack; whole numbers have 64 bits, texts no halves of characters."""
        if (type(value) is int and not -(2**63) <= value < 2**63) or (type(value) is str and not value.isascii()
                                                                      and not value.encode()):  # fmt: skip
            raise ValueError
        self.stack.append(value)

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def keep(self, index: int) -> None:
        """Put what is on the stack into the memo too."""
        self.memo[index] = self.stack[-1]

    def marked(self) -> list[Any]:
        """Take everything above the last mark off the stack."""
        at = self.marks.pop()
        found = self.stack[at:]
        del self.stack[at:]
        return found

    def last(self, count: int) -> list[Any]:
        """Take so many values off the stack."""
        if len(self.stack) < count:
            raise IndexError
        found = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return found

    def persistent(self) -> None:
        """What stands outside the pickle: nothing."""
        _refuse("refers to what stands outside it")

    def extend(self, items: Sequence[Any]) -> None:
        """Append to the list on the stack."""
        if type(self.stack[-1]) is not list:
            raise TypeError
        self.stack[-1].extend(items)

    def update(self, items: Sequence[Any]) -> None:
        """Put keys and values, in turn, into the dict on the stack."""
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_key(key)] = value

    def marked_dict(self) -> None:
        """A dict of everything above the last mark."""
        items = self.marked()
        self.push({})
        self.update(items)

    def named(self, module: str, name: str) -> Name:
        """A name, if it is one of those that are known."""
        found = Name(module, name)
        if found not in self.names:
            called = f"{ascii(module)[1:-1][:60]}.{ascii(name)[1:-1][:60]}"
            _refuse(f"wants {called}, which may be a program",
                    "plain values, numpy arrays and the options of cuda-convnet are read")  # fmt: skip
        return found

    def instance(self, of: Any) -> None:
        """An instance of a class of options, empty so far."""
        if of not in OPTIONS:
            raise TypeError
        self.push(Instance(of, {}))

    def object(self) -> None:
        """An instance of a class that is on the stack."""
        (of,) = self.marked()
        self.instance(of)

    def old_instance(self, name: str) -> None:
        """The same, with the class behind the instruction."""
        if self.marked():
            raise TypeError
        self.instance(self.named(*name.split(" ", 1)))

    def reduce(self) -> None:
        """Call what a name stands for here."""
        of, given = self.last(2)
        if type(given) is not tuple or type(of) is not Name:
            raise TypeError
        if of in RECONSTRUCT:
            if given[0] != NDARRAY or given[1] != (0,) or given[2] not in ("b", b"b"):
                raise ValueError
            array = np.empty(0, np.int8)
            self.unfilled[id(array)] = array
            self.push(array)
        elif of == DTYPE:
            code = given[0]
            if type(code) is not str or not CODES.fullmatch(code):
                _refuse(f"has an array of the kind {ascii(code)[:40] if type(code) is str else type(code).__name__}",
                        "whole numbers, floats, truth values and bytes are read")  # fmt: skip
            self.push(Kind(code))
        elif of in SCALAR:
            kind, raw = given
            raw = self.raw(raw)
            if len(raw) != kind.dtype().itemsize:
                raise ValueError
            self.push(np.frombuffer(raw, kind.dtype())[0].item())
        elif of == ENCODE:
            text, coding = given
            if coding != "latin1":
                raise ValueError
            self.push(self.raw(text))
        else:
            raise TypeError

    def raw(self, text: Any) -> bytes:
        """The bytes of a string of numbers, which count against the bytes of the file."""
        if type(text) not in (str, bytes):
            raise TypeError
        self.room -= len(text)
        if self.room < 0:
            _refuse("has more numbers than bytes")
        return text.encode("latin1") if type(text) is str else text

    def build(self) -> None:
        """Fill what is on the stack with its state."""
        target, state = self.last(2)
        if type(target) is np.ndarray:
            self.fill(target, state)
        elif type(target) is Kind:
            if (
                type(state) is not tuple
                or state[0] not in (2, 3, 4)
                or any(part for part in state[2:5])
                or state[8:] not in ((), (None,))
            ):
                _refuse("has an array of a kind that is read by nobody here", "structured kinds are not read")
            order = state[1]
            if order not in ("<", ">", "|", "="):
                raise ValueError
            target.order = order
        elif type(target) is Instance:
            if type(state) is not dict or not ATTRIBUTES.issuperset(state):
                raise TypeError
            target.state.update(state)
        else:
            raise TypeError
        self.push(target)

    def fill(self, array: np.ndarray, state: Any) -> None:
        """Give an array its shape, kind and numbers, all of which have to fit."""
        version, shape, kind, fortran, raw = state
        del self.unfilled[id(array)]
        dtype = kind.dtype()
        if version != 1 or type(shape) is not tuple or len(shape) > 32 or type(fortran) not in (bool, int):
            raise ValueError
        if not all(type(length) is int and 0 <= length < 1 << 40 for length in shape):
            raise ValueError
        if prod(shape) * dtype.itemsize != len(raw):
            _refuse(f"has an array of another size than it says ({len(raw):,} bytes)")
        state = 1, shape, dtype, bool(fortran), self.raw(raw)
        array.__setstate__(state)


class _TorchMachine(_Machine):
    """The machine for a pickle of ``torch.save``, whose numbers are members of the zip file.

    ``folder``: of the members, each called by a number.
    """

    def __init__(self, data: bytes, archive: ZipFile, folder: str) -> None:
        super().__init__(data)
        self.archive, self.folder = archive, folder
        self.storages: dict[str, np.ndarray] = {}

    names = NAMES | OF_TORCH

    def persistent(self) -> None:
        """A storage, in place of what the file says about it."""
        kind, of, key, _, count = self.stack.pop()
        if kind != "storage" or not re.fullmatch(r"\d{1,9}", key):
            raise ValueError
        if key not in self.storages:
            raw = self.archive.read(f"{self.folder}/{key}")
            self.storages[key] = np.frombuffer(raw, STORAGES[of.name])
        if self.storages[key].size != count or self.storages[key].dtype != np.dtype(STORAGES[of.name]):
            raise ValueError("a storage of another size than it says")
        self.push(self.storages[key])

    def reduce(self) -> None:
        """Call what a name stands for here: an empty ordered dict, a tensor, a parameter."""
        of, given = self.stack[-2:]
        if type(of) is not Name or of not in OF_TORCH:
            super().reduce()
            return
        self.last(2)
        if of == ORDERED and given == ():
            self.push({})
        elif of == PARAMETER and type(given[0]) is np.ndarray:
            self.push(given[0])
        elif of == TENSOR:
            self.push(self.tensor(*given[:4]))
        else:
            raise TypeError

    def tensor(self, storage: np.ndarray, offset: int, shape: Any, strides: Any) -> np.ndarray:
        """A view of a storage, all of which lies inside it."""
        numbers = (offset, *shape, *strides)
        if not all(type(number) is int and 0 <= number < 1 << 40 for number in numbers) or len(shape) != len(strides):
            raise ValueError
        last = offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
        if prod(shape) > storage.size or (prod(shape) and last >= storage.size):
            raise ValueError("a tensor outside its storage")
        steps = [step * storage.itemsize for step in strides]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)

    def build(self) -> None:
        """The attributes of an ordered dict, such as versions of modules, are dropped."""
        if type(self.stack[-2]) is dict and type(self.stack[-1]) is dict:
            self.last(1)
        else:
            super().build()


def _key(key: Any) -> str | int:
    """A key of a dict: str or int."""
    if type(key) is bytes:
        return key.decode("latin1")
    if type(key) not in (str, int, bool):
        raise TypeError
    return key


def _unquoted(line: bytes) -> str:
    """The text of a byte string in quotes."""
    line = line[:-1] if line.endswith(b"\n") else b""
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise ValueError
    return codecs.escape_decode(line[1:-1])[0].decode("latin1")


CONSTANTS = {"N": None, "\x88": True, "\x89": False, ")": ()}
_ARGUMENTS = {operation.code: operation.arg for operation in opcodes}
_INSTRUCTIONS: dict[str, Callable[..., object]] = {
    **{code: lambda m, value=value: m.push(value) for code, value in CONSTANTS.items()},
    **dict.fromkeys("IJKLMFGSTUVXBC\x8a\x8c\x8d\x8e", _Machine.value),
    **dict.fromkeys("pqr", _Machine.keep),
    **dict.fromkeys("ghj", lambda m, index: m.push(m.memo[index])),
    **dict.fromkeys("\x80\x95", lambda m, told: None),
    **{code: lambda m, n=n: m.push(tuple(m.last(n))) for n, code in enumerate("\x85\x86\x87", 1)},
    "(": lambda m: m.marks.append(len(m.stack)),
    "0": lambda m: m.last(1),
    "1": lambda m: m.marked(),
    "2": lambda m: m.push(m.stack[-1]),
    "]": lambda m: m.push([]),
    "l": lambda m: m.push(m.marked()),
    "a": lambda m: m.extend(m.last(1)),
    "e": lambda m: m.extend(m.marked()),
    "}": lambda m: m.push({}),
    "d": _Machine.marked_dict,
    "s": lambda m: m.update(m.last(2)),
    "u": lambda m: m.update(m.marked()),
    "t": lambda m: m.push(tuple(m.marked())),
    "\x94": lambda m: m.keep(len(m.memo)),
    "c": lambda m, name: m.push(m.named(*name.split(" ", 1))),
    "\x93": lambda m: m.push(m.named(*m.last(2))),
    "i": _Machine.old_instance,
    "o": _Machine.object,
    "R": lambda m: m.reduce(),
    "b": lambda m: m.build(),
    "Q": lambda m: m.persistent(),
}


def dumps(value: Any) -> bytes:
    """A value as a pickle of protocol 2 with byte strings, as Python 2 wrote it.

    ``value``: see `load`; arrays, dicts and instances that are shared stay shared.
    """
    out = bytearray(b"\x80\x02")
    _put(value, out, {})
    return bytes(out + b".")


def _put(value: Any, out: bytearray, seen: dict[int, tuple[int, Any]]) -> None:
    if id(value) in seen:
        out += b"j" + struct.pack("<I", seen[id(value)][0])
        return
    kind = type(value)
    if kind in (dict, np.ndarray, Instance):
        _put_shared(value, out, seen)
    elif value is None or kind is bool:
        out += {None: b"N", True: b"\x88", False: b"\x89"}[value]
    elif kind is int:
        out += b"J" + struct.pack("<i", value) if -(2**31) <= value < 2**31 else b"\x8a\x08" + struct.pack("<q", value)
    elif kind is float:
        out += b"G" + struct.pack(">d", value)
    elif kind is str and max(value, default="") > "\xff":
        text = value.encode()
        out += b"X" + struct.pack("<I", len(text)) + text
    elif kind in (str, bytes):
        text = value.encode("latin1") if kind is str else value
        out += (b"U" + bytes([len(text)]) if len(text) < 256 else b"T" + struct.pack("<i", len(text))) + text
    elif kind in (list, tuple):
        out += b"](" if kind is list else b"("
        for item in value:
            _put(item, out, seen)
        out += b"e" if kind is list else b"t"
    elif kind is Name:
        out += f"c{value.module}\n{value.name}\n".encode()
    else:
        raise TypeError(f"a pickle for Python 2 has no {kind.__name__}")


def _put_shared(value: Any, out: bytearray, seen: dict[int, tuple[int, Any]]) -> None:
    """What is put once and referred to later."""
    if type(value) is dict:
        out += b"}"
    elif type(value) is Instance:
        out += b"("
        _put(value.of, out, seen)
        out += b"o"
    else:
        out += b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R"
    seen[id(value)] = len(seen), value  # held, so that nothing else gets its identity
    out += b"r" + struct.pack("<I", seen[id(value)][0])
    if type(value) is dict:
        out += b"("
        for key, item in value.items():
            _put(key, out, seen)
            _put(item, out, seen)
        out += b"u"
    elif type(value) is Instance:
        _put(value.state, out, seen)
        out += b"b"
    else:
        code, order = value.dtype.str[1:], value.dtype.str[0].encode()
        fortran = value.flags.f_contiguous and not value.flags.c_contiguous
        out += b"(K\1"
        _put(value.shape, out, seen)
        out += b"cnumpy\ndtype\nU" + bytes([len(code)]) + code.encode() + b"K\0K\1\x87R(K\3U\1" + order
        sizes = (value.itemsize, 1) if value.dtype.kind == "S" else (-1, -1)
        out += (
            b"NNNJ" + struct.pack("<icic", sizes[0], b"J", sizes[1], b"K") + b"\0tb" + (b"\x88" if fortran else b"\x89")
        )
        out += b"T" + struct.pack("<i", value.nbytes)
        out += value.tobytes("F" if fortran else "C") + b"tb"
