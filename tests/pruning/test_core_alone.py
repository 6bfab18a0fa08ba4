"""The core needs PyTorch alone, and is imported without anything else."""

import subprocess
import sys

BLOCKED = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('mmengine', 'mmcv', 'mmagic'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""
USE = """
import sys, torch
def show(before):
    print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))
before = set(sys.modules)
from rggan_mm.pruning import RGGAN
show(before)
network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3))
RGGAN({'generator': network}, {'generator': torch.optim.Adam(network.parameters())})
network(torch.ones(1, 3, 4, 4)).sum().backward()
show(before)
"""


def run(code):
    """Packages that are loaded beyond PyTorch: after the import, after a step backwards."""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_no_other_library_is_loaded():
    others = {'mmengine', 'mmcv', 'mmagic', 'torchvision', 'scipy', 'matplotlib', 'PIL', 'cv2'}
    imported, used = run(USE)
    assert 'rggan_mm' in imported
    assert not others & set(used)
    # It takes longer than the core; the first mask on a GPU loads it, or PyTorch.
    assert 'triton' not in imported


def test_it_works_without_the_openmmlab_libraries():
    imported, _ = run(BLOCKED + USE)
    assert 'rggan_mm' in imported
