# distutils: language = c++
"""Matrix products over the (channels, y, x, images) layout, on SciPy's BLAS.

Letters: C channels, K channels of one group, F filters (all groups), S filter
side, I image side, M modules per side (output side), N images.

    images   (C, I, I, N)      filters (K, S*S, F)      acts (F, M, M, N)

BLAS thinks in columns, so each row-major matrix here is its transpose there: a
piece of one image row, all channels of a group, is the column-major matrix
(columns*N) x K with leading dimension I*I*N, without a copy.

Work is cut into units whose size does not depend on the number of threads, and
every element is summed by one unit in one order: results have the same bits for
any number of threads. BLAS itself must run on one thread (threads.py).
"""

from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset
from scipy.linalg.cython_blas cimport dgemm, sgemm

ctypedef fused real:
    float
    double

cdef struct Geometry:
    int K, S, F, I, M, N, padding, stride, groups, columns


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


cdef void begin_unit(Geometry* g, int row, int first, int last, const real* biases, bint shared, bint accumulate,
                     real* acts) noexcept nogil:
    """acts[:, row, first:last] = biases, or += biases; `shared` is one bias per filter, else one per output."""
    cdef Py_ssize_t f, x, n, module
    cdef real bias
    for f in range(g.F):
        for x in range(first, last):
            module = (f * g.M + row) * g.M + x
            bias = biases[f if shared else module]
            if accumulate:
                for n in range(module * g.N, (module + 1) * g.N):
                    acts[n] += bias
            else:
                for n in range(module * g.N, (module + 1) * g.N):
                    acts[n] = bias


# --- one filter tap at a time, nothing copied: stride 1 ------------------------------------------------------------


cdef void forward_unit(Geometry* g, int group, int row, int first, int last,
                       const real* images, const real* filters, real* acts) noexcept nogil:
    """Add taps to acts[group, row, first:last]: sum over p, q, K of filters[K, p, q] images[K, row+p, first+q :]."""
    cdef Py_ssize_t plane = <Py_ssize_t>g.I * g.I * g.N, acts_plane = <Py_ssize_t>g.M * g.M * g.N
    cdef int filters_here = g.F // g.groups, p, q, y, lo, hi
    images += group * g.K * plane
    acts += group * filters_here * acts_plane + <Py_ssize_t>row * g.M * g.N
    filters += group * filters_here
    for p in range(g.S):
        y = row - g.padding + p
        if y < 0 or y >= g.I:
            continue
        for q in range(g.S):
            lo = max(first, g.padding - q)
            hi = min(last, g.I + g.padding - q)
            if lo < hi:
                gemm[real](b"N", b"T", (hi - lo) * g.N, filters_here, g.K, 1,
                           images + (<Py_ssize_t>y * g.I + lo - g.padding + q) * g.N, <int>plane,
                           filters + <Py_ssize_t>(p * g.S + q) * g.F, g.S * g.S * g.F, 1,
                           acts + <Py_ssize_t>lo * g.N, <int>acts_plane)


cdef void images_unit(Geometry* g, int group, int row, int first, int last,
                      const real* grads, const real* filters, real* out) noexcept nogil:
    """out[group, row, first:last] = sum of all taps, the mirror image of forward_unit."""
    cdef Py_ssize_t plane = <Py_ssize_t>g.I * g.I * g.N, grads_plane = <Py_ssize_t>g.M * g.M * g.N
    cdef int filters_here = g.F // g.groups, k, p, q, y, lo, hi
    grads += group * filters_here * grads_plane
    out += group * g.K * plane + <Py_ssize_t>row * g.I * g.N
    filters += group * filters_here
    for k in range(g.K):
        memset(out + k * plane + <Py_ssize_t>first * g.N, 0, (last - first) * g.N * sizeof(real))
    for p in range(g.S):
        y = row + g.padding - p
        if y < 0 or y >= g.M:
            continue
        for q in range(g.S):
            lo = max(first, q - g.padding)
            hi = min(last, g.M + q - g.padding)
            if lo < hi:
                gemm[real](b"N", b"N", (hi - lo) * g.N, g.K, filters_here, 1,
                           grads + (<Py_ssize_t>y * g.M + lo + g.padding - q) * g.N, <int>grads_plane,
                           filters + <Py_ssize_t>(p * g.S + q) * g.F, g.S * g.S * g.F, 1,
                           out + <Py_ssize_t>lo * g.N, <int>plane)


