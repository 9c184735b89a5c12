"""The command line: options, and what a terminal shows of a run."""
