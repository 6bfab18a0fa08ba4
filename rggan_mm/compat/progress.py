"""SinGAN, PGGAN and StyleGAN1: progress that their checkpoints lack goes among the weights."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from rggan_mm.compat.repair import Repair
from rggan_mm.errors import ConfigError

_SINGAN_STAGE = 'progress.stage'
_SINGAN_WEIGHTS = 'progress.noise_weights'
_SINGAN_NOISES = 'progress.fixed_noises.'
_WITHOUT_STAGE = 'loaded_without_stage'  # attribute: a checkpoint said nothing of a stage
_PGGAN_STAGE = 'progress.prev_stage'
_PGGAN_SHOWN = 'progress.actual_nkimgs'
_LOADED = 'loaded_growth'  # attribute: what a checkpoint said, until the model trains


def _saving(write: Callable[[Any, dict[str, Tensor], str], None]) -> Callable:
    """Let the weights that a class of models saves hold their progress as well."""

    def make(save: Callable[..., None]) -> Callable[..., None]:
        @wraps(save)
        def save_all(self: Any, state: dict, prefix: str, keep_vars: bool) -> None:
            save(self, state, prefix, keep_vars)
            write(self, state, prefix)

        return save_all

    return make


def _loading(read: Callable[[Any, dict[str, Tensor], str], None]) -> Callable:
    """Let a class of models take its progress out of weights that are loaded."""

    def make(load: Callable[..., None]) -> Callable[..., None]:
        @wraps(load)
        def load_all(self: Any, state: dict, prefix: str, *args: Any) -> None:
            read(self, state, prefix)
            load(self, state, prefix, *args)

        return load_all

    return make


def _write_singan(model: Any, state: dict[str, Tensor], prefix: str) -> None:
    """Put a SinGAN's stage and noises among its weights."""
    if model.curr_stage < 0:  # not trained yet: nothing that a stock SinGAN would not have
        return
    state[prefix + _SINGAN_STAGE] = torch.tensor(model.curr_stage)
    state[prefix + _SINGAN_WEIGHTS] = torch.tensor(model.noise_weights, dtype=torch.float64)
    for index, noise in enumerate(model.fixed_noises):
        state[f'{prefix}{_SINGAN_NOISES}{index}'] = noise


def _read_singan(model: Any, state: dict[str, Tensor], prefix: str) -> None:
    """Take a SinGAN's stage and noises out of a checkpoint's weights."""
    setattr(model, _WITHOUT_STAGE, prefix + _SINGAN_STAGE not in state)
    if vars(model)[_WITHOUT_STAGE]:
        return
    for name in ('gen_scheduler', 'disc_scheduler'):  # of a run that goes back
        vars(model).pop(name, None)
    device = next(model.parameters()).device
    noises = [name for name in state if name.startswith(prefix + _SINGAN_NOISES)]
    noises.sort(key=lambda name: int(name.rpartition('.')[2]))
    model.curr_stage = int(state.pop(prefix + _SINGAN_STAGE))
    model.noise_weights = state.pop(prefix + _SINGAN_WEIGHTS).tolist()
    model.fixed_noises = [state.pop(name).to(device) for name in noises]


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


def _prepare_singan(model: Any, optim_wrapper: Any) -> None:
    """Bring a SinGAN to where its checkpoint was, before it trains on."""
    iteration = MessageHub.get_current_instance().get_info('iter')
    without_stage = vars(model).pop(_WITHOUT_STAGE, False)
    if iteration == 0:  # progress that came with weights to start from is forgotten
        model.curr_stage, model.noise_weights, model.fixed_noises = -1, [1], []
    elif without_stage and model.curr_stage < 0:
        raise ConfigError(
            f'resume: the checkpoint of iteration {iteration} holds no stage and no noises of '
            'SinGAN (it was saved without rggan_mm), so training cannot go on from it: use it '
            'as load_from, which starts at the first stage'
        )
    elif iteration % (model.iters_per_scale * model.discriminator_steps):
        _resume_schedulers(model, optim_wrapper, iteration)


