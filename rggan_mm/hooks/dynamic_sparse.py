"""Dynamic sparse training: weights are dropped by magnitude and grown by gradient."""

from collections.abc import Mapping, Sequence

from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork
from rggan_mm.pruning.drop_and_grow import DropAndGrow
from rggan_mm.pruning.strength import check_share, of_network

from .balance_ratio import BalanceRatioHook
from .corrections import refuse_others, steps_of
from .discovery import check_names, refuse_unknown
from .sparse_hook import StoredMaskHook

# ADAPT: bounds of the balance ratio, the step of the density, and generator steps between two.
_LOW, _HIGH = 0.45, 0.55
_STEP, _EVERY = 0.05, 2000


@HOOKS.register_module()
class DynamicSparseHook(StoredMaskHook):
    """Trains networks sparse from the start, with masks that change at intervals (SDST).

    The first masks are random, with the densities of Erdos-Renyi-Kernel. Every ``interval``
    generator steps a share of the kept weights is dropped, those with the smallest magnitudes of
    the network, and as many others are kept, those with the largest gradients. They start from 0.
    The discriminator changes at its next step.

    Args:
        density: Share of the weights to keep, in (0, 1], or one by network. Defaults to 0.3.
        interval: Generator steps from one change to the next. Defaults to 500.
        drop: Share of the kept weights that is dropped at first, in (0, 1]; it falls to 0 along
            a cosine over the run. Defaults to 0.5.
        fixed: Names of networks whose first mask stays, such as ['discriminator']. Default: none.
        adapt: Whether the discriminator's density follows the balance ratio, which needs a
            BalanceRatioHook: above 0.55 it rises, below 0.45 it falls, by 0.05, every 2,000
            generator steps. Default: False.
        seed: Of the first masks. Defaults to 0.
        networks: Names of the model's networks to prune; None (default): every trained one.
        include: Glob patterns of what to prune, as NETWORK.LAYER. None (default): everything.
        exclude: Glob patterns of what to leave dense.
        averages: Averaged copies by name, with the network that each one averages; None
            (default): found.

    Raises:
        ConfigError: Unknown argument or value; when the run starts: a network or layer pattern
            that the model lacks, ``adapt`` without BalanceRatioHook or with a fixed discriminator.

    Source: Wang et al., Balanced Training for Sparse GANs, NeurIPS 2023.
    """

    def __init__(
        self,
        density: float | Mapping[str, float] = 0.3,
        interval: int = 500,
        drop: float = 0.5,
        fixed: Sequence[str] = (),
        adapt: bool = False,
        seed: int = 0,
        networks: Sequence[str] | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        averages: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        for share in density.values() if isinstance(density, Mapping) else [density]:
            check_share(share, 'density', whole=True)
        if type(interval) is not int or interval < 1:
            raise ConfigError(f'interval={interval!r} must be a whole number of steps >= 1')
        self.density, self.interval = density, interval
        self.drop = check_share(drop, 'drop', whole=True)
        self.fixed = check_names('fixed', fixed) if fixed else []
        self.adapt, self.seed = adapt, seed
        self._adapted = 0
        self.choose(networks, include, exclude, averages)

    def before_run(self, runner: Runner) -> None:
        """Attaches masks; the first generator says when they change."""
        super().before_run(runner)
        if not self.followers:
            return
        refuse_others('density', self.density, self.followers)
        refuse_unknown('fixed', self.fixed, self.followers)
        self._clock = next(
            (name for name in self.followers if not name.startswith('discriminator')),
            next(iter(self.followers)),
        )
        clock = self.followers[self._clock]
        clock.every, clock.steps = self.interval, steps_of(runner, self._clock)
        clock.partners = [
            follower
            for name, follower in self.followers.items()
            if name not in (self._clock, *self.fixed)
        ]
        if self.adapt and not (self._ratios(runner) and clock.partners):
            raise ConfigError(
                'adapt=True needs a BalanceRatioHook and a discriminator that is not fixed'
            )

    def follower(self, runner: Runner, name: str, network: SparseNetwork) -> DropAndGrow:
        """Makes what changes a network's masks."""
        return DropAndGrow(network, of_network('density', self.density, name), drop=self.drop)

    def start(self, runner: Runner) -> None:
        """Makes the first masks."""
        for follower in self.followers.values():
            follower.start(self.seed)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Logs keep ratios; adapts the discriminator's density where that is asked for."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        turn = self.followers[self._clock].taken // _EVERY
        if self.adapt and turn > self._adapted:
            self._adapted = turn
            ratio = self._ratios(runner)[0].mean()
            change = _STEP if ratio > _HIGH else -_STEP if ratio < _LOW else 0.0
            for partner in self.followers[self._clock].partners:
                partner.density = min(max(partner.density + change, _STEP), 1.0)

    def state_dict(self) -> dict:
        """Kept weights, steps and densities of each network."""
        return {**super().state_dict(), 'adapted': self._adapted}

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes them back."""
        super().restore(runner, state, meta)
        self._adapted = state['adapted']

    @staticmethod
    def _ratios(runner: Runner) -> list[BalanceRatioHook]:
        return [hook for hook in runner.hooks if isinstance(hook, BalanceRatioHook)]
