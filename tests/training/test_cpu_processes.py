import os

import pytest
import torch
import torch.distributed as dist
from distributed_gan import in_processes, needs_cpu
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.training import cpu_processes

pytestmark = needs_cpu


@pytest.fixture
def group(tmp_path):
    """What a config says, and how to meet the other (zero) processes."""
    yield dict(backend='gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    if dist.is_initialized():
        dist.destroy_process_group()


def test_gloo_starts_on_the_cpu(group):
    cpu_processes.start_process({**group, 'timeout': 60})
    assert dist.get_backend() == 'gloo'


def test_nccl_is_refused_with_the_field_to_change():
    for settings in ({'backend': 'nccl'}, {}):
        with pytest.raises(ConfigError, match=r"dist_cfg\.backend='nccl'.*set it to 'gloo'"):
            cpu_processes.start_process(settings)


def test_a_model_on_the_cpu_is_wrapped(group):
    cpu_processes.start_process(group)
    wrapper = cpu_processes.wrap(nn.Linear(1, 1), {'broadcast_buffers': False})
    assert wrapper.device_ids is None
    assert wrapper.broadcast_buffers is False
    assert wrapper(torch.ones(1, 1)).shape == (1, 1)


def test_synchronised_batch_norms_become_plain_ones(group):
    cpu_processes.start_process(group)
    network = nn.Sequential(nn.SyncBatchNorm(2), nn.Linear(2, 1))
    network[0].weight.data.fill_(3.0)
    with pytest.raises(ValueError, match=r'SyncBatchNorm|GPU'):
        network(torch.randn(4, 2))
    wrapper = cpu_processes.wrap(network, {})
    wrapper(torch.randn(4, 2)).sum().backward()
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in wrapper.modules())
    assert torch.equal(wrapper.module[0].weight, torch.full((2,), 3.0))
    assert wrapper.module[0].running_mean.abs().sum() > 0


@pytest.mark.parametrize('sync_bn', [None, 'torch'])
def test_two_processes_train_a_stock_gan_to_the_same_weights(tmp_path, sync_bn):
    def work(make):
        seed = {} if sync_bn is None else {'sync_bn': sync_bn}
        runner = make('two', **seed)
        runner.train()
        flat = torch.cat([p.detach().flatten() for p in runner.model.parameters()])
        # Batch statistics are each process's own, parameters are not.
        other = flat.clone()
        dist.broadcast(other, src=0)
        assert torch.equal(flat, other)
        assert os.environ['LOCAL_RANK'] == str(dist.get_rank())

    in_processes(2, tmp_path, work)
    assert (tmp_path / 'iter_2.pth').exists()