def forward_taps(Geometry g, const real[::1] images, const real[::1] filters, const real[::1] biases, bint shared,
                 bint accumulate, real[::1] acts, int threads):
    """acts (+)= biases + filters * images, stride 1; a unit is a piece of one output row, `g.columns` wide."""
    cdef int pieces = (g.M + g.columns - 1) // g.columns, unit, row, first, last, group
    for unit in prange(g.M * pieces, nogil=True, num_threads=threads, schedule="dynamic"):
        row = unit // pieces
        first = unit % pieces * g.columns
        last = min(first + g.columns, g.M)
        begin_unit[real](&g, row, first, last, &biases[0], shared, accumulate, &acts[0])
        for group in range(g.groups):
            forward_unit[real](&g, group, row, first, last, &images[0], &filters[0], &acts[0])


def images_taps(Geometry g, const real[::1] grads, const real[::1] filters, real[::1] out, int threads):
    """out = adjoint of forward_taps; a unit is a piece of one image row, `g.columns` wide."""
    cdef int pieces = (g.I + g.columns - 1) // g.columns, unit, first
    for unit in prange(g.groups * g.I * pieces, nogil=True, num_threads=threads, schedule="dynamic"):
        first = unit % pieces * g.columns
        images_unit[real](&g, unit // pieces // g.I, unit // pieces % g.I, first, min(first + g.columns, g.I),
                          &grads[0], &filters[0], &out[0])


cdef void filters_unit(Geometry* g, int group, int tap, int k0, int k1, int row,
                       const real* images, const real* grads, real* out) noexcept nogil:
    """Add one output row to out[k0:k1, tap, filters of the group]."""
    cdef Py_ssize_t plane = <Py_ssize_t>g.I * g.I * g.N, grads_plane = <Py_ssize_t>g.M * g.M * g.N
    cdef int filters_here = g.F // g.groups, p = tap // g.S, q = tap % g.S
    cdef int y = row - g.padding + p
    cdef int lo = max(0, g.padding - q), hi = min(g.M, g.I + g.padding - q)
    if y < 0 or y >= g.I or lo >= hi:
        return
    gemm[real](b"T", b"N", filters_here, k1 - k0, (hi - lo) * g.N, 1,
               grads + group * filters_here * grads_plane + (<Py_ssize_t>row * g.M + lo) * g.N, <int>grads_plane,
               images + (group * g.K + k0) * plane + (<Py_ssize_t>y * g.I + lo - g.padding + q) * g.N, <int>plane, 1,
               out + (<Py_ssize_t>k0 * g.S * g.S + tap) * g.F + group * filters_here, g.S * g.S * g.F)


def filters_taps(Geometry g, const real[::1] images, const real[::1] grads, real[::1] out, int block, int threads):
    """out += filter gradient (stride 1). Rows one after the other; a unit is one tap and `block` channels."""
    cdef int pieces = (g.K + block - 1) // block, taps = g.S * g.S, row, unit, k0
    with nogil:
        for row in range(g.M):
            for unit in prange(g.groups * pieces * taps, num_threads=threads, schedule="dynamic"):
                k0 = unit // taps % pieces * block
                filters_unit[real](&g, unit // taps // pieces, unit % taps, k0, min(k0 + block, g.K), row,
                                   &images[0], &grads[0], &out[0])


# --- patch matrices: any stride, few channels ----------------------------------------------------------------------


cdef void fill_patches(Geometry* g, const real* images, int row, int first, int last, real* patches) noexcept nogil:
    """patches[(k, p, q), (x, n)] = images[k, stride row - padding + p, stride x - padding + q, n] or 0, for a span."""
    cdef Py_ssize_t width = (last - first) * g.N
    cdef int k, p, q, y, x, j
    for k in range(g.K):
        for p in range(g.S):
            y = g.stride * row - g.padding + p
            for q in range(g.S):
                for j in range(first, last):
                    x = g.stride * j - g.padding + q
                    if 0 <= y < g.I and 0 <= x < g.I:
                        memcpy(patches + (j - first) * g.N, images + ((<Py_ssize_t>k * g.I + y) * g.I + x) * g.N,
                               g.N * sizeof(real))
                    else:
                        memset(patches + (j - first) * g.N, 0, g.N * sizeof(real))
                patches += width


cdef void forward_patch_unit(Geometry* g, int group, int row, int first, int last, const real* images,
                             const real* filters, real* acts, real* patches) noexcept nogil:
    """Add filters * images to acts[group, row, first:last]."""
    cdef int width = (last - first) * g.N, filters_here = g.F // g.groups
    cdef Py_ssize_t plane = <Py_ssize_t>g.I * g.I * g.N, acts_plane = <Py_ssize_t>g.M * g.M * g.N
    fill_patches[real](g, images + group * g.K * plane, row, first, last, patches)
    gemm[real](b"N", b"T", width, filters_here, g.K * g.S * g.S, 1, patches, width,
               filters + group * filters_here, g.F, 1,
               acts + group * filters_here * acts_plane + (<Py_ssize_t>row * g.M + first) * g.N, <int>acts_plane)


