# distutils: language = c++
"""Convolution: threads over units of work, inner loops in _conv.h. Arguments are not checked here.

Letters as in conv.py. Which sums a unit forms does not depend on the number of threads, so that the results have the
same bits for any number.
"""

from cython.parallel cimport prange, threadid

ctypedef fused real:
    float
    double

cdef extern from "_conv.h" namespace "rosetta" nogil:
    const int UNIT, TILES, ROWS, DEPTH, POINTS

    struct Conv:
        int K, S, F, I, M, N, padding, stride, groups

    cppclass Cut:
        Cut(int side, int N, int most)
        int units()

    cppclass Target[T]:
        T* out
        const T* biases
        int shared, accumulate

    Py_ssize_t round_up(Py_ssize_t, Py_ssize_t)
    int panels_of(int)
    bint by_blocks(int, int)
    int most_tiles(int, int)
    void block_row[T](int, int, int, int, int, const T*, T*)
    void block_unit[T](const Conv&, bint, int, const T*, const T*, const Target[T]&, T*)
    void direct_panel[T](const Conv&, bint, int, int, const T*, T*)
    void direct_unit[T](const Conv&, bint, int, const T*, const T*, const Target[T]&, T*)
    void direct_filters[T](const Conv&, int, int, const T*, const T*, T*, T*)
    void direct_filters_sum[T](const Conv&, int, int, const T*, T*)
    void winograd_panel[T](const Conv&, bint, int, int, const T*, T*)
    void winograd_unit[T](const Conv&, bint, int, const T*, const T*, const T*, const Target[T]&, T*)
    void winograd_filters[T](const Conv&, int, int, const T*, const T*, T*, T*)
    void winograd_filters_sum[T](const Conv&, int, int, const T*, T*)


def room(Conv g, bint back, bint winograd, int itemsize):
    """Values that `convolve` needs: of packed filters, of blocks, and of scratch for each thread."""
    cdef int rows = g.K if back else g.F // g.groups, strip = 128 // itemsize
    cdef Py_ssize_t depth = g.F // g.groups if back else g.K, side = g.M if back else g.I
    cdef Py_ssize_t filters = g.groups * g.S * g.S * rows * depth
    if winograd:
        return g.groups * POINTS * rows * depth, 0, POINTS * TILES * (depth + rows)
    if not by_blocks(g.N, strip // 2):
        return filters, 0, UNIT * (DEPTH + rows)
    return filters, g.groups * depth * side * side * round_up(g.N, strip), most_tiles(rows, strip) * rows * strip


def convolve(Conv g, bint back, bint winograd, const real[::1] images, const real[::1] filters, const real[::1] biases,
             bint shared, bint accumulate, real[::1] out, real[::1] panels, real[::1] blocks, real[:, ::1] scratch,
             int threads):
    """out (+)= biases + filters * images, or, `back`, its adjoint: the image gradient of `images`, which are gradients.

    biases may be empty; panels, blocks and scratch: as `room` says, scratch once for each thread.
    """
    cdef int side = g.I if back else g.M, rows = g.K if back else g.F // g.groups, i
    cdef int depth = g.F // g.groups if back else g.K, below = g.M if back else g.I, units
    cdef int panels_of_group = panels_of(rows), strip = 128 // <int>sizeof(real)
    cdef bint blocked = blocks.shape[0] > 0
    if winograd:
        units = Cut((side + 1) // 2, g.N, TILES).units()
    elif blocked:
        units = Cut(side, (g.N + strip - 1) // strip, most_tiles(rows, strip)).units()
    else:
        units = Cut(side, g.N, UNIT).units()
    cdef Target[real] target
    target.out, target.biases = &out[0], &biases[0] if biases.shape[0] else NULL
    target.shared, target.accumulate = shared, accumulate
    with nogil:
        for i in prange(g.groups * panels_of_group, num_threads=threads):
            if winograd:
                winograd_panel(g, back, i // panels_of_group, i % panels_of_group, &filters[0], &panels[0])
            else:
                direct_panel(g, back, i // panels_of_group, i % panels_of_group, &filters[0], &panels[0])
        for i in prange(below if blocked else 0, num_threads=threads):
            block_row(g.groups, depth, below, g.N, i, &images[0], &blocks[0])
        for i in prange(units, num_threads=threads, schedule="dynamic"):
            if winograd:
                winograd_unit(g, back, i, &images[0], &filters[0], &panels[0], target,
                              &scratch[threadid(), 0])
            elif blocked:
                block_unit(g, back, i, &blocks[0], &panels[0], target, &scratch[threadid(), 0])
            else:
                direct_unit(g, back, i, &images[0], &panels[0], target, &scratch[threadid(), 0])


def room_for_filters(Conv g, bint winograd, int itemsize):
    """Values that `filter_gradient` needs: of one part, of blocks, and of scratch for each thread."""
    cdef Py_ssize_t strip = 128 // itemsize, filters = round_up(g.F // g.groups, strip)
    if winograd:
        return g.groups * POINTS * filters * g.K, 0, UNIT * (POINTS * (g.K + ROWS) + (POINTS + 4) * filters)
    return g.groups * filters * g.K * g.S * g.S, g.groups * g.K * g.I * g.I * round_up(g.N, strip), UNIT * filters


def filter_gradient(Conv g, bint winograd, const real[::1] images, const real[::1] grads, real[::1] out,
                    real[:, ::1] parts, real[::1] blocks, real[:, ::1] scratch, int threads):
    """out = gradient with respect to the filters; parts, blocks and scratch: as `room_for_filters` says."""
    cdef int count = <int>parts.shape[0], i
    with nogil:
        for i in prange(0 if winograd else g.I, num_threads=threads):
            block_row(g.groups, g.K, g.I, g.N, i, &images[0], &blocks[0])
        for i in prange(count, num_threads=threads, schedule="dynamic"):
            if winograd:
                winograd_filters(g, i, count, &images[0], &grads[0], &parts[i, 0], &scratch[threadid(), 0])
            else:
                direct_filters(g, i, count, &blocks[0], &grads[0], &parts[i, 0], &scratch[threadid(), 0])
        for i in prange(g.K, num_threads=threads):
            if winograd:
                winograd_filters_sum(g, i, count, &parts[0, 0], &out[0])
            else:
                direct_filters_sum(g, i, count, &parts[0, 0], &out[0])
