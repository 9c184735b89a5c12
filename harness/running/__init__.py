"""Runs steps through all engines and compares what they leave."""
