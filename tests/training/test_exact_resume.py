"""A run that was stopped and resumed ends where the uninterrupted run ends, bit for bit."""

import json

import pytest
import torch
from exact_runs import ITERATIONS, OPTIONS, train
from run_state import assert_same
from tiny import tiny_runner


def histories(folder):
    """The files of evaluations."""
    return [
        json.loads((folder / name).read_text())
        for name in ('evaluations.json', 'phase_history.json')
    ]


@pytest.mark.parametrize(
    ('mode', 'workers', 'iterations'),
    [
        ('ste', 0, [2, 5]),
        pytest.param('published', 0, range(1, ITERATIONS), marks=pytest.mark.slow),
        pytest.param('published', 2, [3, 6], marks=pytest.mark.slow),
    ],
)
def test_resumed_anywhere_a_run_ends_as_the_uninterrupted_one(tmp_path, mode, workers, iterations):
    options = {'DynamicPruningHook.mode': mode, 'train_dataloader.num_workers': workers}
    whole, seen = train(tmp_path / 'whole', **options)
    phases = [record['sparse'] for record in histories(tmp_path / 'whole')[1]]
    assert len(set(phases)) == 2
    assert sum(map(len, whole['guard'].values())) > 0
    for iteration in iterations:
        folder = tmp_path / str(iteration)
        start = str(tmp_path / 'whole' / f'iter_{iteration}.pth')
        resumed, rest = train(folder, load_from=start, resume=True, **options)
        assert sorted(rest.images) == list(range(iteration, ITERATIONS))
        for i, images in rest.images.items():
            assert torch.equal(images, seen.images[i])
            assert torch.equal(rest.draws[i], seen.draws[i])
        assert_same(resumed, whole)
        assert histories(folder) == histories(tmp_path / 'whole')


@pytest.mark.parametrize('granularity', ['weight', 'channel'])
def test_a_keep_ratio_comes_back_with_all_that_its_corrections_know(tmp_path, granularity):
    options = {
        'DynamicPruningHook.granularity': {'generator': granularity, 'discriminator': 'weight'},
        'DynamicPruningHook.lam': None,
        'DynamicPruningHook.keep_ratio': 0.6,
        'model.discriminator_steps': 1,
    }
    whole, _ = train(tmp_path / 'whole', **options)
    lams = set()
    for iteration in (2, 5):
        start = str(tmp_path / 'whole' / f'iter_{iteration}.pth')
        saved = torch.load(start, weights_only=True)['rggan_mm']['DynamicPruningHook']
        lams.add(saved['lam']['discriminator'])
        resumed, _ = train(tmp_path / str(iteration), load_from=start, resume=True, **options)
        assert_same(resumed, whole)
    assert len(lams) == 2


def test_training_again_does_not_validate_again(tmp_path):
    runner = tiny_runner(tmp_path, **OPTIONS)
    runner.train()
    runner.train()
    assert [record['iter'] for record in histories(tmp_path)[0]] == list(range(1, ITERATIONS + 1))


def test_channels_come_back(tmp_path):
    options = {'DynamicPruningHook.granularity': 'channel', 'model.discriminator_steps': 1}
    whole, _ = train(tmp_path / 'whole', **options)
    start = str(tmp_path / 'whole' / 'iter_3.pth')
    resumed, _ = train(tmp_path / 'rest', load_from=start, resume=True, **options)
    assert_same(resumed, whole)
