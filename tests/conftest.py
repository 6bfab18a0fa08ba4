"""Close the gaps before any test module imports mmagic."""

import os
import sys
from pathlib import Path

import torch
from hypothesis import settings

import rggan_mm  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
# Test processes share the cores (pytest -n auto), so nothing here may depend on time.
torch.set_num_threads(1)
settings.register_profile('rggan_mm', deadline=None, derandomize='CI' in os.environ)
settings.load_profile('rggan_mm')
