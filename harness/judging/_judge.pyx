# distutils: language = c++
"""The judge's pass over the data, in _judge.h: counts of matrices against their reference, without the GIL."""

cimport numpy as cnp
from libc.stdint cimport int64_t

cnp.import_array()

cdef extern from "_judge.h" namespace "rosetta" nogil:
    const int BINS

    struct Operand:
        const char* data
        Py_ssize_t row, column
        bint single

    cppclass Counts:
        int64_t differing, outside, nonfinite, loose, ulps, signs
        double boundSquares, referenceSquares, low, high, sum, notices, share, actual, reference, bound
        int64_t histogram[50]
        Py_ssize_t row, column

    void add_matrix(const Operand*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Counts&)


cdef class Tally:
    """What was counted so far; see `Finding` for what the counts mean."""
    cdef Counts counts

    def add(self, list operands, Py_ssize_t row, Py_ssize_t column):
        """Count a matrix.

        Parameters
        ----------
        operands : list of ndarray
            Reference, actual, magnitude, slope and floor: float32 or float64, (rows, columns), any strides.
        row, column : int
            Where the matrix begins in the tensor.
        """
        cdef Operand parts[5]
        cdef cnp.ndarray array = operands[0]
        cdef Py_ssize_t rows = array.shape[0], columns = array.shape[1]
        for k in range(5):
            array = operands[k]
            if array.ndim != 2 or array.shape[0] != rows or array.shape[1] != columns or array.dtype.char not in "fd":
                raise ValueError(f"tally: expected float matrices of {rows}x{columns}; actual {array.dtype}")
            parts[k] = Operand(<char*> array.data, array.strides[0], array.strides[1], array.dtype.char == "f")
        with nogil:
            add_matrix(parts, rows, columns, row, column, self.counts)

    @property
    def found(self):
        """All counts, dict of str to int or float; ``histogram`` is a tuple, ``at`` the worst element's place."""
        cdef Counts* c = &self.counts
        return {
            "differing": c.differing, "outside": c.outside, "nonfinite": c.nonfinite, "loose": c.loose,
            "ulps": c.ulps, "signs": c.signs, "bound_squares": c.boundSquares,
            "reference_squares": c.referenceSquares, "low": c.low, "high": c.high, "sum": c.sum, "notices": c.notices,
            "share": c.share, "at": (c.row, c.column),
            "worst": (c.actual, c.reference, c.bound), "histogram": tuple([c.histogram[k] for k in range(BINS)]),
        }
