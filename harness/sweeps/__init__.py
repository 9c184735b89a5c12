"""Many comparisons on many machines: `spec` says which, `part` runs one, `run` all of them, `page` shows what came."""
