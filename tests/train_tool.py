"""tools/train.py as a module."""

import importlib.util

from tiny import ROOT

TRAIN = ROOT / 'tools' / 'train.py'
_spec = importlib.util.spec_from_file_location('train', TRAIN)
train = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(train)
