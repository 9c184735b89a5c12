"""The modern Python port of the 2012 engine."""
