"""All faults that are known, by family of layers: to add one, write it into the module of its family."""

from . import costs, image_ops, images, matrices, solver, units, weights

FAULTS = (
    *weights.FAULTS,
    *matrices.FAULTS,
    *solver.FAULTS,
    *images.FAULTS,
    *image_ops.FAULTS,
    *units.FAULTS,
    *costs.FAULTS,
)
