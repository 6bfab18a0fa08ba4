"""Dynamic pruning: thresholds, masks and their optimiser in a training run."""

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import ThresholdOptimizer
from rggan_mm.pruning.layers import check_patterns
from rggan_mm.pruning.sparse_network import MODES
from rggan_mm.pruning.thresholds import build_adam, check_strength
from rggan_mm.training.hook_base import StatefulHook, is_training, log_interval

from .attaching import attach, take_out_thresholds
from .checkpoint_fit import refuse_foreign_checkpoint, warn_of_dense_layers
from .discovery import (
    check_mapping,
    check_names,
    find_optimizers,
    refuse_unknown,
    sparse_networks,
    trained_sparse_networks,
)


@HOOKS.register_module()
class DynamicPruningHook(StatefulHook):
    """Makes every trained network of a GAN sparse, as RG-GAN does.

    Before the run each trained network and its averaged copy gain one trainable
    threshold per output channel; each network's thresholds get an Adam of their own
    that steps with the network's optimiser. At the logger's interval the kept share
    and the mean threshold of each network are logged as ``NAME_keep_ratio`` and
    ``NAME_threshold``.

    Args:
        lam: Weight lambda of the sparsity regulariser lambda * sum(exp(-t)), finite
            and >= 0, or one by network. With Adam a threshold moves by about
            lr * lam / (lam + eps) per step, so lam matters through eps only. Defaults to
            the published 1e-12.
        mode: Threshold gradient: 'published' (the regulariser's only; default) or
            'ste' (straight-through task gradient as well).
        networks: Names of the model's networks to prune; None (default): every
            trained one.
        include: Glob patterns of what to prune, as NETWORK.LAYER or any module on the
            way there, such as 'generator' or '*.to_rgb*'. None (default): everything.
        exclude: Glob patterns of what to leave dense.
        averages: Averaged copies by name, with the network that each one averages;
            None (default): found by their class, name and shapes.
        optimizers: Keys of ``optim_wrapper`` by network, where not all optimisers that
            hold a network's weights count.
        lr: Learning rate of the thresholds. Defaults to the published 2e-4.
        betas: Adam's betas for the thresholds. Defaults to (0.0, 0.9).
        eps: Adam's eps for the thresholds. Defaults to 1e-8.

    Raises:
        ConfigError: Unknown argument or mode, bad ``lam``; when the run starts: a
            network, average, optimiser or layer pattern that the model lacks, nothing
            prunable, a network that no optimiser trains, a checkpoint that does not
            fit.
    """

    # Before the other hooks of this package, which look for sparse networks.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        lam: float | Mapping[str, float] = 1e-12,
        mode: str = 'published',
        networks: Sequence[str] | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        averages: Mapping[str, str] | None = None,
        optimizers: Mapping[str, Sequence[str]] | None = None,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        eps: float = 1e-8,
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f'mode={mode!r} must be one of {", ".join(MODES)}')
        self.lam = _check_strengths(lam)
        self.mode = mode
        check_patterns(include, exclude)
        self.chosen = {
            'networks': check_names('networks', networks),
            'include': include,
            'exclude': exclude,
            'averages': check_mapping('averages', averages),
        }
        self.optimizer_keys = {
            network: check_names(f'optimizers.{network}', keys)
            for network, keys in check_mapping('optimizers', optimizers).items()
        }
        self.adam = {'lr': lr, 'betas': betas, 'eps': eps}
        build_adam([torch.zeros(1)], **self.adam)
        self.optimizers: dict[str, ThresholdOptimizer] = {}
        self.model = None

    def before_run(self, runner: Runner) -> None:
        """Attaches thresholds, and their optimisers when the run trains."""
        if self.model is not runner.model:
            self.model = runner.model
            for line in attach(runner.model, self.mode, **self.chosen):
                runner.logger.info(f'DynamicPruningHook: {line}')
        if is_training(runner) and not self.optimizers:
            self._build_optimizers(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Logs kept shares and thresholds at the logger's interval."""
        if not self.every_n_train_iters(runner, log_interval(runner)):
            return
        for name, network in trained_sparse_networks(runner.model).items():
            hub = runner.message_hub
            hub.update_scalar(f'train/{name}_keep_ratio', network.keep_ratio())
            hub.update_scalar(f'train/{name}_threshold', network.threshold_mean())

    def state_dict(self) -> dict:
        """Phase and kept weights of each network, and the state of the thresholds' optimisers."""
        networks = sparse_networks(self.model)
        return {
            'counts': {name: network.counts() for name, network in networks.items()},
            'sparse': {name: network.sparse for name, network in networks.items()},
            'optimizers': {name: opt.state_dict() for name, opt in self.optimizers.items()},
            'lam': {name: opt.strength for name, opt in self.optimizers.items()},
        }

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back phases and, when training, the optimisers' state."""
        for name, network in sparse_networks(runner.model).items():
            network.set_phase(state['sparse'].get(name, True))
            network.recall(state.get('counts', {}).get(name, {}))
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state['optimizers'][name])
            before = state.get('lam', {}).get(name, optimizer.strength)
            if before != optimizer.strength:
                runner.logger.warning(
                    f'DynamicPruningHook: {name}: lam was {before:g}, is {optimizer.strength:g} now'
                )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuses to resume what does not fit, then restores the state."""
        has_thresholds = self.saved_state(checkpoint) is not None
        if runner._resume and is_training(runner):
            refuse_foreign_checkpoint(runner, checkpoint, has_thresholds)
        elif not has_thresholds:
            runner.logger.warning(
                'DynamicPruningHook: the checkpoint has no thresholds; they keep their '
                'start value 0, which prunes nothing'
            )
        elif not is_training(runner):
            warn_of_dense_layers(runner, checkpoint)
        super().after_load_checkpoint(runner, checkpoint)

    def strength_of(self, network: str) -> float:
        """Lambda of one network.

        Raises:
            ConfigError: ``lam`` is a dict without it.
        """
        if not isinstance(self.lam, dict):
            return self.lam
        if network not in self.lam:
            raise ConfigError(
                f'lam={self.lam}: there is none for {network!r}; name every pruned network'
            )
        return self.lam[network]

    def _build_optimizers(self, runner: Runner) -> None:
        networks = trained_sparse_networks(runner.model)
        refuse_unknown('optimizers', self.optimizer_keys, networks)
        _refuse_other_networks(self.lam, networks)
        for name, network in networks.items():
            keys = self.optimizer_keys.get(name)
            wrappers = find_optimizers(runner.optim_wrapper, network.network, keys)
            if not wrappers:
                raise ConfigError(
                    f'DynamicPruningHook: no optimizer trains {name!r}; give it one in '
                    'optim_wrapper, or leave it out of networks'
                )
            strength = self.strength_of(name)
            if strength == 0:
                runner.logger.warning(f'DynamicPruningHook: {name}: lam=0 prunes nothing')
            self.optimizers[name] = ThresholdOptimizer(network, strength, **self.adam)
            for wrapper in wrappers:
                take_out_thresholds(wrapper, list(networks.values()))
                self.optimizers[name].follow(
                    wrapper.optimizer,
                    scale=_loss_scale(wrapper),
                    average=_average_over_processes,
                    # A generator step sends gradient through the discriminator's masks too.
                    siblings=list(networks.values()),
                )


def _refuse_other_networks(lam: float | dict[str, float], networks: Collection[str]) -> None:
    for name in lam if isinstance(lam, dict) else ():
        if name not in networks:
            raise ConfigError(
                f'lam names {name!r}, which is not pruned; pruned is: {", ".join(networks)}'
            )


def _check_strengths(lam: float | Mapping[str, float]) -> float | dict[str, float]:
    if isinstance(lam, Mapping):
        return {name: check_strength(value, f'lam.{name}') for name, value in lam.items()}
    return check_strength(lam)


def _loss_scale(wrapper: OptimWrapper) -> Callable[[], Tensor | None] | None:
    """Reads the loss scale of mixed precision without a synchronisation."""
    scaler = getattr(wrapper, 'loss_scaler', None)
    if scaler is None or not scaler.is_enabled():
        return None
    return lambda: scaler._scale


def _average_over_processes(gradients: list[Tensor]) -> None:
    """Averages gradients over all processes, in one message."""
    if get_world_size() == 1:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    all_reduce(flat, op='mean')
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
