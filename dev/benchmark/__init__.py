"""Runs timed against each other: what tools/benchmark.py is made of."""
