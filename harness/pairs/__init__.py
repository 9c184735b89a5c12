"""Judges what is no network: arrays, functions and files of arrays, by the rule of the verdict (docs/own-arrays.md)."""
