"""ADA's augmentation probability stands still with several processes."""

from functools import wraps
from importlib.util import find_spec
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.logging import MessageHub
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from rggan_mm.compat.outcome import Outcome

_NAME = 'ada-processes'
_LAST_BROKEN = (1, 2, 0)


def _update(augmentation: nn.Module) -> Tensor:
    """Do for all processes what mmagic does for one."""
    hub = MessageHub.get_current_instance()
    judged = hub.get_info('disc_pred_real').detach().float()
    seen = torch.stack([judged.new_tensor(len(judged)), judged.sign().sum()])
    all_reduce(seen)
    augmentation.log_buffer += seen
    augmentation.update(iteration=hub.get_info('iter'), num_batches=len(judged) * get_world_size())
    return augmentation.aug_pipeline.p.detach().clone()


def update_ada_in_every_process() -> Outcome:
    """Let ADA adapt when the discriminator is wrapped for several processes.

    Symptom: the augmentation probability keeps its first value. Cause:
    ``StyleGAN2.train_step`` asks the discriminator for ``with_ada``, but the
    wrapper of a distributed run does not hand attributes on. Here all processes
    put together what they counted, so that they agree on the probability, and a
    step of it is as large as the images of all of them make it. Applies to
    mmagic up to 1.2.0, StyleGAN2 and StyleGAN3.

    Returns:
        The outcome.
    """
    from mmagic.version import version_info

    if version_info > _LAST_BROKEN:
        return Outcome(_NAME, False, 'this mmagic is newer than the broken ones')
    if find_spec('mmagic.models.editors.stylegan2') is None:
        return Outcome(_NAME, False, 'this mmagic has no StyleGAN2')
    from mmagic.models.editors.stylegan2 import StyleGAN2

    original = StyleGAN2.train_step

    @wraps(original)
    def train_step(self: StyleGAN2, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        log_vars = original(self, data, optim_wrapper)
        network = self.discriminator
        if is_model_wrapper(network) and getattr(network.module, 'with_ada', False):
            log_vars['augment'] = _update(network.module.ada_aug)
        return log_vars

    StyleGAN2.train_step = train_step
    return Outcome(_NAME, True, 'processes share what ADA counts and agree on its probability')
