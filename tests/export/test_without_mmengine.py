"""Folding, packing and baking need PyTorch; MMEngine is imported where a config is read."""

import subprocess
import sys

CODE = """
import sys
for name in ('mmengine', 'mmcv', 'mmagic', 'safetensors'):
    sys.modules[name] = None
import torch
from rggan_mm.analysis import calling
from rggan_mm.export import baking, modulated, onnx_file
from rggan_mm.export.sizes import bytes_of
from rggan_mm.export.stock_weights import fold_away, kept_counts, plain_state
from rggan_mm.export.packing import pack
from rggan_mm.pruning import SparseNetwork
network = torch.nn.Sequential(torch.nn.Linear(8, 64))
sparse = SparseNetwork(network)
torch.nn.init.constant_(network[0].threshold, 0.2)
counts = kept_counts(sparse)
fold_away({'network': sparse})
tensors, _ = pack(plain_state(network.state_dict()))
print(counts['0'][0], tensors['packed.values'].numel(), *bytes_of(network))
"""


def test_a_network_of_your_own_is_folded_and_packed():
    done = subprocess.run([sys.executable, '-c', CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept, stored, *sizes = done.stdout.split()
    assert 0 < int(kept) == int(stored) < 8 * 64
    assert sizes == ['pth']  # the others need safetensors
