"""Close the gaps before any test module imports mmagic."""

import logging
import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from mmengine.logging import MMLogger

import rggan_mm.plugin  # noqa: F401

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE / 'helpers'), str(_HERE.parent)]
# Real statistics that a user has cached are neither read nor written here.
_cache = tempfile.TemporaryDirectory(prefix='rggan_mm_cache_')
os.environ['XDG_CACHE_HOME'] = _cache.name
# Test processes share the cores (pytest -n auto), so nothing here may depend on time.
torch.set_num_threads(1)
settings.register_profile('rggan_mm', deadline=None, derandomize='CI' in os.environ)
settings.load_profile('rggan_mm')


def pytest_runtest_setup(item):
    if item.get_closest_marker('gpu') and not torch.cuda.is_available():
        pytest.skip('needs a GPU')


@pytest.fixture(autouse=True)
def _no_log_files_left_open():
    """MMEngine keeps the log of every run open; a process may open so many files only."""
    yield
    for logger in MMLogger._instance_dict.values():
        for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
            logger.removeHandler(handler)  # models write to what is there
            handler.close()
