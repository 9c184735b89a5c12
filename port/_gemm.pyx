# distutils: language = c++
"""Matrix products on SciPy's BLAS, a thread a block of columns.

BLAS thinks in columns, so each row-major matrix is its transpose there. A unit of work does not depend on the number of
threads: results have the same bits for any number. BLAS itself must run on one thread (threads.py).
"""

from cython.parallel cimport prange
from scipy.linalg.cython_blas cimport dgemm, sgemm

ctypedef fused real:
    float
    double

cdef inline void gemm(char transa, char transb, int m, int n, int k, real alpha, const real* a, int lda,
                      const real* b, int ldb, real beta, real* c, int ldc) noexcept nogil:
    """Column-major c = alpha op(a) op(b) + beta c."""
    if real is float:
        sgemm(&transa, &transb, &m, &n, &k, &alpha, <float*>a, &lda, <float*>b, &ldb, &beta, c, &ldc)
    else:
        dgemm(&transa, &transb, &m, &n, &k, &alpha, <double*>a, &lda, <double*>b, &ldb, &beta, c, &ldc)


def product(str transa, str transb, const real[::1] a, const real[::1] b, real[::1] c, int m, int n, int k,
            double alpha, double beta, int block, int threads):
    """Column-major c = alpha op(a) op(b) + beta c, dense; `block` columns of c are one unit of work."""
    cdef char ta = ord(transa), tb = ord(transb)
    cdef int lda = m if ta == b"N" else k, ldb = k if tb == b"N" else n
    cdef Py_ssize_t step = ldb if tb == b"N" else 1
    cdef int blocks = (n + block - 1) // block, unit
    cdef Py_ssize_t first
    for unit in prange(blocks, nogil=True, num_threads=threads, schedule="dynamic"):
        first = <Py_ssize_t>unit * block
        gemm[real](ta, tb, m, min(block, <int>(n - first)), k, <real>alpha, &a[0], lda,
                   &b[first * step], ldb, <real>beta, &c[first * m], m)
