"""What lambda does to the networks of a config, and which lambda does what is wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from rggan_mm.commands.configs import read_config
from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DynamicPruningHook, RegenerationHook
from rggan_mm.hooks.discovery import find_networks, judge_layers
from rggan_mm.pruning.calibration import (
    collapsed_layers,
    keep_ratio_at,
    lam_for,
    threshold_after,
    threshold_for_keep_ratio,
)
from rggan_mm.pruning.layers import LayerInfo
from rggan_mm.pruning.magnitudes import magnitudes
from rggan_mm.training.checkpoint_loading import load_anywhere

from .model_building import build_model, hook_of, quiet
from .step_counts import optimizer_steps


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of one network and how they are trained.

    Attributes:
        network: Name of the network; '' where none is meant.
        steps: Optimiser steps in sparse phases.
        lam: Weight lambda of the regulariser; None where a config has none.
        lr: Learning rate of the thresholds.
        eps: Adam's eps.
        mode: 'published', or 'ste', in which the task moves thresholds as well.
        min_keep: Limit of the collapse guard; None without it.
        keep_ratio: Share of the weights to keep, where the config names it in place of lambda.
        magnitudes: |W| of each layer, from :func:`rggan_mm.pruning.calibration.magnitudes`.
    """

    network: str
    steps: float
    lam: float | None
    lr: float
    eps: float
    mode: str = 'published'
    min_keep: float | None = None
    keep_ratio: float | None = None
    magnitudes: Sequence[Tensor] = ()


@dataclass(frozen=True)
class Outcome:
    """What one lambda does to one network.

    Attributes:
        lam: Weight lambda of the regulariser.
        threshold: What the thresholds reach in the end.
        keep_ratio: Share in [0, 1] of the weights above that threshold, if they do not
            change in training; None without weights.
        collapsed: Number of layers whose keep ratio there is at most the collapse guard's
            limit, so that the guard resets them; None without weights.
    """

    lam: float
    threshold: float
    keep_ratio: float | None = None
    collapsed: int | None = None


def read_thresholds(
    name: str, options: Mapping | None = None, checkpoint: Path | None = None
) -> list[Thresholds]:
    """The thresholds of each network that a config prunes.

    Settings come from its DynamicPruningHook, or are that hook's defaults. Weights are the
    initial ones of the config's seed (0 if it has none), or those of a checkpoint.

    Args:
        name: Config file, or 'mmagic::FOLDER/FILE.py'.
        options: Changes to the config, as ``--cfg-options`` makes them. Default: None.
        checkpoint: A checkpoint of this config. Default: None.

    Raises:
        ConfigError: No such file, a hook's bad argument, an unknown length of training, a
            checkpoint that does not fit.
    """
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise ConfigError(f'checkpoint={checkpoint}: there is no such file')
    config = read_config(str(name), options)
    model = build_model(config, initialize=True)
    given = hook_of(config, DynamicPruningHook)
    pruning = given or DynamicPruningHook()
    if pruning.granularity != 'weight':
        raise ConfigError(
            f'granularity={pruning.granularity!r}: only thresholds of weights are foretold; set '
            'keep_ratio, which sets lambda in the run'
        )
    guard = hook_of(config, RegenerationHook)
    layers = _pruned_layers(model, pruning)
    steps = {name: optimizer_steps(config, model, name) for name in layers}
    if checkpoint is not None:
        _load_weights(model, layers, checkpoint)
    shared = Thresholds(
        network='',
        steps=0,
        lam=None,
        lr=pruning.adam['lr'],
        eps=pruning.adam['eps'],
        mode=pruning.mode,
        min_keep=guard and guard.min_keep,
    )
    return [
        replace(
            shared,
            network=name,
            steps=steps[name],
            **(given.wanted(name) if given else {}),
            magnitudes=magnitudes(infos),
        )
        for name, infos in layers.items()
    ]


def outcome(
    case: Thresholds,
    threshold: float | None = None,
    lam: float | None = None,
    keep_ratio: float | None = None,
) -> Outcome:
    """Answers one of three questions; without any, what the case's own lambda or keep ratio does.

    Args:
        case: The thresholds of a network.
        threshold: Which lambda reaches this threshold?
        lam: What does this lambda do?
        keep_ratio: Which lambda leaves this share of the weights in the end?

    Raises:
        ConfigError: A number out of its range; no lambda does it.
    """
    speed = {'lr': case.lr, 'eps': case.eps}
    if threshold is None and lam is None and keep_ratio is None:
        keep_ratio = case.keep_ratio
    if keep_ratio is not None:
        threshold = threshold_for_keep_ratio(case.magnitudes, keep_ratio)
    if threshold is None:
        lam = case.lam if lam is None else lam
        if lam is None:
            raise ConfigError(
                'the config has no DynamicPruningHook and so no lambda; add _base_/rg.py to it, '
                'or give --lam, --threshold or --keep-ratio'
            )
        threshold = threshold_after(case.steps, lam, **speed)
    else:
        lam = lam_for(threshold, case.steps, **speed)
    if not case.magnitudes:
        return Outcome(lam, threshold)
    limit = 0.0 if case.min_keep is None else case.min_keep
    collapsed = collapsed_layers(case.magnitudes, threshold, limit)
    return Outcome(lam, threshold, keep_ratio_at(case.magnitudes, threshold), collapsed)


def _pruned_layers(model: nn.Module, hook: DynamicPruningHook) -> dict[str, list[LayerInfo]]:
    networks = find_networks(model, hook.chosen['networks'])
    judged = judge_layers(networks, hook.chosen['include'], hook.chosen['exclude'])
    layers = {name: [info for info in infos if info.prunable] for name, infos in judged.items()}
    return {name: infos for name, infos in layers.items() if infos}


def _load_weights(model: nn.Module, layers: dict[str, list[LayerInfo]], checkpoint: Path) -> None:
    with quiet():
        saved = load_anywhere(str(checkpoint), map_location='cpu')
    saved = saved.get('state_dict', saved)
    own = {name: value for name, value in saved.items() if name.partition('.')[0] in layers}
    try:
        missing = set(model.load_state_dict(own, strict=False).missing_keys)
    except RuntimeError as error:
        raise ConfigError(f'{checkpoint} does not fit the config: {_last_line(error)}') from error
    for network, infos in layers.items():
        for info in infos:
            if (name := f'{network}.{info.name}.{info.parameter}') in missing:
                raise ConfigError(f'{checkpoint} does not fit the config: it has no {name}')


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()
