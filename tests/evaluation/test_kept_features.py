import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import run_together

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.kept_features import KeptFeatures

TOTALS = st.integers(1, 40)
WORLD = 3
CASES = [(11, 5), (2, 2), (7, 1), (6, 100)]  # total and limit: ranks hold unequal parts or none


def features_of(indices, dim=3):
    """Features that tell which image they are of."""
    return indices[:, None] * 10.0 + torch.arange(dim)


def filled(total, limit, order=None, cuts=()):
    kept = KeptFeatures(total, limit, dim=3)
    order = torch.arange(total) if order is None else order
    for part in order.tensor_split(sorted(cuts)):
        kept.update(features_of(part), part)
    return kept


@given(TOTALS, TOTALS, st.lists(st.integers(0, 40), max_size=3), st.integers(0, 1000))
def test_keeps_a_fixed_choice_by_index_whatever_the_order(total, limit, cuts, seed):
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    found = filled(total, limit, order, cuts).features()
    chosen = np.sort(np.random.RandomState(0).permutation(total)[:limit])
    assert found.shape == (min(total, limit), 3)
    assert torch.equal(found, features_of(torch.from_numpy(chosen)))


def test_the_choice_is_the_same_everywhere_and_spread_out():
    found = filled(1000, 100).features()[:, 0] / 10
    assert found[:5].tolist() == [1, 14, 27, 31, 45]
    assert 400 < found.mean() < 600
    assert found.diff().max() < 60


def test_the_global_random_streams_are_left_alone():
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    filled(20, 10)
    assert np.array_equal(before, np.random.get_state()[1])
    assert torch.equal(torch_before, torch.get_rng_state())


def test_gives_only_what_it_has_seen():
    kept = KeptFeatures(10, 10, dim=3)
    assert kept.features().shape == (0, 3)
    indices = torch.tensor([7, 2])
    kept.update(features_of(indices), indices)
    kept.update(torch.empty(0, 3), torch.empty(0, dtype=torch.int64))
    assert torch.equal(kept.features(), features_of(torch.tensor([2, 7])))


@pytest.mark.parametrize('dtype', [torch.float16, torch.float64])
def test_features_are_float32(dtype):
    kept = KeptFeatures(4, 4, dim=3)
    kept.update(features_of(torch.arange(4)).to(dtype), torch.arange(4))
    assert kept.features().dtype == torch.float32


def test_not_kept_images_may_hold_anything_and_kept_nan_stays():
    chosen = filled(10, 3).features()[:, 0] / 10
    features = torch.full((10, 3), float('nan'))
    features[chosen.long()] = 1
    kept = KeptFeatures(10, 3, dim=3)
    kept.update(features, torch.arange(10))
    assert torch.equal(kept.features(), torch.ones(3, 3))
    kept.update(torch.full((10, 3), float('nan')), torch.arange(10))
    assert kept.features().isnan().all()


@pytest.mark.parametrize(
    ('total', 'limit', 'field'), [(0, 1, 'total'), (5, 0, 'kept'), (5, 2.0, 'kept')]
)
def test_bad_counts(total, limit, field):
    with pytest.raises(ConfigError, match=rf'^{field} .* but got'):
        KeptFeatures(total, limit, dim=3)


def one_process(rank, folder):
    found = []
    for total, limit in CASES:
        kept = KeptFeatures(total, limit, dim=3)
        share = torch.arange(rank, total, WORLD)
        kept.update(features_of(share), share)
        kept.all_gather()
        found.append(kept.features())
    torch.save(found, folder / f'{rank}.pth')


def test_processes_gather_what_one_would_keep(tmp_path):
    run_together(one_process, tmp_path, WORLD)
    for rank in range(WORLD):
        found = torch.load(tmp_path / f'{rank}.pth', weights_only=True)
        for (total, limit), features in zip(CASES, found, strict=True):
            assert torch.equal(features, filled(total, limit).features())
