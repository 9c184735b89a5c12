"""All faults that are known, by family of layers."""

from . import images, units, weights

FAULTS = (*weights.FAULTS, *images.FAULTS, *units.FAULTS)
