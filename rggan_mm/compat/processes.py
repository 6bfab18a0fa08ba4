"""CycleGAN, Pix2Pix and ADA in several processes."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from mmengine.dist import all_reduce, all_reduce_params, get_world_size
from mmengine.logging import MessageHub
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from rggan_mm.compat.repair import Repair


def _average_gradients(wrapper: OptimWrapper) -> None:
    """Put the mean over all processes in place of this process's gradients."""
    groups = wrapper.optimizer.param_groups
    gradients = [p.grad for group in groups for p in group['params'] if p.grad is not None]
    # In buckets: a copy of every gradient at once would be as large as the network.
    all_reduce_params(gradients, bucket_size_mb=25, op='mean')


def _average_after_backward(wrapper: OptimWrapper) -> None:
    """Let an optimiser's wrapper average after each backward pass, from now on."""
    if 'backward' in vars(wrapper):
        return
    original = wrapper.backward

    @wraps(original)
    def backward(loss: Tensor, **kwargs: Any) -> None:
        last = wrapper.should_sync()  # of the passes that accumulate into one step
        original(loss, **kwargs)
        if last:
            _average_gradients(wrapper)

    wrapper.backward = backward


def _with_averages(train_step: Callable[..., dict]) -> Callable[..., dict]:
    """Average gradients after the backward pass, before clipping and gradient scaling."""

    @wraps(train_step)
    def averaged(self: Any, data: dict, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        if is_model_wrapper(self.generators):
            for wrapper in optim_wrapper.values():
                _average_after_backward(wrapper)
        return train_step(self, data, optim_wrapper)

    return averaged


def _update(augmentation: nn.Module) -> Tensor:
    """Do for all processes what MMagic does for one."""
    hub = MessageHub.get_current_instance()
    judged = hub.get_info('disc_pred_real').detach().float()
    seen = torch.stack([judged.new_tensor(len(judged)), judged.sign().sum()])
    all_reduce(seen)
    augmentation.log_buffer += seen
    augmentation.update(iteration=hub.get_info('iter'), num_batches=len(judged) * get_world_size())
    return augmentation.aug_pipeline.p.detach().clone()


def _with_shared_counts(train_step: Callable[..., dict]) -> Callable[..., dict]:
    """Put together what all processes counted, so that they agree on the probability.

    A step of it is as large as the images of all processes make it.
    """

    @wraps(train_step)
    def counted(self: Any, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        log_vars = train_step(self, data, optim_wrapper)
        network = self.discriminator
        if is_model_wrapper(network) and getattr(network.module, 'with_ada', False):
            log_vars['augment'] = _update(network.module.ada_aug)
        return log_vars

    return counted


REPAIRS = (
    Repair(
        name='cyclegan-processes',
        symptom='CycleGAN and Pix2Pix: weights differ between processes after the first step, '
        'because networks are taken out of DistributedDataParallel and called directly.',
        changes={
            'mmagic.models.editors.cyclegan:CycleGAN.train_step': _with_averages,
            'mmagic.models.editors.pix2pix:Pix2Pix.train_step': _with_averages,
        },
    ),
    Repair(
        name='ada-processes',
        symptom='ADA in several processes: the augmentation probability keeps its first value, '
        'because a wrapped discriminator does not hand with_ada on.',
        changes={'mmagic.models.editors.stylegan2:StyleGAN2.train_step': _with_shared_counts},
    ),
)
