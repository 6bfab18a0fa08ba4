"""Masks, straight-through gradient, regulariser, guard: against their definitions."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings
from torch import nn

from rggan_mm.pruning import SparseNetwork, masks
from rggan_mm.pruning.masks import (
    count_kept,
    exceeds,
    has_collapsed,
    keep_mask,
    regularizer,
    regularizer_gradients,
    ste_mask,
    threshold_shape,
)


def surrogate(x: float) -> float:
    """The estimator's definition, written out."""
    if abs(x) <= 0.4:
        return 2 - 4 * abs(x)
    return 0.4 if abs(x) <= 1 else 0.0


@given(st.floats(-3, 3), st.floats(-1, 2))
def test_ste_derivative(weight, threshold):
    w = torch.tensor([[weight]], dtype=torch.float64, requires_grad=True)
    t = torch.tensor([threshold], dtype=torch.float64, requires_grad=True)
    mask = ste_mask(w, t, [1, 1])
    mask.sum().backward()
    expected = surrogate(abs(weight) - threshold)
    assert mask.item() == float(abs(weight) > threshold)
    assert math.isclose(t.grad.item(), -expected, abs_tol=1e-12)
    assert math.isclose(w.grad.item(), expected * ((weight > 0) - (weight < 0)), abs_tol=1e-12)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**31 - 1))
def test_mask_is_the_definition_for_every_channel(outputs, inputs, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, 3, generator=generator)
    thresholds = torch.rand(outputs, generator=generator)
    mask = keep_mask(weight, thresholds, [outputs, 1, 1])
    for channel in range(outputs):
        assert torch.equal(mask[channel], weight[channel].abs() > thresholds[channel])
    assert torch.equal(mask.float(), ste_mask(weight, thresholds, [outputs, 1, 1]))


def test_thresholds_of_grouped_transposed_convolution_meet_their_channels():
    layer = nn.ConvTranspose2d(4, 6, 1, groups=2, bias=False)
    thresholds = torch.full((6,), -1.0)
    thresholds[4] = 100.0
    shape = threshold_shape(layer, layer.weight, 1)
    mask = keep_mask(layer.weight, thresholds, shape)
    with torch.no_grad():
        layer.weight.mul_(mask)
    output = layer(torch.ones(1, 4, 1, 1)).flatten()
    assert output[4] == 0
    assert (output[[0, 1, 2, 3, 5]] != 0).all()


def test_regularizer_value_and_gradients_are_one_function():
    thresholds = [torch.tensor([0.0, 1.0]), torch.zeros(1)]
    assert math.isclose(
        regularizer(thresholds, 0.5).item(), 0.5 * (1 + math.exp(-1) + 1), rel_tol=1e-6
    )
    gradients = regularizer_gradients(thresholds, 0.5)
    assert all(
        torch.allclose(gradient, -0.5 * torch.exp(-t))
        for gradient, t in zip(gradients, thresholds, strict=True)
    )


@example(99, 0.9899999999999999)
@example(1, 0.01)
@given(st.integers(0, 100), st.floats(0, 0.99))
def test_a_layer_has_collapsed_at_or_below_its_limit(kept, min_keep):
    mask = torch.arange(100) < kept
    assert has_collapsed(mask, min_keep).item() == (kept <= min_keep * 100)
    assert has_collapsed(mask.float(), min_keep).item() == (kept <= min_keep * 100)


@pytest.mark.parametrize('value', [math.inf, math.nan])
def test_guard_mends_a_threshold_that_is_not_finite(value):
    network = nn.Sequential(nn.Linear(4, 2))
    sparse = SparseNetwork(network, min_keep=0.01)
    sparse.layers['0'].threshold.data.fill_(value)
    network(torch.ones(1, 4))
    assert torch.equal(sparse.layers['0'].threshold, torch.zeros(2))
    assert sparse.keep_ratio() == 1


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_are_the_mask_in_every_precision(dtype):
    generator = torch.Generator().manual_seed(0)
    size = torch.randn(6, 70, 300, generator=generator).abs().to(dtype)
    thresholds = torch.rand(6, generator=generator).to(dtype)
    numbers = exceeds(size, thresholds, [6, 1, 1])
    assert numbers.dtype == dtype
    assert torch.equal(numbers.bool(), size > thresholds.view(6, 1, 1))
    # 126,000 weights: float16 ends at 65,504 and does not count beyond 2,048.
    assert count_kept(numbers) == torch.count_nonzero(numbers) == count_kept(numbers.bool())
    exceeds(size, thresholds, [6, 1, 1], in_place=True)
    assert torch.equal(size, numbers)


def test_large_layers_are_counted_exactly(monkeypatch):
    monkeypatch.setattr(masks, '_EXACT_IN_FLOAT32', 10)
    numbers = torch.ones(11)
    numbers[3] = 0
    count = count_kept(numbers)
    assert count == 10
    assert not count.is_floating_point()
