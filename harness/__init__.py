"""Runs engines side by side, judges, times and reports."""
