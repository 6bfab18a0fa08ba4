"""Every process holds the same networks, masks, phase and history after each iteration."""

import hashlib
from functools import partial

import pytest
import torch
from gloo_runs import needs_cpu, runner_of
from mmengine.hooks import Hook
from processes import run_together
from tiny import Records, hook_of

from rggan_mm.hooks import DenseMergeHook, DiffAugmentHook, DynamicPruningHook
from rggan_mm.hooks.discovery import sparse_networks
from rggan_mm.pruning import thresholds
from rggan_mm.training.hook_base import unwrap

pytestmark = [needs_cpu, pytest.mark.slow]
ITERATIONS = 6
# Added to the FID: which way the phase rule goes is known, what processes measured still shows.
STEER = (0, 1e4, 0, 1e4, 2e4, 0)
PHASES = (True, False, True, False, False, True)
SETTINGS = {
    'train_cfg__max_iters': ITERATIONS,
    'model__discriminator_steps': 2,
    'DynamicPruningHook__lr': 0.05,
    'DenseMergeHook__weights': (0.5, 0.5),
    'diffaug_hooks__augment': dict(type='DiffAugmentHook'),
    'default_hooks__checkpoint__save_best': None,
}
PROBE = torch.linspace(-1, 1, 3 * 8 * 8).view(1, 3, 8, 8)


class Steer(Hook):
    """Moves the measured FID, so that the run switches phases."""

    priority = 'HIGHEST'

    def after_val_epoch(self, runner, metrics=None):
        metrics['digits/fid'] += STEER[runner.iter - 1]


class Watch(Hook):
    """Notes after each iteration (and the evaluation before it) what the run holds."""

    priority = 'LOWEST'

    def __init__(self):
        self.states, self.phases, self.kept, self.noise, self.augmented = [], [], [], [], []

    def before_train(self, runner):
        model = unwrap(runner.model)
        augment = hook_of(runner, DiffAugmentHook)
        model.noise_fn = self.noting_noise(model, model.noise_fn)
        augment.augment = self.also_on_probe(augment.augment)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.states.append({name: digest(value) for name, value in held(runner)})
        networks = sparse_networks(runner.model)
        self.phases.append(networks['generator'].sparse)
        self.kept.append({name: network.keep_ratio() for name, network in networks.items()})

    def noting_noise(self, model, noise_fn):
        def noted(*args, **kwargs):
            noise = noise_fn(*args, **kwargs)
            if model.training:  # only the main process draws pictures
                self.noise.append(noise)
            return noise

        return noted

    def also_on_probe(self, augment):
        def both(images):
            # The same draws on one image that all processes have.
            with torch.random.fork_rng():
                self.augmented.append(augment(PROBE))
            return augment(images)

        return both


def held(runner):
    """Name and value of all that processes must agree on."""
    yield from unwrap(runner.model).state_dict().items()
    for name, network in sparse_networks(runner.model).items():
        yield f'{name} phase', network.sparse
        for layer, masked in network.layers.items():
            yield f'{name} mask of {layer}', masked.mask
    for key, wrapper in runner.optim_wrapper.items():
        yield f'{key} optimizer', wrapper.optimizer.state_dict()['state']
    pruning = hook_of(runner, DynamicPruningHook)
    yield (
        'thresholds optimizer',
        {n: o.state_dict()['state'] for n, o in pruning.optimizers.items()},
    )
    yield 'history', hook_of(runner, DenseMergeHook).history.records


def digest(value):
    plain = value.detach().numpy().tobytes() if torch.is_tensor(value) else _text(value).encode()
    return hashlib.sha1(plain).hexdigest()


def _text(value):
    with torch._tensor_str.printoptions(profile='full', precision=12):
        return repr(value)


