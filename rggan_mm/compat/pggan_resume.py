"""PGGAN and StyleGAN1 fade their newest scale in again when they resume."""

import logging
from functools import wraps
from importlib.util import find_spec
from typing import Any

import torch
from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn

from rggan_mm.compat.outcome import Outcome
from rggan_mm.compat.progress import keep_among_weights

_NAME = 'pggan-resume'
_STAGE = 'progress.prev_stage'
_SHOWN = 'progress.actual_nkimgs'
_LOADED = 'loaded_growth'  # attribute: what a checkpoint said, until the model trains


def _write(model: Any, state: dict[str, Tensor], prefix: str) -> None:
    """Put a model's growth among its weights."""
    trained = (torch.tensor(model.prev_stage), torch.tensor(model._actual_nkimgs).double())
    stage, shown = vars(model).get(_LOADED, trained)
    if stage is None or not len(shown):  # not grown: nothing that a stock model would not have
        return
    state[prefix + _STAGE], state[prefix + _SHOWN] = stage, shown


def _read(model: Any, state: dict[str, Tensor], prefix: str) -> None:
    """Take a model's growth out of a checkpoint's weights."""
    setattr(model, _LOADED, (state.pop(prefix + _STAGE, None), state.pop(prefix + _SHOWN, None)))


def _go_on(model: Any, stage: Tensor | None, shown: Tensor | None) -> None:
    """Bring a model to where its checkpoint was, before it trains on."""
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


def _forgets(pggan: type[nn.Module]) -> bool:
    """Ask the smallest model whether its weights say when it grew."""
    model = pggan(nn.Identity(), nn.Identity(), None, {4: 1, 8: 1})
    model._actual_nkimgs.append(0.5)
    return not any((value == 0.5).any() for value in model.state_dict().values())


def _repair_training(pggan: type[nn.Module]) -> None:
    """Let a PGGAN train on from its growth."""
    step = pggan.train_step

    @wraps(step)
    def train_step(self: Any, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        if _LOADED in vars(self):
            _go_on(self, *vars(self).pop(_LOADED))
        return step(self, data, optim_wrapper)

    pggan.train_step = train_step


def resume_pggan() -> Outcome:
    """Let a PGGAN or StyleGAN1 that was stopped train on as if it had not been.

    Symptom: the transition weight of the newest scale goes back to 0 on
    resume, whatever it was; with ``prev_stage`` set, as mmagic's notes advise,
    ``IndexError: list index out of range``. Cause: how many images had been
    shown when a scale was added, and which scale that was, are plain
    attributes that no checkpoint holds. Here they go among the model's
    weights, under ``progress.``. A checkpoint without them resumes with the
    planned numbers and a warning. Applies to mmagic up to 1.2.0.

    Returns:
        The outcome.
    """
    if find_spec('mmagic.models.editors.pggan') is None:
        return Outcome(_NAME, False, 'this mmagic has no PGGAN')
    from mmagic.models.editors.pggan import ProgressiveGrowingGAN

    if not _forgets(ProgressiveGrowingGAN):
        return Outcome(_NAME, False, 'checkpoints say when a PGGAN grew')
    keep_among_weights(ProgressiveGrowingGAN, _write, _read)
    _repair_training(ProgressiveGrowingGAN)
    return Outcome(_NAME, True, 'checkpoints say when a PGGAN or StyleGAN1 grew')
