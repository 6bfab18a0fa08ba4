"""Re-GAN: the generator trains sparse and dense in turn."""

from collections.abc import Sequence

from mmengine.dist import get_world_size
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork
from rggan_mm.pruning.quantile_masks import QuantileMasks
from rggan_mm.schedule import iterations

from .dense_merge import DenseMergeHook
from .discovery import find_networks, sparse_networks
from .sparse_hook import StoredMaskHook


@HOOKS.register_module()
class ReGANHook(StoredMaskHook):
    """Prunes the smallest numbers of a generator in stretches, and lets them regrow from 0.

    First a dense warm-up, then sparse and dense stretches in turn. At the start of every epoch
    of a sparse stretch the numbers of each parameter below a quantile of its magnitudes are masked:
    weights, biases, norms, all of them. They and their gradients become 0 before each step.

    All lengths are in iterations; an iteration is one batch of real images. Where a paper counts
    epochs, one is the training images / the batch size.

    Args:
        warmup: Iterations of the warm-up. Defaults to 10000 (published for StyleGAN2; for SNGAN
            100 to 200 epochs).
        interval: Iterations of each stretch. Defaults to 5000 (StyleGAN2; SNGAN 5 epochs).
        epoch: Iterations after which a sparse stretch renews its masks. None (default): an epoch
            of the training images.
        sparsity: Share of each parameter that is masked, in (0, 1). Defaults to 0.3.
        dense_lr: What the learning rate is multiplied with in dense stretches, the warm-up left
            out. Defaults to 0.1.
        networks: Names of the networks; None (default): those whose name begins with generator.

    Raises:
        ConfigError: Unknown argument or value; when the run starts: no such network, or a
            DenseMergeHook, which switches phases as well.

    Source: Saxena et al., Re-GAN, CVPR 2023.
    """

    def __init__(
        self,
        warmup: int = 10000,
        interval: int = 5000,
        epoch: int | None = None,
        sparsity: float = 0.3,
        dense_lr: float = 0.1,
        networks: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        for field, value, least in (('warmup', warmup, 0), ('interval', interval, 1)):
            _check_length(field, value, least)
        if epoch is not None:
            _check_length('epoch', epoch, 1)
        if not (isinstance(sparsity, float) and 0 < sparsity < 1):
            raise ConfigError(f'sparsity={sparsity!r} must be a number above 0 and below 1')
        if not (isinstance(dense_lr, (int, float)) and dense_lr > 0):
            raise ConfigError(f'dense_lr={dense_lr!r} must be a number above 0')
        self.warmup, self.interval, self.epoch = warmup, interval, epoch
        self.sparsity, self.dense_lr = sparsity, dense_lr
        self.choose(networks)

    def before_run(self, runner: Runner) -> None:
        """Attaches masks to the generators."""
        if any(isinstance(hook, DenseMergeHook) for hook in runner.hooks):
            raise ConfigError('ReGANHook: DenseMergeHook switches phases as well; leave one out')
        if self.chosen['networks'] is None:
            names = [n for n in find_networks(runner.model) if n.startswith('generator')]
            self.choose(names or None)
        super().before_run(runner)

    def follower(self, runner: Runner, name: str, network: SparseNetwork) -> QuantileMasks:
        """Makes what masks a network."""
        return QuantileMasks(network, self.sparsity, self.dense_lr)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Begins an epoch or a stretch where one is due."""
        place = runner.iter - self.warmup
        epoch = self.epoch or _epoch_of(runner)
        if runner.iter and (place < 0 or place % self.interval % epoch):
            return
        sparse = place >= 0 and place // self.interval % 2 == 0
        for follower in self.followers.values():
            follower.begin_epoch(sparse, slow=place >= 0 and not sparse)
        for network in sparse_networks(runner.model).values():
            if network.sparse != sparse:
                network.set_phase(sparse)


def _epoch_of(runner: Runner) -> int:
    loader = runner.train_dataloader
    return iterations(len(loader.dataset), loader.batch_size * get_world_size(), 1)


def _check_length(field: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise ConfigError(f'{field}={value!r} must be a whole number of iterations >= {least}')
