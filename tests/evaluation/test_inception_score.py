import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.inception_score import ScoreSums

SEEDS = st.integers(0, 2**31)


def logits_of(count, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(count, classes, generator=generator)


def sums(logits, splits, order=None, cuts=()):
    """Fill sums in the given order of images, in batches that end at ``cuts``."""
    result = ScoreSums(logits.size(1), len(logits), splits)
    order = torch.arange(len(logits)) if order is None else order
    for part in order.tensor_split(sorted(cuts)):
        result.update(logits[part], part)
    return result


def naive(logits, splits):
    """Image by image, as in the paper's formula."""
    scores = []
    for k in range(splits):
        part = logits[k * len(logits) // splits : (k + 1) * len(logits) // splits].tolist()
        weights = [[math.exp(value) for value in row] for row in part]
        p = np.array([[w / sum(row) for w in row] for row in weights])
        scores.append(math.exp(np.mean([np.sum(row * np.log(row / p.mean(0))) for row in p])))
    return np.mean(scores), np.std(scores)


@given(st.integers(1, 30), st.data(), SEEDS)
def test_equals_the_formula_for_any_batches_in_any_order(total, data, seed):
    splits = data.draw(st.integers(1, total))
    cuts = data.draw(st.lists(st.integers(0, total), max_size=3))
    logits = logits_of(total, seed=seed)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    found = sums(logits, splits, order, cuts).result()
    assert found == pytest.approx(naive(logits, splits), rel=1e-9, abs=1e-9)


@given(st.integers(1, 4))
def test_shares_of_processes_add_up(world):
    logits = logits_of(23)
    ranks = [ScoreSums(4, 23, 5) for _ in range(world)]
    for rank, one in enumerate(ranks):
        share = torch.arange(rank, 23, world)
        one.update(logits[share], share)
    ranks[0].state += sum(one.state for one in ranks[1:])
    assert ranks[0].result() == pytest.approx(sums(logits, 5).result(), rel=1e-12, abs=1e-12)


def test_one_all_reduce_sums_everything(monkeypatch):
    logits = logits_of(9)
    here, there = ScoreSums(4, 9, 2), ScoreSums(4, 9, 2)
    here.update(logits[:3], torch.arange(3))
    there.update(logits[3:], torch.arange(3, 9))
    calls = []

    def add_there(tensor):
        calls.append(tensor.shape)
        tensor += there.state

    monkeypatch.setattr('rggan_mm.evaluation.inception_score.all_reduce', add_there)
    here.all_reduce()
    assert calls == [(2 * 6,)]
    assert here.result() == pytest.approx(sums(logits, 2).result(), rel=1e-12)


@given(st.integers(1, 500), st.data())
def test_every_image_is_in_its_split(total, data):
    splits = data.draw(st.integers(1, min(total, 40)))
    counts = sums(torch.zeros(total, 1), splits).state.view(splits, 3)[:, -1]
    bounds = [k * total // splits for k in range(splits + 1)]
    assert counts.tolist() == np.diff(bounds).tolist()
    last = sums(torch.zeros(total, 1), splits, order=torch.tensor([total - 1]))
    assert last.state.view(splits, 3)[:, -1].tolist() == [0] * (splits - 1) + [1]


def test_certain_and_diverse_gives_the_number_of_classes():
    certain = torch.eye(5).log().repeat(4, 1)  # 0 and -inf
    assert sums(certain, 2).result() == pytest.approx((5, 0))


def test_all_alike_gives_one():
    assert sums(logits_of(1).expand(20, 4), 4).result() == pytest.approx((1, 0))


def test_half_precision_is_summed_in_double():
    logits = logits_of(200).half()
    assert sums(logits, 10).result() == pytest.approx(naive(logits, 10), rel=1e-12)


def test_memory_does_not_depend_on_the_count():
    scores = ScoreSums(4, 100_000, 10)
    for start in range(0, 1000, 100):
        scores.update(logits_of(100), torch.arange(start, start + 100))
    assert scores.state.shape == (10 * 6,)


def test_nan_gives_nan():
    logits = logits_of(10)
    logits[3, 1] = float('nan')
    assert all(math.isnan(value) for value in sums(logits, 2).result())


def test_a_split_without_images_gives_nan():
    scores = ScoreSums(4, 10, 2)
    scores.update(logits_of(5), torch.arange(5))
    assert all(math.isnan(value) for value in scores.result())


@pytest.mark.parametrize('splits', [0, -1, 11, 2.0, True])
def test_bad_number_of_splits(splits):
    with pytest.raises(ConfigError, match=rf'^is_splits .*{splits}$'):
        ScoreSums(4, 10, splits)
