"""All faults that are known, by family of layers: to add one, write it into the module of its family."""

from . import image_ops, images, joins, likelihoods, matrices, neurons, solver, squares, weights, windows

FAULTS = (
    *weights.FAULTS,
    *matrices.FAULTS,
    *solver.FAULTS,
    *images.FAULTS,
    *windows.FAULTS,
    *image_ops.FAULTS,
    *neurons.FAULTS,
    *joins.FAULTS,
    *likelihoods.FAULTS,
    *squares.FAULTS,
)
