"""SinGAN cannot be resumed."""

from functools import wraps
from importlib.util import find_spec
from typing import Any

import torch
from mmengine.logging import MessageHub
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from rggan_mm.compat.outcome import Outcome
from rggan_mm.compat.progress import keep_among_weights
from rggan_mm.errors import ConfigError

_NAME = 'singan-resume'
_STAGE = 'progress.stage'
_WEIGHTS = 'progress.noise_weights'
_NOISES = 'progress.fixed_noises.'


def _write(model: Any, state: dict[str, Tensor], prefix: str) -> None:
    """Put a model's progress among its weights."""
    if model.curr_stage < 0:  # not trained yet: nothing that a stock SinGAN would not have
        return
    state[prefix + _STAGE] = torch.tensor(model.curr_stage)
    state[prefix + _WEIGHTS] = torch.tensor(model.noise_weights, dtype=torch.float64)
    for index, noise in enumerate(model.fixed_noises):
        state[f'{prefix}{_NOISES}{index}'] = noise


def _read(model: Any, state: dict[str, Tensor], prefix: str) -> None:
    """Take a model's progress out of a checkpoint's weights."""
    if prefix + _STAGE not in state:
        return
    for name in ('gen_scheduler', 'disc_scheduler'):  # of a run that goes back
        vars(model).pop(name, None)
    device = next(model.parameters()).device
    noises = [name for name in state if name.startswith(prefix + _NOISES)]
    noises.sort(key=lambda name: int(name.rpartition('.')[2]))
    model.curr_stage = int(state.pop(prefix + _STAGE))
    model.noise_weights = state.pop(prefix + _WEIGHTS).tolist()
    model.fixed_noises = [state.pop(name).to(device) for name in noises]


def _start_anew(model: Any) -> None:
    """Forget the progress that came with weights to start from."""
    model.curr_stage, model.noise_weights, model.fixed_noises = -1, [1], []


def _at_step(optimizer: torch.optim.Optimizer, arguments: dict, step: int) -> MultiStepLR:
    """A scheduler that has done so many steps, for an optimiser that has its rates already."""
    rates = [group['lr'] for group in optimizer.param_groups]
    scheduler = MultiStepLR(optimizer, **arguments)
    scheduler.last_epoch = step
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group['lr'] = rate
    return scheduler


def _resume_schedulers(model: Any, optim_wrapper: Any, iteration: int) -> None:
    """Make the learning-rate schedulers of the stage that was resumed."""
    if not model.lr_scheduler_args or hasattr(model, 'gen_scheduler'):
        return
    step = iteration // model.discriminator_steps % model.iters_per_scale
    for short, key in (('gen', 'generator'), ('disc', 'discriminator')):
        optimizer = optim_wrapper[f'{key}_{model.curr_stage}'].optimizer
        scheduler = _at_step(optimizer, model.lr_scheduler_args, step)
        setattr(model, f'{short}_scheduler', scheduler)


def _prepare(model: Any, optim_wrapper: Any) -> None:
    """Bring a model to where its checkpoint was, before it trains on."""
    iteration = MessageHub.get_current_instance().get_info('iter')
    if iteration == 0:
        _start_anew(model)
    elif model.curr_stage < 0:
        raise ConfigError(
            f'resume: the checkpoint of iteration {iteration} holds no stage and no noises of '
            'SinGAN (it was saved without rggan_mm), so training cannot go on from it: use it '
            'as load_from, which starts at the first stage'
        )
    elif iteration % (model.iters_per_scale * model.discriminator_steps):
        _resume_schedulers(model, optim_wrapper, iteration)


def _repair_training(singan: type[nn.Module]) -> None:
    """Let a SinGAN train on from its progress."""
    step = singan.train_step

    @wraps(step)
    def train_step(self: Any, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        _prepare(self, optim_wrapper)
        return step(self, data, optim_wrapper)

    singan.train_step = train_step


def _keep_noises(singan: type[nn.Module]) -> None:
    """Let a class that makes fixed noises keep those that came back."""
    construct = singan.construct_fixed_noises

    @wraps(construct)
    def construct_fixed_noises(self: Any) -> None:
        if not self.fixed_noises:
            construct(self)

    singan.construct_fixed_noises = construct_fixed_noises


def resume_singan() -> Outcome:
    """Let a SinGAN that was stopped train on as if it had not been.

    Symptom: ``AssertionError: Cannot find generator_-1``; at the start of a
    stage there is no error, but training goes back to the first stage. Cause:
    the current stage, the weights of the noises and the noises themselves are
    plain attributes that no checkpoint holds, and the schedulers are made only
    at the start of a stage. Here they go among the model's weights, under
    ``progress.``. Applies to mmagic up to 1.2.0.

    Returns:
        The outcome.
    """
    if find_spec('mmagic.models.editors.singan') is None:
        return Outcome(_NAME, False, 'this mmagic has no SinGAN')
    from mmagic.models.editors.mspie import PESinGAN
    from mmagic.models.editors.singan import SinGAN

    if SinGAN._save_to_state_dict is not nn.Module._save_to_state_dict:
        return Outcome(_NAME, False, 'checkpoints hold the progress of a SinGAN')
    keep_among_weights(SinGAN, _write, _read)
    _repair_training(SinGAN)
    for kind in (SinGAN, PESinGAN):  # each makes noises of its own
        _keep_noises(kind)
    return Outcome(_NAME, True, 'checkpoints hold the stage and the noises of a SinGAN')
