"""Tools of the source tree: what only `make` calls, and no installed package holds."""
