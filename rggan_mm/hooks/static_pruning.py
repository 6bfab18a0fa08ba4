"""Static pruning: masks that are made once, before training, and stay."""

from collections.abc import Mapping, Sequence

from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.pruning.sparse_training import (
    magnitude_masks,
    random_masks,
    set_masks,
    weight_sizes,
)
from rggan_mm.pruning.strength import check_share, of_network

from .corrections import refuse_others
from .sparse_hook import StoredMaskHook

_BY = ('magnitude', 'random')


@HOOKS.register_module()
class StaticPruningHook(StoredMaskHook):
    """Prunes networks once, when training starts, and trains what is left.

    Args:
        keep_ratio: Share of the weights to keep, in (0, 1], or one by network.
        by: 'magnitude' (default): the largest weights of all layers of a network together, as the
            layers multiply with them. 'random': the same share of each layer, drawn at random.
        seed: Of the draws. Defaults to 0.
        networks: Names of the model's networks to prune; None (default): every trained one.
        include: Glob patterns of what to prune, as NETWORK.LAYER. None (default): everything.
        exclude: Glob patterns of what to leave dense.
        averages: Averaged copies by name, with the network that each one averages; None
            (default): found.

    Raises:
        ConfigError: Unknown argument or value; when the run starts: a network or layer pattern
            that the model lacks, nothing prunable, a checkpoint that does not fit.
    """

    def __init__(
        self,
        keep_ratio: float | Mapping[str, float],
        by: str = 'magnitude',
        seed: int = 0,
        networks: Sequence[str] | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        averages: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        if by not in _BY:
            raise ConfigError(f'by={by!r} must be one of {", ".join(_BY)}')
        shares = keep_ratio.values() if isinstance(keep_ratio, Mapping) else [keep_ratio]
        for share in shares:
            check_share(share, whole=True)
        self.keep_ratio, self.by, self.seed = keep_ratio, by, seed
        self.choose(networks, include, exclude, averages)

    def before_run(self, runner: Runner) -> None:
        """Attaches masks."""
        super().before_run(runner)
        if self.followers:
            refuse_others('keep_ratio', self.keep_ratio, self.followers)

    def start(self, runner: Runner) -> None:
        """Makes the masks."""
        for name, follower in self.followers.items():
            share = of_network('keep_ratio', self.keep_ratio, name)
            sizes = weight_sizes(follower.network)
            if self.by == 'magnitude':
                masks = magnitude_masks(sizes, share)
            else:
                shapes = {layer: size.shape for layer, size in sizes.items()}
                masks = random_masks(shapes, dict.fromkeys(shapes, share), self.seed)
            set_masks(follower.network, masks)
