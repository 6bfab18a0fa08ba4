"""One command that gives every figure of a GPU: what dev/gpu_check.py is made of."""
