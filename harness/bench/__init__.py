"""Seconds of a training step, layer by layer."""
