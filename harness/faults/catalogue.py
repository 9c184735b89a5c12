"""All faults that are known, by family of layers: to add one, write it into the module of its family."""

from . import images, units, weights

FAULTS = (*weights.FAULTS, *images.FAULTS, *units.FAULTS)
