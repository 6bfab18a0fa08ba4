"""Sparse checkpoints to export, with what their networks computed in an evaluation."""

import copy

import torch
from families import family_runner
from family_walk import rg_hooks
from mmengine.hooks import Hook
from tiny import tiny_runner

from rggan_mm.analysis.model_building import build_model
from rggan_mm.export.loading import Trained, networks_of
from rggan_mm.hooks.discovery import sparse_networks
from rggan_mm.pruning.magnitudes import magnitudes


class Evaluated:
    """A family's tiny run, pruned by half, saved and evaluated.

    Attributes:
        config: Its config.
        checkpoint: Path of its checkpoint.
        calls: By name of the network, its first call in the evaluation: arguments, state of the
            random numbers, whether it was in train mode, and output.
    """

    def __init__(self, name, folder):
        hooks = {**rg_hooks(name, 'published'), 'dense_merge': None}
        runner = family_runner(name, folder, rg_hooks=hooks, train_cfg__max_iters=2)
        runner.register_hook(PruneHalf())
        runner.train()
        self.config, self.checkpoint = runner.cfg, folder / 'sparse.pth'
        runner.save_checkpoint(str(folder), 'sparse.pth', by_epoch=False)
        self.calls = {}
        for name, network in networks_of(runner.model).items():
            network.register_forward_pre_hook(self._before(name), with_kwargs=True)
            network.register_forward_hook(self._after(name))
        runner.val()

    def trained(self):
        """What the checkpoint holds."""
        return Trained(self.config, self.checkpoint)

    def stock(self, name):
        """The network of a model that knows nothing of thresholds, in eval mode."""
        return networks_of(build_model(self.config))[name].eval()

    def difference(self, name, network):
        """How far a network is from what was evaluated, of the largest value (at least 1)."""
        args, kwargs, random, training, wanted = self.calls[name]
        torch.set_rng_state(random)
        network.train(training)  # Pix2Pix is evaluated so
        with torch.no_grad():
            found = network(*args, **kwargs)
        return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1))

    def _before(self, name):
        def before(module, args, kwargs):
            if name not in self.calls:
                given = copy.deepcopy((args, kwargs))
                self.calls[name] = [*given, torch.get_rng_state(), module.training, None]

        return before

    def _after(self, name):
        def after(module, args, output):
            if self.calls[name][-1] is None:
                self.calls[name][-1] = copy.deepcopy(output)

        return after


class PruneHalf(Hook):
    """Prunes half of each layer when the training ends."""

    def after_train(self, runner):
        for network in sparse_networks(runner.model).values():
            prune_half(network)


@torch.no_grad()
def prune_half(network):
    """Sets the thresholds of a sparse network between the two middle weights of each layer."""
    network.set_phase(False)  # magnitudes are those of a dense phase
    for layer in network.layers.values():
        if layer.threshold is None:
            continue
        found = layer.rule.size(magnitudes([layer.info])[0]).flatten().sort().values
        middle = len(found) // 2
        layer.threshold.fill_((found[middle - 1] + found[middle]) / 2)
    network.set_phase(True)


def train_half(folder, **overrides):
    """Trains a tiny run with half of its weights pruned; config.py and sparse.pth are there then.

    Returns:
        Its runner.
    """
    runner = tiny_runner(folder, train_cfg__max_iters=2, **overrides)
    runner.register_hook(PruneHalf())
    runner.train()
    runner.cfg.dump(folder / 'config.py')
    runner.save_checkpoint(str(folder), 'sparse.pth', by_epoch=False)
    return runner