def one_run(folder, rank, world, **changes):
    runner = runner_of(folder, rank, world, **{**SETTINGS, **changes})
    watch, records = Watch(), Records(runner)
    for hook in (Steer(), watch):
        runner.register_hook(hook)
    runner.train()
    history = hook_of(runner, DenseMergeHook).history.records
    messages = records.messages
    return {**vars(watch), 'history': history, 'messages': messages}


def all_runs(rank, folder, world):
    runs = {mode: partial(one_run, DynamicPruningHook__mode=mode) for mode in ('published', 'ste')}
    if world == 2:
        short = dict(train_cfg__max_iters=2, randomness__diff_rank_seed=False)
        runs['same seed'] = partial(one_run, **short)
        runs['ste alone'] = partial(alone, DynamicPruningHook__mode='ste')
    found = {name: run(folder / name, rank, world) for name, run in runs.items()}
    torch.save(found, folder / f'{rank}.pth')


def alone(*args, **changes):
    """A run whose processes keep their thresholds' gradients to themselves."""
    average = thresholds.average_over_processes
    thresholds.average_over_processes = lambda gradients: None
    try:
        return one_run(*args, **changes)
    finally:
        thresholds.average_over_processes = average


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """What each process of a world saw, by name of the run."""
    seen = {}

    def of(world):
        if world not in seen:
            folder = tmp_path_factory.mktemp(f'world_{world}')
            run_together(partial(all_runs, world=world), folder, world)
            paths = [folder / f'{rank}.pth' for rank in range(world)]
            seen[world] = [torch.load(path, weights_only=False) for path in paths]
        return seen[world]

    return of


def differing(first, other):
    """Names of what two processes disagree on, at any iteration."""
    pairs = list(zip(first['states'], other['states'], strict=True))
    assert all(a.keys() == b.keys() for a, b in pairs)
    return {name for a, b in pairs for name in a if a[name] != b[name]}


@pytest.mark.parametrize('world', [2, 3])
@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_all_but_batch_statistics_is_equal_after_each_iteration(ranks, world, mode):
    first, *others = [found[mode] for found in ranks(world)]
    assert len(first['states']) == ITERATIONS
    # The phase that the evaluation after an iteration chooses holds for the next one.
    assert first['phases'] == [True, *PHASES[:-1]]
    assert [record['sparse'] for record in first['history']] == list(PHASES)
    for network in ('generator', 'discriminator'):
        assert 0 < min(kept[network] for kept in first['kept']) < 1
    norms = {n for n in first['states'][0] if n.endswith(('running_mean', 'running_var'))}
    assert norms
    for other in others:
        # On the CPU batch norms are not synchronised; each sees its own images.
        assert differing(first, other) == norms


def test_thresholds_of_processes_that_do_not_average_drift(ranks):
    first, other = [found['ste alone'] for found in ranks(2)]
    assert 'generator.to_rgb.conv.threshold' in differing(first, other)


@pytest.mark.parametrize('world', [2, 3])
@pytest.mark.parametrize('draws', ['noise', 'augmented'])
def test_processes_draw_differently(ranks, world, draws):
    seen = [found['published'][draws] for found in ranks(world)]
    # Iterations of the discriminator, and of the generator after each second one.
    least = ITERATIONS + ITERATIONS // 2
    assert len(seen[0]) >= least
    for step in zip(*seen, strict=True):
        together = torch.stack([draw.flatten() for draw in step])
        assert len(together.unique(dim=0)) == world
    assert not any('diff_rank_seed' in text for _, text in ranks(world)[0]['published']['messages'])


def test_without_diff_rank_seed_the_draws_are_equal_and_a_line_says_so(ranks):
    first, other = [found['same seed'] for found in ranks(2)]
    for draws in ('noise', 'augmented'):
        for a, b in zip(first[draws], other[draws], strict=True):
            assert torch.equal(a, b)
    (line,) = [text for level, text in first['messages'] if 'diff_rank_seed' in text]
    assert line.startswith('DiffAugmentHook: randomness.diff_rank_seed')
