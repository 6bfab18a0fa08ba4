"""What holds on the CPU holds on a GPU."""

import copy
import json
import math

import pytest
import torch
from amp_runs import amp_runner
from exact_runs import OPTIONS, train
from mmagic.registry import MODELS
from mmengine.registry import DefaultScope
from run_state import assert_same
from tiny import tiny_config
from torch.nn.functional import relu

from rggan_mm.hooks.discovery import trained_sparse_networks
from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer

pytestmark = pytest.mark.gpu
LAM = 1.0
TOLERANCE = 1e-4


@pytest.fixture
def model(tmp_path):
    """The tiny SNGAN of the digits, in float64."""
    config = tiny_config(tmp_path)
    with DefaultScope.overwrite_default_scope('mmagic'):
        torch.manual_seed(0)
        return MODELS.build(config.model).double()


class Sparse:
    """A network that keeps some 80 % of each layer, with its optimiser."""

    def __init__(self, network, mode, **options):
        self.network = network.train()
        self.sparse = SparseNetwork(network, mode, min_keep=0.01)
        with torch.no_grad():
            for layer in self.sparse.layers.values():
                layer.threshold.fill_(layer.info.stored.abs().quantile(0.2))
        # Not Adam: it makes a whole step of a gradient that is nothing but rounding.
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        ThresholdOptimizer(self.sparse, LAM, **options).follow(self.optimizer)

    def step(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def draw(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def training_step(generator, discriminator, images, noise):
    """One step of either network by the hinge loss."""
    fake = generator.network(noise).detach()
    loss = relu(1 - discriminator.network(images)).mean()
    loss_d = discriminator.step(loss + relu(1 + discriminator.network(fake)).mean())
    loss_g = generator.step(-discriminator.network(generator.network(noise)).mean())
    return loss_d, loss_g


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_a_training_step_is_that_of_the_cpu(model, mode):
    found = {}
    for device in ('cpu', 'cuda'):
        twin = copy.deepcopy(model).to(device)
        pair = [Sparse(twin.generator, mode), Sparse(twin.discriminator, mode)]
        images, noise = draw(8, 3, 16, 16, seed=1), draw(8, model.noise_size, seed=2)
        losses = training_step(*pair, images.to(device), noise.to(device))
        state = {'D': losses[0], 'G': losses[1], **twin.state_dict()}
        found[device] = {name: value.cpu() for name, value in state.items()}
        assert all(0.1 < one.sparse.keep_ratio() < 1 for one in pair)
    for name, value in found['cuda'].items():
        torch.testing.assert_close(
            value, found['cpu'][name], rtol=TOLERANCE, atol=TOLERANCE, msg=name
        )


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_a_step_waits_for_nothing(model, mode):
    twin = model.float().cuda()
    pair = [Sparse(twin.generator, mode), Sparse(twin.discriminator, mode)]
    images = draw(8, 3, 16, 16, seed=1).float().cuda()
    noise = draw(8, model.noise_size, seed=2).float().cuda()
    training_step(*pair, images, noise)  # allocates and builds state
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        losses = training_step(*pair, images, noise)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert all(math.isfinite(loss.item()) for loss in losses)


def test_a_wait_would_be_found():
    torch.cuda.set_sync_debug_mode('error')
    try:
        with pytest.raises(RuntimeError):
            torch.ones(1, device='cuda').item()
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_a_run_in_bfloat16_prunes_and_stays_finite(tmp_path):
    runner = amp_runner(tmp_path, 'bf16')
    runner.train()
    parameters = list(runner.model.parameters())
    assert all(p.is_cuda and bool(p.isfinite().all()) for p in parameters)
    for network in trained_sparse_networks(runner.model).values():
        assert 0 < network.keep_ratio() < 1


def test_logged_keep_ratios_are_those_of_the_networks(tmp_path):
    runner = amp_runner(tmp_path, default_hooks__logger__interval=1)
    runner.train()
    (file,) = tmp_path.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    last = [line for line in lines if 'loss' in line][-1]
    for name, network in trained_sparse_networks(runner.model).items():
        assert last[f'{name}_keep_ratio'] == pytest.approx(network.keep_ratio(), abs=1e-4)


def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    options = {'env_cfg.cudnn_benchmark': False, 'DynamicPruningHook.mode': 'ste'}
    middle = OPTIONS['train_cfg.max_iters'] // 2
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        whole, seen = train(tmp_path / 'whole', **options)
        start = str(tmp_path / 'whole' / f'iter_{middle}.pth')
        resumed, rest = train(tmp_path / 'rest', load_from=start, resume=True, **options)
    finally:
        torch.use_deterministic_algorithms(deterministic)
    assert sorted(rest.images) == list(range(middle, OPTIONS['train_cfg.max_iters']))
    for i, images in rest.images.items():
        assert torch.equal(images, seen.images[i])
        assert torch.equal(rest.draws[i], seen.draws[i])
    assert_same(resumed, whole)
