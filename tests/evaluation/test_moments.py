import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rggan_mm.evaluation import FeatureMoments

CUTS = st.lists(st.integers(0, 40), max_size=4)


def features(count=40, dim=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, dim, generator=generator) * 3 + 10).to(dtype)


def moments(*parts):
    result = FeatureMoments(parts[0].size(1))
    for part in parts:
        result.update(part)
    return result


@given(CUTS, st.integers(0, 1000))
def test_batches_do_not_matter_and_numpy_agrees(cuts, seed):
    x = features(seed=seed)
    mean, cov = moments(*x.tensor_split(sorted(cuts))).mean_cov()
    assert np.allclose(mean, x.numpy().mean(0), rtol=1e-12)
    assert np.allclose(cov, np.cov(x.numpy(), rowvar=False), rtol=1e-9, atol=1e-9)


@given(st.integers(0, 40))
def test_merging_equals_seeing_all(cut):
    x = features()
    left, right = moments(x[:cut]), moments(x[cut:])
    left.merge(right)
    assert left.count == 40
    assert torch.allclose(left.state, moments(x).state, rtol=1e-12)


def test_half_precision_is_summed_in_double():
    x = features(count=3000, dtype=torch.float16)
    mean, _ = moments(x).mean_cov()
    assert mean.dtype == torch.float64
    assert torch.allclose(mean, x.double().mean(0), rtol=1e-12)


def test_memory_does_not_depend_on_the_count():
    small, large = moments(features(2)), moments(*[features(500)] * 10)
    assert small.state.shape == large.state.shape == (1 + 5 + 25,)
    assert large.count == 5000


def test_too_few_features_give_nan():
    mean, _ = FeatureMoments(3).mean_cov()
    assert mean.isnan().all()
    mean, cov = moments(features(1, 3)).mean_cov()
    assert mean.isfinite().all()
    assert not cov.isfinite().any()
