# Devices: the CPU, or one that is implemented in Python. Included by _binding.pxi.

import traceback

from cpython.exc cimport PyErr_Fetch, PyErr_Restore
from cpython.ref cimport PyObject
from libc.stdint cimport uintptr_t


cdef extern from "host/callback_device.h":
    cdef struct DeviceCalls:
        void* self
        int (*allocate)(void*, size_t, float**) except -1 with gil
        int (*release)(void*, float*) noexcept with gil
        int (*copyIn)(void*, float*, const float*, size_t) except -1 with gil
        int (*copyOut)(void*, float*, const float*, size_t) except -1 with gil
        int (*copyWithin)(void*, float*, const float*, size_t) except -1 with gil
        int (*forget)(void*, float*, size_t) except -1 with gil
        int (*launch)(void*, const LaunchRecord*) except -1 with gil
        int (*gemm)(void*, char, char, const int*, float, const float*, const float*, float, float*) except -1 with gil

    cdef cppclass CallbackDevice(Device):
        CallbackDevice(const DeviceCalls&)


cdef extern from "Python.h":
    int check_signals "PyErr_CheckSignals"() noexcept


cdef int interrupted() noexcept with gil:
    """The CPU device calls this between blocks: not 0 once a signal handler has raised, whose exception is then set."""
    return check_signals()


cdef class Home:
    """Owns a device; every object that holds memory of the device holds its Home."""
    cdef Device* device
    cdef object implementation

    def __cinit__(self, int threads, implementation=None):
        self.implementation = implementation
        if implementation is None:
            self.device = new CpuDevice(<Sgemm> sgemm, interrupted, threads)
        else:
            self.device = new CallbackDevice(device_calls(implementation))

    def __dealloc__(self):
        del self.device


cdef class Launch:
    """A launch record while the device runs it.

    Attributes
    ----------
    kernel : str
        The instance, with its template arguments.
    grid, block : (int, int, int)
    kinds : str
        A letter for each argument: P pointer, i int, f float, ? bool, as in module `struct`.
    values : list
        The arguments; pointers as addresses.
    """
    cdef const LaunchRecord* record
    cdef readonly str kernel, kinds
    cdef readonly tuple grid, block
    cdef readonly list values

    def run_on_cpu(self, list values, first, count):
        """Run ``count`` = (x, y, z) blocks of the grid from block ``first`` on, on the CPU, with other arguments."""
        cdef vector[Arg] args = self.record.args
        cdef CBlock block
        cdef size_t i
        cdef int x, y, z
        for i in range(args.size()):
            if args[i].kind == 0:
                args[i].pointer = <const void*> <uintptr_t> values[i]
            elif args[i].kind == 1:
                args[i].integer = values[i]
            elif args[i].kind == 2:
                args[i].real = values[i]
            else:
                args[i].flag = values[i]
        block.gridX, block.gridY, block.gridZ = self.grid
        for z in range(first[2], first[2] + count[2]):
            for y in range(first[1], first[1] + count[1]):
                for x in range(first[0], first[0] + count[0]):
                    block.x, block.y, block.z = x, y, z
                    self.record.run(block, args.data())


cdef object launch_of(const LaunchRecord* record):
    cdef Launch launch = Launch()
    cdef vector[Arg] args = record.args
    cdef Arg arg
    launch.record = record
    launch.kernel = record.kernel.decode()
    launch.grid = (record.grid.x, record.grid.y, record.grid.z)
    launch.block = (record.block.x, record.block.y, record.block.z)
    launch.kinds = "".join(["Pif?"[arg.kind] for arg in args])
    launch.values = [<uintptr_t> arg.pointer if arg.kind == 0 else argument_value(arg) for arg in args]
    return launch


cdef object host_array(const float* data, size_t elements):
    """Memory of the host as a one-dimensional array, for as long as the call lasts."""
    cdef cnp.npy_intp[1] shape
    shape[0] = <cnp.npy_intp> elements
    return cnp.PyArray_SimpleNewFromData(1, shape, cnp.NPY_FLOAT32, <void*> data)


cdef DeviceCalls device_calls(implementation) noexcept:
    """The operations of a device that is a Python object.

    allocate(elements) -> address; release(address); copy_in(address, array); copy_out(array, address);
    copy_within(to, source, elements); forget(address, elements); launch(Launch);
    gemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc). Addresses are integers; what they point to
    is the device's business. An exception passes through the C++ code to whoever called it.
    """
    cdef DeviceCalls calls
    calls.self = <void*> <PyObject*> implementation
    calls.allocate = device_allocate
    calls.release = device_release
    calls.copyIn = device_copy_in
    calls.copyOut = device_copy_out
    calls.copyWithin = device_copy_within
    calls.forget = device_forget
    calls.launch = device_launch
    calls.gemm = device_gemm
    return calls


cdef int device_allocate(void* device, size_t elements, float** data) except -1 with gil:
    data[0] = <float*> <uintptr_t> (<object> <PyObject*> device).allocate(elements)
    return 0


cdef int device_release(void* device, float* data) noexcept with gil:
    """Also called while an exception is on its way, which is kept; this cannot raise another one."""
    cdef PyObject* kind
    cdef PyObject* value
    cdef PyObject* trace
    PyErr_Fetch(&kind, &value, &trace)
    try:
        (<object> <PyObject*> device).release(<uintptr_t> data)
    except BaseException:
        traceback.print_exc()
    PyErr_Restore(kind, value, trace)
    return 0


cdef int device_copy_in(void* device, float* to, const float* source, size_t elements) except -1 with gil:
    (<object> <PyObject*> device).copy_in(<uintptr_t> to, host_array(source, elements))
    return 0


cdef int device_copy_out(void* device, float* to, const float* source, size_t elements) except -1 with gil:
    (<object> <PyObject*> device).copy_out(host_array(to, elements), <uintptr_t> source)
    return 0


cdef int device_copy_within(void* device, float* to, const float* source, size_t elements) except -1 with gil:
    (<object> <PyObject*> device).copy_within(<uintptr_t> to, <uintptr_t> source, elements)
    return 0


cdef int device_forget(void* device, float* data, size_t elements) except -1 with gil:
    (<object> <PyObject*> device).forget(<uintptr_t> data, elements)
    return 0


cdef int device_launch(void* device, const LaunchRecord* record) except -1 with gil:
    (<object> <PyObject*> device).launch(launch_of(record))
    return 0


cdef int device_gemm(void* device, char trans_a, char trans_b, const int* sizes, float alpha, const float* a,
                     const float* b, float beta, float* c) except -1 with gil:
    m, n, k, lda, ldb, ldc = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    (<object> <PyObject*> device).gemm(chr(trans_a), chr(trans_b), m, n, k, alpha, <uintptr_t> a, lda, <uintptr_t> b,
                                       ldb, beta, <uintptr_t> c, ldc)
    return 0