def _prepared_singan(step: Callable[..., dict]) -> Callable[..., dict]:
    """Let a SinGAN train on from its progress."""

    @wraps(step)
    def train_step(self: Any, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        _prepare_singan(self, optim_wrapper)
        return step(self, data, optim_wrapper)

    return train_step


def _keeping_noises(construct: Callable[..., None]) -> Callable[..., None]:
    """Let a class that makes fixed noises keep those that came back."""

    @wraps(construct)
    def construct_fixed_noises(self: Any) -> None:
        if not self.fixed_noises:
            construct(self)

    return construct_fixed_noises


def singan_forgets() -> bool:
    """Whether SinGAN saves nothing beside its parameters and buffers."""
    from mmagic.models.editors.singan import SinGAN

    return SinGAN._save_to_state_dict is nn.Module._save_to_state_dict


def _write_pggan(model: Any, state: dict[str, Tensor], prefix: str) -> None:
    """Put a PGGAN's growth among its weights."""
    trained = (torch.tensor(model.prev_stage), torch.tensor(model._actual_nkimgs).double())
    stage, shown = vars(model).get(_LOADED, trained)
    if stage is None or not len(shown):  # not grown: nothing that a stock model would not have
        return
    state[prefix + _PGGAN_STAGE], state[prefix + _PGGAN_SHOWN] = stage, shown


def _read_pggan(model: Any, state: dict[str, Tensor], prefix: str) -> None:
    """Take a PGGAN's growth out of a checkpoint's weights."""
    growth = (state.pop(prefix + name, None) for name in (_PGGAN_STAGE, _PGGAN_SHOWN))
    setattr(model, _LOADED, tuple(growth))


def _go_on(model: Any, stage: Tensor | None, shown: Tensor | None) -> None:
    """Bring a PGGAN to where its checkpoint was, before it trains on."""
    if MessageHub.get_current_instance().get_info('iter') == 0:
        return  # weights to start from
    if stage is None:
        _estimate(model)
    else:
        model.prev_stage, model._actual_nkimgs = int(stage), shown.tolist()


def _estimate(model: Any) -> None:
    """Take the planned growth for the real one; they are less than a batch apart."""
    grows_now = int(model._next_scale_int) != int(model._curr_scale_int)
    planned = model.cum_nkimgs[: len(model.scales) - 1]
    planned = planned[planned <= model.shown_nkimg.item()].tolist()
    model._actual_nkimgs = planned[:-1] if grows_now else planned
    model.prev_stage = len(model._actual_nkimgs)
    if planned and not grows_now:
        print_log(
            'resume: the checkpoint does not say when the model grew (it was saved without '
            f'rggan_mm); taken to be at the planned {planned[-1]:g} thousand images',
            logger='current',
            level=logging.WARNING,
        )


def _prepared_pggan(step: Callable[..., dict]) -> Callable[..., dict]:
    """Let a PGGAN train on from its growth."""

    @wraps(step)
    def train_step(self: Any, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        if _LOADED in vars(self):
            _go_on(self, *vars(self).pop(_LOADED))
        return step(self, data, optim_wrapper)

    return train_step


def pggan_forgets() -> bool:
    """Ask the smallest PGGAN whether its weights say when it grew."""
    from mmagic.models.editors.pggan import ProgressiveGrowingGAN

    model = ProgressiveGrowingGAN(nn.Identity(), nn.Identity(), None, {4: 1, 8: 1})
    model._actual_nkimgs.append(0.5)
    return not any((value == 0.5).any() for value in model.state_dict().values())


_SINGAN = 'mmagic.models.editors.singan:SinGAN'
_PESINGAN = 'mmagic.models.editors.mspie:PESinGAN'  # makes noises of its own
_PGGAN = 'mmagic.models.editors.pggan:ProgressiveGrowingGAN'

REPAIRS = (
    Repair(
        name='singan-resume',
        symptom='SinGAN resumed: "Cannot find generator_-1", or training starts again at the '
        'first stage, because no checkpoint holds the stage, the noises and their weights.',
        changes={
            f'{_SINGAN}._save_to_state_dict': _saving(_write_singan),
            f'{_SINGAN}._load_from_state_dict': _loading(_read_singan),
            f'{_SINGAN}.train_step': _prepared_singan,
            f'{_SINGAN}.construct_fixed_noises': _keeping_noises,
            f'{_PESINGAN}.construct_fixed_noises': _keeping_noises,
        },
        needed=singan_forgets,
    ),
    Repair(
        name='pggan-resume',
        symptom='PGGAN and StyleGAN1 resumed: the newest scale fades in again, or IndexError with '
        'prev_stage set, because no checkpoint says at which image a scale was added.',
        changes={
            f'{_PGGAN}._save_to_state_dict': _saving(_write_pggan),
            f'{_PGGAN}._load_from_state_dict': _loading(_read_pggan),
            f'{_PGGAN}.train_step': _prepared_pggan,
        },
        needed=pggan_forgets,
    ),
)
