import inspect
import os

import pytest
import torch
import torch.distributed as dist
from distributed_gan import in_processes, needs_cpu
from mmengine.dist import init_dist
from mmengine.dist import utils as dist_utils
from mmengine.model import MMDistributedDataParallel
from torch import nn

from rggan_mm.compat import distributed_cpu
from rggan_mm.errors import ConfigError

pytestmark = needs_cpu
stock_init_dist = inspect.unwrap(dist_utils._init_dist_pytorch)
stock_wrapper_init = inspect.unwrap(MMDistributedDataParallel.__init__)


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """The environment of torchrun, and how to meet the other (zero) processes."""
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('LOCAL_RANK', '0')
    yield dict(init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    if dist.is_initialized():
        dist.destroy_process_group()


def test_stock_asks_for_a_gpu(launched):
    with pytest.raises((RuntimeError, AssertionError, AttributeError), match=r'CUDA|NVIDIA'):
        stock_init_dist('gloo', **launched)


def test_gloo_starts_on_the_cpu(launched):
    init_dist('pytorch', backend='gloo', **launched)
    assert dist.get_backend() == 'gloo'


def test_nccl_is_refused_with_the_field_to_change(launched):
    with pytest.raises(ConfigError, match=r"dist_cfg\.backend='nccl'.*set it to 'gloo'"):
        init_dist('pytorch', backend='nccl', **launched)


def test_stock_wraps_for_a_gpu(launched):
    init_dist('pytorch', backend='gloo', **launched)
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    with pytest.raises(ValueError, match='device_ids'):
        stock_wrapper_init(wrapper, nn.Linear(1, 1), device_ids=[0])


def test_a_model_on_the_cpu_is_wrapped(launched):
    init_dist('pytorch', backend='gloo', **launched)
    wrapper = MMDistributedDataParallel(nn.Linear(1, 1), device_ids=[0], output_device=0)
    assert wrapper.device_ids is None
    assert wrapper(torch.ones(1, 1)).shape == (1, 1)


def test_synchronised_batch_norms_become_plain_ones(launched):
    init_dist('pytorch', backend='gloo', **launched)
    network = nn.Sequential(nn.SyncBatchNorm(2), nn.Linear(2, 1))
    network[0].weight.data.fill_(3.0)
    with pytest.raises(ValueError, match=r'SyncBatchNorm|GPU'):
        network(torch.randn(4, 2))
    wrapper = MMDistributedDataParallel(network)
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


def test_a_machine_with_a_gpu_is_left_alone(monkeypatch):
    before = dist_utils._init_dist_pytorch, MMDistributedDataParallel.__init__
    monkeypatch.setattr(distributed_cpu, 'get_device', lambda: 'cuda')
    assert not distributed_cpu.allow_processes_on_cpu().closed
    assert (dist_utils._init_dist_pytorch, MMDistributedDataParallel.__init__) == before
