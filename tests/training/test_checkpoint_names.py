from collections import OrderedDict

import pytest
import torch
import torch.distributed as dist
from distributed_gan import in_processes, make_runner, needs_cpu, weights
from mmengine.model import ExponentialMovingAverage, MMSeparateDistributedDataParallel
from mmengine.runner import Runner, load_state_dict
from tiny import tiny_config
from torch import nn

from rggan_mm.training.checkpoint_loading import load_anywhere
from rggan_mm.training.checkpoint_names import name_plainly, wrapped_networks
from rggan_mm.training.runner import load_weights


class Gan(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.discriminator = nn.Linear(2, 1)
        self.generator_ema = ExponentialMovingAverage(self.generator)


@pytest.fixture
def one_process(tmp_path):
    """A group of this process alone: enough for the wrapper to be real."""
    dist.init_process_group('gloo', init_method=f'file://{tmp_path}/one', rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def assert_same(first, second):
    assert list(first) == list(second)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@needs_cpu
@pytest.mark.usefixtures('one_process')
def test_stock_saves_names_that_stock_does_not_find():
    saved = MMSeparateDistributedDataParallel(Gan()).module.state_dict()
    assert 'generator.module.0.weight' in saved
    other = Gan()
    before = other.generator[0].weight.clone()
    load_state_dict(other, saved)
    assert torch.equal(other.generator[0].weight, before)


@needs_cpu
@pytest.mark.usefixtures('one_process')
def test_a_wrapped_model_names_its_weights_as_an_unwrapped_one():
    plain = Gan()
    expected, versions = plain.state_dict(), plain.state_dict()._metadata
    wrapped = MMSeparateDistributedDataParallel(plain)
    name_plainly(wrapped)
    assert_same(wrapped.module.state_dict(), expected)
    assert wrapped.module.state_dict()._metadata == versions
    assert 'generator_ema.module.0.weight' in expected


@needs_cpu
@pytest.mark.usefixtures('one_process')
@pytest.mark.parametrize('stored', ['plain', 'wrapped'])
def test_pytorch_loads_both_kinds_of_names_into_a_wrapped_model(stored):
    source = Gan()
    state = source.state_dict()
    if stored == 'wrapped':
        state = _as_saved_by_stock(state)
    wrapped = MMSeparateDistributedDataParallel(Gan())
    name_plainly(wrapped)
    target = wrapped.module
    target.load_state_dict(state, strict=True)
    assert_same(target.state_dict(), source.state_dict())


def _as_saved_by_stock(state):
    """Names as stock MMEngine writes them for a distributed run."""
    old = OrderedDict()
    for name, value in state.items():
        network, _, rest = name.partition('.')
        wrapped = network != 'generator_ema'
        old[f'{network}.module.{rest}' if wrapped else name] = value
    return old


def _train(make):
    make('first').train()


@needs_cpu
@pytest.mark.parametrize(('saving', 'loading'), [(1, 2), (2, 1), (2, 2)])
def test_a_run_resumes_with_any_number_of_processes(tmp_path, saving, loading):
    in_processes(saving, tmp_path, _train)
    saved = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    assert 'generator.noise2feat.conv.weight' in saved['state_dict']

    def resume(make):
        runner = make('again', resume=True, **{'train_cfg.max_iters': 4})
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.load_or_resume()
        assert runner.iter == 2
        assert_same(weights(runner), saved['state_dict'])
        runner.train()
        assert runner.iter == 4

    in_processes(loading, tmp_path, resume)
    assert (tmp_path / 'iter_4.pth').exists()


@pytest.fixture
def old_file(tmp_path):
    """What a distributed run of stock MMEngine left, and its weights by plain names."""
    runner = make_runner(tmp_path, 'old')
    runner.train()
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    plain = checkpoint['state_dict']
    checkpoint['state_dict'] = _as_saved_by_stock(plain)
    torch.save(checkpoint, tmp_path / 'old.pth')
    return tmp_path / 'old.pth', plain


@needs_cpu
@pytest.mark.parametrize('loading', [1, 2])
def test_weights_of_old_distributed_runs_load(tmp_path, old_file, loading):
    path, plain = old_file

    def load(make):
        runner = make('tested', load_from=str(path))
        runner.load_or_resume()
        assert_same(weights(runner), plain)

    in_processes(loading, tmp_path, load)


def test_the_hooks_of_a_run_see_plain_names(old_file):
    path, plain = old_file
    loaded = load_anywhere(str(path))
    assert sorted(loaded['state_dict']) == sorted(plain)


def test_an_average_without_its_counter_loads(tmp_path):
    source, target = Gan(), Gan()
    state = source.state_dict()
    del state['generator_ema.steps']
    torch.save(state, tmp_path / 'published.pth')
    load_weights(target, load_anywhere(str(tmp_path / 'published.pth')))
    assert_same(target.state_dict(), source.state_dict())


@pytest.mark.parametrize(
    ('names', 'wrapped'),
    [
        (['g.module.a', 'g.module.b.c', 'd.module.a'], ['g', 'd']),
        (['ema.module.a', 'ema.steps'], []),
        (['a', 'module.b'], []),
        ([], []),
    ],
)
def test_wrapped_networks_are_told_from_averages(names, wrapped):
    assert wrapped_networks(names) == wrapped


@needs_cpu
def test_an_rg_run_of_two_processes_goes_on_in_one(tmp_path):
    def config(name, world, **changes):
        made = tiny_config(tmp_path, **{'train_cfg.max_iters': 2, **changes})
        made.launcher = 'none' if world == 1 else 'pytorch'
        made.experiment_name = name
        made.setdefault('env_cfg', {})['dist_cfg'] = dict(backend='gloo')
        return made

    in_processes(2, tmp_path, lambda make: Runner.from_cfg(config('two', 2)).train())
    runner = Runner.from_cfg(config('one', 1, **{'train_cfg.max_iters': 4}, resume=True))
    runner.train()
    assert runner.iter == 4
