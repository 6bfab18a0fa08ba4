import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rggan_mm.datasets.transforms import DiffAugment, diff_augment
from rggan_mm.datasets.transforms.diffaug import parse_policy
from rggan_mm.errors import ConfigError

NAMES = ('color', 'translation', 'cutout')
POLICIES = st.lists(st.sampled_from(NAMES), unique=True).map(','.join)
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 12), st.integers(1, 12))
SEEDS = st.integers(0, 10_000)


def seeded(x, policy, seed=0):
    torch.manual_seed(seed)
    return diff_augment(x, policy)


def images(size, seed, dtype=torch.float32):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(dtype)


@given(SIZES, POLICIES, st.sampled_from([torch.float16, torch.bfloat16, torch.float64]), SEEDS)
def test_shape_and_dtype_are_kept(size, policy, dtype, seed):
    x = images(size, seed, dtype)
    before = x.clone()
    y = seeded(x, policy, seed)
    assert y.shape == x.shape
    assert y.dtype == dtype
    assert torch.isfinite(y).all()
    assert torch.equal(x, before)


@given(SIZES, SEEDS)
def test_translation_moves_within_the_image_or_to_zero(size, seed):
    x = images(size, seed)
    y = seeded(x, 'translation', seed)
    for before, after in zip(x, y, strict=True):
        kept = after[after != 0]
        assert torch.isin(kept, before).all()
    rows = int(size[2] * 0.125 + 0.5)
    columns = int(size[3] * 0.125 + 0.5)
    assert (y != 0).flatten(1).sum(1).min() >= size[1] * (size[2] - rows) * (size[3] - columns)


def test_translation_shifts_all_channels_of_an_image_alike():
    x = torch.arange(1.0, 17 * 16 + 1)[: 16 * 16].view(1, 1, 16, 16).repeat(8, 3, 1, 1)
    y = seeded(x, 'translation')
    assert torch.equal(y[:, 0], y[:, 2])
    assert len({image.numpy().tobytes() for image in y}) > 1


@given(SIZES, SEEDS)
def test_cutout_sets_one_rectangle_to_zero(size, seed):
    x = torch.ones(size)
    y = seeded(x, 'cutout', seed)
    assert set(y.unique().tolist()) <= {0.0, 1.0}
    for image in y[:, 0]:
        rows, columns = (image == 0).any(1), (image == 0).any(0)
        assert torch.equal(image == 0, rows[:, None] & columns[None])
        assert rows.sum() <= int(size[2] * 0.5 + 0.5)
        assert columns.sum() <= int(size[3] * 0.5 + 0.5)


@given(SIZES, SEEDS)
def test_color_keeps_grey_images_without_contrast_flat(size, seed):
    y = seeded(torch.full(size, 0.25), 'color', seed).flatten(1)
    assert torch.allclose(y, y[:, :1].expand_as(y), atol=1e-6)
    assert (y - 0.25).abs().max() <= 0.5 + 1e-6


@given(POLICIES, SEEDS)
def test_gradient_is_that_of_the_function(policy, seed):
    x = images((2, 3, 6, 5), seed, torch.float64).requires_grad_()
    weight = images((2, 3, 6, 5), seed + 1, torch.float64)
    (gradient,) = torch.autograd.grad((seeded(x, policy, seed) * weight).sum(), x)
    # Every augmentation is affine in x for given draws.
    step = images((2, 3, 6, 5), seed + 2, torch.float64)
    difference = seeded(x + step, policy, seed) - seeded(x, policy, seed)
    assert torch.allclose((difference * weight).sum(), (gradient * step).sum(), atol=1e-9)


@given(POLICIES)
def test_seed_decides_and_module_agrees(policy):
    x = images((3, 3, 8, 8), 0)
    torch.manual_seed(5)
    assert torch.equal(DiffAugment(policy)(x), seeded(x, policy, 5))


def test_nan_outside_does_not_leak_into_what_becomes_zero():
    x = torch.full((4, 1, 8, 8), float('nan'))
    y = seeded(x, 'cutout')
    assert (y == 0).flatten(1).sum(1).min() > 0


def test_empty_policy_gives_the_images_back():
    x = images((1, 3, 4, 4), 0)
    assert diff_augment(x, '') is x
    assert DiffAugment('')(x) is x


def test_policy_is_read_in_order_and_blanks_do_not_matter():
    assert parse_policy(' cutout , color') == ('cutout', 'color')
    assert repr(DiffAugment('color')) == "DiffAugment(policy='color')"


@pytest.mark.parametrize('policy', ['colour', 'color,', 'color;cutout', None, ['color'], 3])
def test_unknown_policy_lists_the_valid_names(policy):
    for make in (DiffAugment, lambda policy: diff_augment(torch.zeros(1, 3, 4, 4), policy)):
        with pytest.raises(ConfigError, match=r'color, ?translation, ?cutout'):
            make(policy)


def test_every_image_has_its_own_draws():
    x = torch.ones(16, 3, 8, 8) * torch.linspace(-1, 1, 8)
    for name in NAMES:
        assert len(np.unique(seeded(x, name).flatten(1).numpy(), axis=0)) > 1


def test_no_value_is_read_back_from_the_device():
    # A meta tensor has no values: reading one, as .item() or a branch would, raises.
    x = torch.empty(2, 3, 8, 8, device='meta')
    assert diff_augment(x).device.type == 'meta'
