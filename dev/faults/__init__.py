"""Trials of what a training run survives: what tools/fault_test.py is made of."""
