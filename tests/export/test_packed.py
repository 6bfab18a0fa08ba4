"""Packed weights: what comes back, how large the file is, and what is refused."""

import json
import subprocess
import sys

import pytest
import torch
from exporting import train_half
from safetensors import safe_open
from safetensors.torch import save_file
from tool_modules import load_command
from torch import nn

from rggan_mm.export.packed import load_packed
from rggan_mm.export.weight_files import save_packed, save_pth


def half_pruned(share=0.5):
    """A generator's weights, of which a share is 0."""
    torch.manual_seed(0)
    layers = [nn.Linear(32, 512), nn.Conv2d(32, 64, 3), nn.ConvTranspose2d(64, 33, 5, groups=1)]
    state = nn.Sequential(*layers, nn.BatchNorm2d(33)).state_dict()
    for value in state.values():
        if value.ndim > 1:
            value[torch.rand(value.shape) < share] = 0
    return state


@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 1.0])
def test_what_comes_back_is_what_was_packed(tmp_path, share):
    state = half_pruned(share)
    save_packed(tmp_path / 'packed', state, {})
    found = load_packed(tmp_path / 'packed')
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_others_may_read_the_file_as_any_other(tmp_path):
    save_packed(tmp_path / 'packed', half_pruned(), {})
    save_pth(tmp_path / 'plain.pth', half_pruned())
    assert (tmp_path / 'packed').stat().st_mode == (tmp_path / 'plain.pth').stat().st_mode


def test_half_precision_keeps_the_places_and_rounds_the_values(tmp_path):
    state = half_pruned()
    state['0.weight'][0, 0] = 1e-9  # 0 in half precision
    save_packed(tmp_path / 'packed', state, {}, half=True)
    found = load_packed(tmp_path / 'packed')
    assert torch.equal(found['0.weight'], state['0.weight'].half().float())
    assert torch.equal(found['0.bias'], state['0.bias'])


@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_the_file_is_as_small_as_the_kept_share_allows(tmp_path, share):
    state = half_pruned(share)
    weights = [value for value in state.values() if value.ndim > 1]
    kept = sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)
    save_pth(tmp_path / 'dense', state)
    dense = (tmp_path / 'dense').stat().st_size
    for half in (False, True):
        save_packed(tmp_path / 'packed', state, {}, half=half)
        size = (tmp_path / 'packed').stat().st_size
        assert size <= ((kept / 2 if half else kept) + 1 / 32 + 0.02) * dense


def test_the_bound_holds_with_the_metadata_of_a_small_network(tmp_path, monkeypatch):
    train_half(tmp_path, model__generator__base_channels=16)
    files = [str(tmp_path / name) for name in ('config.py', 'sparse.pth')]
    for name in ('dense.pth', 'small.packed'):
        monkeypatch.setattr('sys.argv', ['export', *files, '-o', str(tmp_path / name)])
        assert load_command('export').main() == 0
    with safe_open(tmp_path / 'small.packed', 'pt') as file:
        metadata = file.metadata()
    assert 'config' not in metadata
    assert json.loads(metadata['evaluation'])['digits/n_fake'] == 20
    kept = json.loads(metadata['keep_ratio'])['generator_ema']
    assert kept == pytest.approx(0.5, abs=0.01)
    size, dense = ((tmp_path / name).stat().st_size for name in ('small.packed', 'dense.pth'))
    assert size <= (kept + 1 / 32 + 0.02) * dense


def test_other_files_are_refused(tmp_path):
    save_file({'weight': torch.ones(2)}, tmp_path / 'plain')
    with pytest.raises(ValueError, match='is not packed'):
        load_packed(tmp_path / 'plain')


def test_the_loader_is_one_file_that_needs_torch_and_safetensors_alone(tmp_path):
    from rggan_mm.export import packed

    save_packed(tmp_path / 'file', half_pruned(), {})
    code = (
        f"import runpy, sys; found = runpy.run_path({packed.__file__!r})['load_packed']"
        f'({str(tmp_path / "file")!r}); '
        "print(len(found), *{'mmengine', 'mmagic', 'rggan_mm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.split() == [str(len(half_pruned()))], done.stderr
