# distutils: language = c++
"""The memory-bound layers: threads over independent pieces, inner loops in _loops.h. Arguments are not checked here."""

from cython.parallel cimport prange, threadid

ctypedef fused real:
    float
    double

cdef extern from *:
    """
    #ifdef _OPENMP
    static const int rosetta_has_openmp = 1;
    #else
    static const int rosetta_has_openmp = 0;
    #endif
    """
    const bint rosetta_has_openmp

cdef extern from "_loops.h" namespace "rosetta" nogil:
    const int NORM_BLOCK

    struct Pool:
        int I, O, N, size, stride, start

    struct Norm:
        int C, size, blocked
        Py_ssize_t plane
        double scale, power, min_div

    void c_update "rosetta::update"[T](T*, T*, const T*, T, T, T, T, bint, Py_ssize_t)
    void c_relu_forward "rosetta::relu_forward"[T](const T*, T*, Py_ssize_t)
    void c_relu_backward "rosetta::relu_backward"[T](const T*, const T*, T*, Py_ssize_t)
    void c_max_pool_forward "rosetta::max_pool_forward"[T](const Pool&, const T*, T*)
    void c_max_pool_backward "rosetta::max_pool_backward"[T](const Pool&, const T*, const T*, const T*, T*)
    void c_avg_pool_forward "rosetta::avg_pool_forward"[T](const Pool&, const T*, T*)
    void c_avg_pool_backward "rosetta::avg_pool_backward"[T](const Pool&, const T*, T*)
    void c_cmrnorm_forward "rosetta::cmrnorm_forward"[T](const Norm&, const T*, T*, T*, int)
    void c_cmrnorm_backward "rosetta::cmrnorm_backward"[T](
        const Norm&, const T*, const T*, const T*, const T*, T*, T*, int)

cdef enum:
    PIECE = 16384  # values of one unit of an elementwise loop


def has_openmp():
    """True if this module was compiled with OpenMP."""
    return bool(rosetta_has_openmp)


def relu_forward(const real[::1] x, real[::1] y, int threads):
    """y = x < 0 ? 0 : x."""
    cdef Py_ssize_t first, count = x.shape[0]
    for first in prange(0, count, PIECE, nogil=True, num_threads=threads, schedule="dynamic"):
        c_relu_forward(&x[first], &y[first], min(<Py_ssize_t>PIECE, count - first))


def relu_backward(const real[::1] y, const real[::1] dy, real[::1] dx, int threads):
    """dx = dy * (y > 0)."""
    cdef Py_ssize_t first, count = y.shape[0]
    for first in prange(0, count, PIECE, nogil=True, num_threads=threads, schedule="dynamic"):
        c_relu_backward(&y[first], &dy[first], &dx[first], min(<Py_ssize_t>PIECE, count - first))


def update(real[::1] w, real[::1] d, const real[::1] g, real eps, real mom, real decay, real step, bint decoupled,
           int threads):
    """One step of weights w and increments d; g: gradients, or of no length."""
    cdef Py_ssize_t first, count = w.shape[0]
    cdef bint given = g.shape[0] > 0
    for first in prange(0, count, PIECE, nogil=True, num_threads=threads, schedule="dynamic"):
        c_update(&w[first], &d[first], &g[first] if given else NULL, eps, mom, decay, step, decoupled,
                 min(<Py_ssize_t>PIECE, count - first))


def max_pool_forward(Pool pool, const real[:, ::1] images, real[:, ::1] acts, int threads):
    """Arrays with one row per channel, here and below."""
    cdef Py_ssize_t c
    for c in prange(images.shape[0], nogil=True, num_threads=threads, schedule="dynamic"):
        c_max_pool_forward(pool, &images[c, 0], &acts[c, 0])


def max_pool_backward(Pool pool, const real[:, ::1] images, const real[:, ::1] acts, const real[:, ::1] dacts,
                      real[:, ::1] dimages, int threads):
    """dimages = gradient."""
    cdef Py_ssize_t c
    for c in prange(images.shape[0], nogil=True, num_threads=threads, schedule="dynamic"):
        c_max_pool_backward(pool, &images[c, 0], &acts[c, 0], &dacts[c, 0], &dimages[c, 0])


def avg_pool_forward(Pool pool, const real[:, ::1] images, real[:, ::1] acts, int threads):
    """acts = average of each window."""
    cdef Py_ssize_t c
    for c in prange(images.shape[0], nogil=True, num_threads=threads, schedule="dynamic"):
        c_avg_pool_forward(pool, &images[c, 0], &acts[c, 0])


def avg_pool_backward(Pool pool, const real[:, ::1] dacts, real[:, ::1] dimages, int threads):
    """dimages = gradient."""
    cdef Py_ssize_t c
    for c in prange(dacts.shape[0], nogil=True, num_threads=threads, schedule="dynamic"):
        c_avg_pool_backward(pool, &dacts[c, 0], &dimages[c, 0])


def cmrnorm_forward(Norm norm, const real[:, ::1] images, real[:, ::1] acts, real[:, ::1] denoms, int threads):
    """acts and denoms; a unit is NORM_BLOCK neighbouring columns."""
    cdef Py_ssize_t first
    for first in prange(0, norm.plane, NORM_BLOCK, nogil=True, num_threads=threads):
        c_cmrnorm_forward(norm, &images[0, first], &acts[0, first], &denoms[0, first],
                          <int>min(<Py_ssize_t>NORM_BLOCK, norm.plane - first))


def cmrnorm_backward(Norm norm, const real[:, ::1] images, const real[:, ::1] acts, const real[:, ::1] denoms,
                     const real[:, ::1] dacts, real[:, ::1] dimages, real[:, ::1] scratch, int threads):
    """dimages; scratch: (threads, C * norm_block())."""
    cdef Py_ssize_t first
    for first in prange(0, norm.plane, NORM_BLOCK, nogil=True, num_threads=threads):
        c_cmrnorm_backward(norm, &images[0, first], &acts[0, first], &denoms[0, first], &dacts[0, first],
                           &dimages[0, first], &scratch[threadid(), 0],
                           <int>min(<Py_ssize_t>NORM_BLOCK, norm.plane - first))


def norm_block():
    """Columns in one unit of cmrnorm_backward."""
    return NORM_BLOCK
