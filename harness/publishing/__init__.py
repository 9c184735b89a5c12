"""A run as a package that somebody else can check: `pack` writes it, `verify` checks it."""
