"""Layers as the parser makes them, with a few keys."""

from alexnet_rosetta.port.config import LayerSpec


def layer(name, kind, *inputs, outputs=5, **keys):
    """A layer of a type, above others, with the given values."""
    return LayerSpec(name, kind, inputs, outputs, keys, {}, "text", 0)
