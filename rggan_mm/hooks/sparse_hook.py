"""What hooks that prune share: choosing layers, the keep ratio's log, checkpoints that fit."""

from collections.abc import Mapping, Sequence

from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork
from rggan_mm.pruning.layers import check_patterns
from rggan_mm.pruning.mask_rules import MaskRule, StoredMask, ThresholdRule
from rggan_mm.pruning.sparse_network import PHASE
from rggan_mm.pruning.steps import StepFollower
from rggan_mm.training.hook_base import StatefulHook, is_training, log_interval, unwrap

from .attaching import attach
from .discovery import (
    check_mapping,
    check_names,
    find_optimizers,
    sparse_networks,
    trained_sparse_networks,
)
from .inference import tensors_of_rules


class SparseHook(StatefulHook):
    """Makes networks of a model sparse, in a training or a test.

    At the logger's interval the keep ratio of each network is logged as ``NAME_keep_ratio``.

    Attributes:
        rule: Which weights are kept.
        mode: Threshold gradient, for thresholds.
    """

    # Before the other hooks of this package, which look for sparse networks.
    priority = 'ABOVE_NORMAL'
    rule: type[MaskRule] = ThresholdRule
    mode = 'published'
    model = None

    def choose(
        self,
        networks: Sequence[str] | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        averages: Mapping[str, str] | None = None,
    ) -> None:
        """Says what is pruned; see :class:`DynamicPruningHook` for the arguments."""
        check_patterns(include, exclude)
        self.chosen = {
            'networks': check_names('networks', networks),
            'include': include,
            'exclude': exclude,
            'averages': check_mapping('averages', averages),
        }

    def before_run(self, runner: Runner) -> None:
        """Attaches what the rule needs."""
        if self.model is runner.model:
            return
        self.model = runner.model
        trained = runner.optim_wrapper if is_training(runner) else None
        lines = attach(
            runner.model, self.mode, optim_wrapper=trained, rule=self.rule, **self.chosen
        )
        for line in lines:
            runner.logger.info(f'{type(self).__name__}: {line}')

    def before_train(self, runner: Runner) -> None:
        """Starts sparse, whatever phase the weights came from."""
        for network in sparse_networks(runner.model).values() if not runner._resume else ():
            if not network.sparse:
                network.set_phase(True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Logs keep ratios and the phase at the logger's interval."""
        if not self.every_n_train_iters(runner, log_interval(runner)):
            return
        for name, network in trained_sparse_networks(runner.model).items():
            runner.message_hub.update_scalar('train/sparse_phase', int(network.sparse))
            for key, value in self.measures(network).items():
                runner.message_hub.update_scalar(f'train/{name}_{key}', value)

    def measures(self, network: SparseNetwork) -> dict[str, float]:
        """What is logged of a network."""
        return {'keep_ratio': network.keep_ratio()}

    def state_dict(self) -> dict:
        """Kept weights of each network."""
        networks = sparse_networks(self.model)
        return {'counts': {name: network.counts() for name, network in networks.items()}}

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back the counts."""
        for name, network in sparse_networks(runner.model).items():
            network.recall(state.get('counts', {}).get(name, {}))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuses to resume what does not fit, then restores the state."""
        saved = checkpoint.get('state_dict', {})
        if runner._resume and is_training(runner):
            self._refuse_foreign(runner, saved, self.saved_state(checkpoint))
        elif not self._tensors_in(saved):
            runner.logger.warning(
                f'{type(self).__name__}: the checkpoint has no {self.rule.name}s; they keep their '
                'start value, which prunes nothing'
            )
        elif not is_training(runner):
            self._warn_of_test(runner, checkpoint)
        super().after_load_checkpoint(runner, checkpoint)

    def optimizers_of(
        self,
        runner: Runner,
        name: str,
        network: SparseNetwork,
        keys: Sequence[str] | None = None,
    ) -> list[OptimWrapper]:
        """The optimiser wrappers that train a network.

        Raises:
            ConfigError: There is none.
        """
        wrappers = find_optimizers(runner.optim_wrapper, network.network, keys)
        if not wrappers:
            raise ConfigError(
                f'{type(self).__name__}: no optimizer trains {name!r}; give it one in '
                'optim_wrapper, or leave it out of networks'
            )
        return wrappers

    def _tensors_in(self, state: dict) -> set[str]:
        ending = f'.{self.rule.name}'
        return {name for name in tensors_of_rules(state) if name.endswith(ending)}

    def _warn_of_test(self, runner: Runner, checkpoint: dict) -> None:
        """Warns where a test computes otherwise than the training did."""
        saved = checkpoint['state_dict']
        ours = self._tensors_in(unwrap(runner.model).state_dict())
        left = sorted(self._tensors_in(saved) - ours)
        if left:
            runner.logger.warning(
                f'{type(self).__name__}: {len(left)} layers that are pruned in the checkpoint '
                f'compute dense here, {left[0].rpartition(".")[0]} for one; use the config that it '
                'was made with'
            )
        has_phase = any(name.rpartition('.')[2] == PHASE for name in saved)
        if not has_phase and self.saved_state(checkpoint) is None:
            runner.logger.warning(
                f'{type(self).__name__}: the checkpoint does not say its phase, it was reduced by '
                'an older version; the networks compute sparse'
            )

    def _refuse_foreign(self, runner: Runner, saved: dict, state: dict | None) -> None:
        """Refuses to resume a checkpoint that another config made, or that is not whole."""
        kind = f'{self.rule.name}s'
        ours, theirs = (
            self._tensors_in(found) for found in (unwrap(runner.model).state_dict(), saved)
        )
        if not theirs:
            raise ConfigError(
                f'resume: the checkpoint has no {kind}, it comes from a run without '
                f'{type(self).__name__}; to start from its weights set load_from to it and '
                'resume=False'
            )
        if state is None:
            raise ConfigError(
                f'resume: the checkpoint has {kind} and no state of {type(self).__name__} (key '
                'rggan_mm), it was reduced to its weights; to start from them set load_from to it '
                'and resume=False'
            )
        for name, value in unwrap(runner.model).state_dict().items():
            if name in saved and saved[name].shape != value.shape:
                raise ConfigError(
                    f'resume: {name} has shape {tuple(saved[name].shape)} in the checkpoint and '
                    f'{tuple(value.shape)} in the model; resume with the config that it was made '
                    'with'
                )
        for name in sorted(ours ^ theirs):
            where = 'checkpoint' if name in ours else 'model'
            raise ConfigError(
                f'resume: the {where} has no {name}; the checkpoint was made with other pruned '
                'layers, resume with the config that it was made with'
            )


class StoredMaskHook(SparseHook):
    """Keeps masks beside the weights, as ``mask`` in the state dict of each layer.

    Attributes:
        followers: What acts around the steps of each network's optimisers.
    """

    rule = StoredMask

    def __init__(self) -> None:
        self.followers: dict[str, StepFollower] = {}

    def before_run(self, runner: Runner) -> None:
        """Attaches masks, and follows the optimisers when the run trains."""
        super().before_run(runner)
        if is_training(runner) and not self.followers:
            for name, network in trained_sparse_networks(runner.model).items():
                self.followers[name] = self.follower(runner, name, network)
                for wrapper in self.optimizers_of(runner, name, network):
                    self.followers[name].follow(wrapper.optimizer)

    def before_train(self, runner: Runner) -> None:
        """Starts sparse; a run that was not resumed gets its first masks."""
        super().before_train(runner)
        if runner.iter == 0:
            self.start(runner)

    def follower(self, runner: Runner, name: str, network: SparseNetwork) -> StepFollower:
        """Makes what acts around the steps of a network's optimisers."""
        return StepFollower(network)

    def start(self, runner: Runner) -> None:
        """Makes the first masks."""

    def state_dict(self) -> dict:
        """Kept weights of each network, and what its follower needs."""
        followers = {name: follower.state_dict() for name, follower in self.followers.items()}
        return {**super().state_dict(), 'followers': followers}

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back the counts and, when training, what the followers need."""
        super().restore(runner, state, meta)
        for name, follower in self.followers.items():
            follower.load_state_dict(state['followers'][name])
