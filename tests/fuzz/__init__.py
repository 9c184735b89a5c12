"""Seeded fuzzers: `python -m tests.fuzz.NAME --seconds 60 --seed 1`, or `make fuzz` for all of them."""
