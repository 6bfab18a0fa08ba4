"""Dynamic pruning: thresholds, masks and their optimiser in a training run."""

from collections.abc import Callable, Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer
from rggan_mm.pruning.sparse_network import MODES
from rggan_mm.pruning.threshold_optimizer import build_adam, check_strength

from .base import StatefulHook, is_training, log_interval
from .networks import (
    find_averages,
    find_networks,
    find_optimizers,
    sparse_networks,
    trained_sparse_networks,
    unwrap,
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
            and >= 0. With Adam a threshold moves by about lr * lam / (lam + eps) per
            step, so lam matters through eps only. Defaults to the published 1e-12.
        mode: Threshold gradient: 'published' (the regulariser's only; default) or
            'ste' (straight-through task gradient as well).
        networks: Names of the model's networks to prune; None (default): every
            trained one.
        lr: Learning rate of the thresholds. Defaults to the published 2e-4.
        betas: Adam's betas for the thresholds. Defaults to (0.0, 0.9).
        eps: Adam's eps for the thresholds. Defaults to 1e-8.

    Raises:
        ConfigError: Unknown argument or mode, bad ``lam``; when the run starts: a
            network that the model lacks, nothing prunable, a network that no
            optimiser trains, a checkpoint that does not fit.
    """

    # Before the other hooks of this package, which look for sparse networks.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        lam: float = 1e-12,
        mode: str = 'published',
        networks: Sequence[str] | None = None,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        eps: float = 1e-8,
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f'mode={mode!r} must be one of {", ".join(MODES)}')
        self.lam = check_strength(lam)
        self.mode = mode
        self.networks = networks
        self.adam = {'lr': lr, 'betas': betas, 'eps': eps}
        build_adam([torch.zeros(1)], **self.adam)
        self.optimizers: dict[str, ThresholdOptimizer] = {}
        self.model = None

    def before_run(self, runner: Runner) -> None:
        """Attaches thresholds, and their optimisers when the run trains."""
        if self.model is not runner.model:
            self.model = runner.model
            self._attach(runner)
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
        """Phase of each network and the state of the thresholds' optimisers."""
        networks = sparse_networks(self.model)
        return {
            'sparse': {name: network.sparse for name, network in networks.items()},
            'optimizers': {name: opt.state_dict() for name, opt in self.optimizers.items()},
        }

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back phases and, when training, the optimisers' state."""
        for name, network in sparse_networks(runner.model).items():
            network.set_phase(state['sparse'].get(name, True))
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state['optimizers'][name])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuses to resume what does not fit, then restores the state."""
        has_thresholds = self.saved_state(checkpoint) is not None
        if runner._resume and is_training(runner):
            _refuse_foreign_checkpoint(runner, checkpoint, has_thresholds)
        elif not has_thresholds:
            runner.logger.warning(
                'DynamicPruningHook: the checkpoint has no thresholds; they keep their '
                'start value 0, which prunes nothing'
            )
        super().after_load_checkpoint(runner, checkpoint)

    def _attach(self, runner: Runner) -> None:
        networks = find_networks(runner.model, self.networks)
        averages = find_averages(runner.model, networks)
        for name, network in networks.items():
            sparse = SparseNetwork(network, self.mode)
            runner.logger.info(f'DynamicPruningHook: {name}: {len(sparse.layers)} layers')
        for name, (average, source) in averages.items():
            for threshold in SparseNetwork(average.module, self.mode).thresholds.values():
                threshold.requires_grad_(False)
            # It froze its list of parameters when it was built.
            average.avg_parameters = (
                average.module.state_dict()
                if average.update_buffers
                else dict(average.module.named_parameters())
            )
            runner.logger.info(f'DynamicPruningHook: {name} averages {source}')

    def _build_optimizers(self, runner: Runner) -> None:
        networks = trained_sparse_networks(runner.model)
        for name, network in networks.items():
            wrappers = find_optimizers(runner.optim_wrapper, network.network)
            if not wrappers:
                raise ConfigError(
                    f'DynamicPruningHook: no optimizer trains {name!r}; give it one in '
                    'optim_wrapper, or leave it out of networks'
                )
            self.optimizers[name] = ThresholdOptimizer(network, self.lam, **self.adam)
            for wrapper in wrappers:
                self.optimizers[name].follow(
                    wrapper.optimizer,
                    scale=_loss_scale(wrapper),
                    average=_average_over_processes,
                    # A generator step sends gradient through the discriminator's masks too.
                    siblings=list(networks.values()),
                )


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


def _refuse_foreign_checkpoint(runner: Runner, checkpoint: dict, has_thresholds: bool) -> None:
    if not has_thresholds:
        raise ConfigError(
            'resume: the checkpoint has no thresholds, it comes from a run without RG hooks; '
            'to start RG-GAN from its weights set load_from to it and resume=False'
        )
    saved = checkpoint['state_dict']
    for name, value in unwrap(runner.model).state_dict().items():
        if name in saved and saved[name].shape != value.shape:
            raise ConfigError(
                f'resume: {name} has shape {tuple(saved[name].shape)} in the checkpoint and '
                f'{tuple(value.shape)} in the model; resume with the config that it was made with'
            )
    ours, theirs = _thresholds_in(unwrap(runner.model).state_dict()), _thresholds_in(saved)
    for name in sorted(ours ^ theirs):
        where = 'checkpoint' if name in ours else 'model'
        raise ConfigError(
            f'resume: the {where} has no {name}; the checkpoint was made with other pruned '
            'layers, resume with the config that it was made with'
        )


def _thresholds_in(state: dict) -> set[str]:
    return {name for name in state if name.endswith('.threshold')}
