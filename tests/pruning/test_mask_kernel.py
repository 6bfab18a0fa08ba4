"""One kernel for mask, guard and masked weight: the same numbers as the plain functions."""

import os
import subprocess
import sys

import pytest
import torch

from rggan_mm.pruning.mask_kernel import MaskedWeight, mask_weight
from rggan_mm.pruning.masks import keep_mask

triton = pytest.importorskip('triton')
MIN_KEEP = 0.01
LAST = torch.channels_last
CASES = [  # shape, output channels, memory format
    ((8, 4, 3, 3), 0, None),
    ((8, 4, 3, 3), 0, LAST),
    ((8, 4, 3, 3), 1, None),
    ((8, 4, 3, 3), 1, LAST),
    ((300, 50), 0, None),
    ((3, 700), 0, None),
    ((40, 96, 3, 3), 0, None),
    ((1, 6, 4, 3, 3), 1, None),
]
STARTS = [0.0, 0.5, 2.0, 9.0, float('inf')]  # of thresholds; the last ones collapse


def check_all(device):
    """Compares the kernel with the plain functions; used in another process too."""
    torch.manual_seed(0)
    collapsed = 0
    for shape, dim, memory_format in CASES:
        for start in STARTS:
            for dtype in (torch.bool, torch.float32, torch.bfloat16):
                weight = torch.randn(shape, device=device)
                if memory_format:
                    weight = weight.contiguous(memory_format=memory_format)
                threshold = torch.rand(shape[dim], device=device) * 0.5 + start
                collapsed += check(weight, threshold, dim, dtype)
    assert 0 < collapsed < len(CASES) * len(STARTS) * 3


def check(weight, threshold, dim, dtype):
    """One weight, with a mask of a type, or a masked weight in bfloat16; did the guard act?"""
    half = dtype is torch.bfloat16
    view = [1] * weight.ndim
    view[dim] = -1
    kept = keep_mask(weight, threshold.view(view))
    acts = kept.sum() <= int(MIN_KEEP * weight.numel())
    if acts:
        kept = weight.abs() > 0
    expected = torch.zeros_like(threshold) if acts else threshold.clone()
    count = torch.zeros((), dtype=torch.int64, device=weight.device)
    counters = torch.zeros(2, dtype=torch.int32, device=weight.device)
    dtypes = (torch.float32, torch.bfloat16) if half else (dtype, torch.float32)
    masked, mask = mask_weight(weight, threshold, dim, MIN_KEEP, count, counters, *dtypes)
    assert (mask.dtype, masked.dtype) == dtypes
    assert masked.stride() == weight.stride()
    assert torch.equal(mask.bool(), kept)
    # Triton's interpreter cuts bfloat16 off where a GPU rounds.
    rtol = 2**-7 if half and not weight.is_cuda else 0
    product = (weight * kept).to(masked.dtype)
    torch.testing.assert_close(masked, product, rtol=rtol, atol=0)
    assert torch.equal(threshold, expected)
    assert count == int(acts)
    assert not counters.any()
    return bool(acts)


def test_in_tritons_interpreter():
    code = "import test_mask_kernel; test_mask_kernel.check_all('cpu')"
    environment = {**os.environ, 'TRITON_INTERPRET': '1'}
    folder = os.path.dirname(__file__)
    paths = os.pathsep.join([folder, os.path.dirname(os.path.dirname(folder))])
    environment['PYTHONPATH'] = os.pathsep.join([paths, environment.get('PYTHONPATH', '')])
    result = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True, text=True
    )
    if 'InterpreterError' in result.stderr:  # Triton 3.6 with NumPy 2.5
        pytest.skip(result.stderr.splitlines()[-1])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(('kept', 'masked'), [('u8', 'fp32'), ('fp32', 'bf16')])
def test_it_compiles_for_a_gpu_that_is_not_there(kept, masked):
    # The interpreter takes what the compiler refuses: a name whose shape changes in a loop.
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from rggan_mm.pruning.mask_program import _mask

    pointers = {'weights': 'fp32', 'thresholds': 'fp32', 'guard_count': 'i64', 'counters': 'i32'}
    pointers.update(kept=kept, masked=masked)
    constants = {'GUARDED': True, 'ROWS': 4, 'COLUMNS': 512}
    signature = {name: f'*{kind}' for name, kind in pointers.items()}
    signature.update(dict.fromkeys(['inner', 'size', 'channels', 'limit'], 'i32'))
    signature.update(dict.fromkeys(constants, 'constexpr'))
    names = _mask.arg_names
    source = ASTSource(_mask, {name: signature[name] for name in names}, constants)
    assert 'atom' in triton.compile(source, target=GPUTarget('cuda', 90, 32)).asm['ptx']


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu():
    check_all('cuda')


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_layer_larger_than_a_block_collapses_as_a_whole():
    weight = torch.randn(256, 256, 3, 3, device='cuda')
    assert check(weight, torch.full((256,), 5.0, device='cuda'), 0, torch.float32)
    assert not check(weight, torch.full((256,), 0.5, device='cuda'), 0, torch.float32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_gradients_of_any_order_go_through_the_mask():
    weight = torch.randn(8, 4, device='cuda', requires_grad=True)
    threshold = torch.full((8,), 0.5, device='cuda')
    count = torch.zeros((), dtype=torch.int64, device='cuda')
    counters = torch.zeros(2, dtype=torch.int32, device='cuda')
    masked, kept = MaskedWeight.apply(
        weight, threshold, 0, MIN_KEEP, count, counters, torch.float32, torch.float32
    )
    (gradient,) = torch.autograd.grad(masked.pow(3).sum(), weight, create_graph=True)
    torch.testing.assert_close(gradient, 3 * weight**2 * kept)
    (second,) = torch.autograd.grad(gradient.sum(), weight)
    torch.testing.assert_close(second, 6 * weight * kept)
