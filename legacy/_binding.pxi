# The binding: NumPy in, a call without the GIL, refusals out. Compiled once per instruction set (_legacy_strict.pyx,
# _legacy_v3.pyx, ...); checks that need no C++ are in the public .py files.

cimport cython
from libcpp cimport bool as cbool
from libcpp.deque cimport deque
from libcpp.map cimport map as cmap
from libcpp.string cimport string
from libcpp.utility cimport move
from libcpp.vector cimport vector
from scipy.linalg.cython_blas cimport sgemm

cimport numpy as cnp
import numpy as np

from .errors import Refused

cnp.import_array()


cdef extern from "host/errors.h":
    cdef cppclass CRefused "Refused":
        string problem, expected, actual, hint

    const CRefused* refusalAtHand() noexcept
    void throwOn() except +


cdef int refused() except -1:
    """Turns the C++ exception that is being handled into one of Python, a refusal with its parts."""
    cdef const CRefused* refusal = refusalAtHand()
    if refusal == NULL:
        throwOn()
    else:
        raise Refused(refusal.problem.decode(), refusal.expected.decode(), refusal.actual.decode(),
                      refusal.hint.decode())
    return 0


cdef extern from "host/build_info.h":
    string moduleInstructionSet()
    string bestInstructionSet()
    string compilerVersion()
    cbool contractsMultiplyAdd()


cdef extern from "host/launch.h":
    cdef cppclass Dim3:
        int x, y, z

    cdef cppclass Arg:
        int kind
        const void* pointer
        int integer
        float real
        cbool flag

    cdef cppclass CBlock "Block":
        int x, y, z
        int gridX, gridY, gridZ

    ctypedef void (*BlockFunction)(const CBlock&, const Arg*) noexcept

    cdef cppclass LaunchRecord:
        string kernel, rule, layer
        string passName "pass"
        Dim3 grid, block
        int sharedBytes
        vector[Arg] args
        BlockFunction run
        double seconds


cdef extern from "host/quirks.h":
    cdef cppclass Switch "Quirks::Switch":
        const char* name
        cbool on

    cdef cppclass Quirks:
        @staticmethod
        vector[Switch] all()
        void set(const string&, cbool) except +refused


cdef extern from "host/device.h":
    cbool compiledWithOpenMP()

    ctypedef void (*Sgemm)(char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*, float*, int*)

    ctypedef int (*Interrupted)() noexcept

    cdef cppclass Device:
        size_t logging
        deque[LaunchRecord] log
        Quirks quirks
        cbool sharesHostMemory()
        void copyIn(float* device, const float* host, size_t elements) except +refused nogil
        void copyOut(float* host, const float* device, size_t elements) except +refused nogil

    cdef cppclass CpuDevice(Device):
        CpuDevice(Sgemm, Interrupted, int threads)


cdef extern from "host/matrix.h":
    cdef cppclass Matrix:
        Matrix()
        Matrix(Device&, int rows, int cols, cbool trans) except +refused
        @staticmethod
        Matrix fromHost(Device&, float*, int rows, int cols, cbool trans, int stride) except +refused
        int rows()
        int cols()
        cbool isTrans()
        cbool isContiguous()
        long size()
        float* data()
        void copyFrom(const Matrix&) except +refused
        cbool isView()


cdef extern from "host/entry_points.h":
    cdef cppclass Arguments:
        Arguments()
        cmap[string, Matrix] matrices
        cmap[string, double] scalars
        cmap[string, const int*] indices
        cmap[string, string] words
        int generation

    cdef cppclass EntryFunction:
        void call "operator()"(Device&, Arguments&) except +refused nogil

    cmap[string, EntryFunction]& entryPoints()


def build_info():
    """Facts of this build: instruction set, whether a*b + c is fused, compiler, OpenMP."""
    return {"isa": moduleInstructionSet().decode(), "best_isa": bestInstructionSet().decode(),
            "fma": bool(contractsMultiplyAdd()), "compiler": compilerVersion().decode(),
            "openmp": bool(compiledWithOpenMP())}