def forward_patches(Geometry g, const real[::1] images, const real[::1] filters, const real[::1] biases, bint shared,
                    bint accumulate, real[::1] acts, real[:, ::1] scratch, int threads):
    """acts (+)= biases + filters * images; a unit is a piece of one output row: its patch matrix, then one product.

    scratch: (threads, K*S*S * columns*N), here and in filters_patches.
    """
    cdef int pieces = (g.M + g.columns - 1) // g.columns, unit, row, first, last, group
    for unit in prange(g.M * pieces, nogil=True, num_threads=threads, schedule="dynamic"):
        row = unit // pieces
        first = unit % pieces * g.columns
        last = min(first + g.columns, g.M)
        begin_unit[real](&g, row, first, last, &biases[0], shared, accumulate, &acts[0])
        for group in range(g.groups):
            forward_patch_unit[real](&g, group, row, first, last, &images[0], &filters[0], &acts[0],
                                     &scratch[threadid(), 0])


cdef void filters_patch_unit(Geometry* g, int group, int row, int first, int last, const real* images,
                             const real* grads, real* out, real* patches) noexcept nogil:
    """Add a piece of one output row to out[:, filters of the group]."""
    cdef int width = (last - first) * g.N, filters_here = g.F // g.groups
    cdef Py_ssize_t plane = <Py_ssize_t>g.I * g.I * g.N, grads_plane = <Py_ssize_t>g.M * g.M * g.N
    fill_patches[real](g, images + group * g.K * plane, row, first, last, patches)
    gemm[real](b"T", b"N", filters_here, g.K * g.S * g.S, width, 1,
               grads + group * filters_here * grads_plane + (<Py_ssize_t>row * g.M + first) * g.N, <int>grads_plane,
               patches, width, 1, out + group * filters_here, g.F)


def filters_patches(Geometry g, const real[::1] images, const real[::1] grads, real[:, ::1] out,
                    real[:, ::1] scratch, int threads):
    """Filter gradient in len(out) parts, to be added up; a unit is a part: a block of output rows."""
    cdef int parts = <int>out.shape[0], pieces = (g.M + g.columns - 1) // g.columns, part, row, piece, first, group
    for part in prange(parts, nogil=True, num_threads=threads, schedule="dynamic"):
        for row in range(part * g.M // parts, (part + 1) * g.M // parts):
            for piece in range(pieces):
                first = piece * g.columns
                for group in range(g.groups):
                    filters_patch_unit[real](&g, group, row, first, min(first + g.columns, g.M), &images[0],
                                             &grads[0], &out[part, 0], &scratch[threadid(), 0])


cdef void add_patches(Geometry* g, const real* patches, int row, int k, int p, real* out) noexcept nogil:
    """The adjoint of fill_patches for one output row and the filter row (k, p): out += patches."""
    cdef int y = g.stride * row - g.padding + p, q, x, j
    cdef Py_ssize_t n
    cdef const real* source
    cdef real* target
    if y < 0 or y >= g.I:
        return
    for q in range(g.S):
        for j in range(g.M):
            x = g.stride * j - g.padding + q
            if 0 <= x < g.I:
                source = patches + (<Py_ssize_t>((k * g.S + p) * g.S + q) * g.M + j) * g.N
                target = out + ((<Py_ssize_t>k * g.I + y) * g.I + x) * g.N
                for n in range(g.N):
                    target[n] += source[n]


def images_patches(Geometry g, const real[::1] grads, const real[::1] filters, real[::1] out, real[::1] patches,
                   int threads):
    """out += image gradient. One output row after the other: the gradient of its patch matrix, then where it belongs.

    patches: K*S*S * M*N. In the second step a unit is one filter row, so that no two write the same image row.
    """
    cdef int pieces = (g.M + g.columns - 1) // g.columns, group, row, unit, first
    cdef int filters_here = g.F // g.groups, taps = g.K * g.S * g.S
    cdef Py_ssize_t plane = <Py_ssize_t>g.I * g.I * g.N, grads_plane = <Py_ssize_t>g.M * g.M * g.N
    with nogil:
        for group in range(g.groups):
            for row in range(g.M):
                for unit in prange(pieces, num_threads=threads, schedule="dynamic"):
                    first = unit * g.columns
                    gemm[real](b"N", b"N", (min(first + g.columns, g.M) - first) * g.N, taps, filters_here, 1,
                               &grads[0] + group * filters_here * grads_plane + (<Py_ssize_t>row * g.M + first) * g.N,
                               <int>grads_plane, &filters[0] + group * filters_here, g.F, 0,
                               &patches[<Py_ssize_t>first * g.N], g.M * g.N)
                for unit in prange(g.K * g.S, num_threads=threads):
                    add_patches[real](&g, &patches[0], row, unit // g.S, unit % g.S, &out[0] + group * g.K * plane)
