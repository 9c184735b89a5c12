"""The engine of 2012 without fused multiply-adds, beside the one that this machine chooses."""

from alexnet_rosetta.harness.engines.legacy import LegacyCpu
from alexnet_rosetta.legacy import use_isa


class Strict(LegacyCpu):
    """The strict build."""

    name = "strict"

    def open(self, network, threads):
        """A session of the strict module."""
        with use_isa("strict"):
            return super().open(network, threads)

    def arithmetic(self):
        """That of the strict module."""
        with use_isa("strict"):
            return super().arithmetic()