def quirks():
    """The switches of this build and where they stand."""
    cdef vector[Switch] switches = Quirks.all()
    return {switch.name.decode(): bool(switch.on) for switch in switches}


cdef int set_quirks(Device* device, dict quirks) except -1:
    for name, on in quirks.items():
        device.quirks.set(name.encode(), on)
    return 0


def entry_names():
    """Names of the entry points in this build."""
    return sorted(item.first.decode() for item in entryPoints())


cdef object argument_value(const Arg& arg):
    if arg.kind == 0:
        return "pointer"
    if arg.kind == 1:
        return arg.integer
    return arg.real if arg.kind == 2 else bool(arg.flag)


cdef list launch_dicts(Device* device):
    """The device's log as plain dictionaries."""
    return [{"kernel": r.kernel.decode(), "grid": (r.grid.x, r.grid.y, r.grid.z),
             "block": (r.block.x, r.block.y, r.block.z), "shared_bytes": r.sharedBytes,
             "args": [argument_value(a) for a in r.args], "rule": r.rule.decode(),
             "layer": r.layer.decode(), "pass": r.passName.decode(), "seconds": r.seconds}
            for r in device.log]


cdef Matrix host_matrix(Device& device, array, bint trans) except *:
    """A float32 array that `_call.matrix` has checked, row- or column-major with any stride: a view, or a copy."""
    cdef cnp.ndarray a = array
    cdef Py_ssize_t following = a.strides[1] if trans else a.strides[0]
    cdef Py_ssize_t count = a.shape[1] if trans else a.shape[0]
    cdef int stride = 0 if count <= 1 or not a.size else <int> (following // 4)
    cdef Matrix m = Matrix.fromHost(device, <float*> a.data, <int> a.shape[0], <int> a.shape[1], trans, stride)
    return move(m)


cdef object matrix_array(Matrix& m, Device& device):
    """A new NumPy array with the contents of a contiguous matrix."""
    out = np.empty((m.rows(), m.cols()), np.float32, order="F" if m.isTrans() else "C")
    cdef cnp.ndarray a = out
    if m.size():
        device.copyOut(<float*> a.data, m.data(), m.size())
    return out


def call(str name, dict inputs, dict targets, dict scalars, dict tables, dict words, int generation, int threads,
         device, dict quirks, size_t logging):
    """Run an entry point on the CPU, or on a device implemented in Python (see `device_calls`).

    inputs: name -> (array, trans), read through views. targets: name -> (array or None, trans),
    copied in (None: an empty matrix). Returns ({name: array of each target}, the newest `logging` launch records).
    """
    cdef Home home = Home(threads, device)
    set_quirks(home.device, quirks)
    home.device.logging = logging
    return call_on(home.device, name, inputs, targets, scalars, tables, words, generation)


cdef object call_on(Device* device, str name, dict inputs, dict targets, dict scalars, dict tables, dict words,
                    int generation):
    """`call` on a device that outlives every matrix made here."""
    cdef Arguments args
    cdef Matrix old
    cdef Matrix* target
    cdef EntryFunction function
    args.generation = generation
    for key, (array, trans) in inputs.items():
        args.matrices[key.encode()] = move(host_matrix(device[0], array, trans))
    for key, (array, trans) in targets.items():
        target = &args.matrices[key.encode()]
        target[0] = move(Matrix(device[0], 0, 0, trans))
        if array is not None:
            old = host_matrix(device[0], array, trans)
            target[0].copyFrom(old)
    for key, value in scalars.items():
        args.scalars[key.encode()] = value
    for key, table in tables.items():
        target = &args.matrices[b"table " + key.encode()]          # the same 32 bits, wherever the device keeps them
        target[0] = move(host_matrix(device[0], table.reshape(1, -1).view(np.float32), False))
        args.indices[key.encode()] = <const int*> target.data()
    for key, value in words.items():
        args.words[key.encode()] = value.encode()
    function = entryPoints()[name.encode()]
    with nogil:
        function.call(device[0], args)
    outputs = {key: matrix_array(args.matrices[key.encode()], device[0]) for key in targets}
    return outputs, launch_dicts(device)


include "_binding_device.pxi"
include "_binding_network.pxi"
