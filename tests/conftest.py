"""Close the gaps before any test module imports mmagic."""

import sys
from pathlib import Path

import torch

import rggan_mm  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
# Test processes share the cores (pytest -n auto).
torch.set_num_threads(1)
