"""DiffAugment in stock trainers: on whatever the discriminator receives."""

from collections.abc import Sequence

from mmengine.dist import get_world_size
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from rggan_mm.datasets.transforms import DiffAugment
from rggan_mm.errors import ConfigError
from rggan_mm.training.hook_base import CheckedHook, is_training, unwrap


@HOOKS.register_module()
class DiffAugmentHook(CheckedHook):
    """Augments every image that a discriminator sees while it trains.

    Real and fake images, in the discriminator's and in the generator's step, with
    the gradient flowing through (Zhao et al., NeurIPS 2020). Under several processes each
    augments with draws of its own if ``randomness.diff_rank_seed`` is True, as in our and
    MMagic's base configs; a line warns where it is not.

    Args:
        policy: Comma-separated list out of color, translation, cutout. Defaults to
            all three, as published.
        discriminators: Names of the model's discriminators; None (default) takes
            every child whose name starts with 'discriminator'.

    Raises:
        ConfigError: Unknown argument or policy; when training starts: a name that the
            model lacks, or no discriminator.
    """

    def __init__(
        self,
        policy: str = 'color,translation,cutout',
        discriminators: Sequence[str] | None = None,
    ) -> None:
        self.augment = DiffAugment(policy)
        self.discriminators = discriminators
        self._handles: list = []

    def before_run(self, runner: Runner) -> None:
        """Checks that there is a discriminator, and that processes differ."""
        self._find(unwrap(runner.model))
        warn_of_equal_draws(runner, type(self).__name__)

    def before_train(self, runner: Runner) -> None:
        """Starts augmenting."""
        self.after_train(runner)
        for module in self._find(unwrap(runner.model)):
            handle = module.register_forward_pre_hook(self._augment_input, with_kwargs=True)
            self._handles.append(handle)

    def after_train(self, runner: Runner) -> None:
        """Stops augmenting."""
        while self._handles:
            self._handles.pop().remove()

    def _find(self, model: nn.Module) -> list[nn.Module]:
        children = {name: unwrap(child) for name, child in model.named_children()}
        starts = [name for name in children if name.startswith('discriminator')]
        names = starts if self.discriminators is None else list(self.discriminators)
        unknown = [name for name in names if name not in children]
        if unknown or not names:
            raise ConfigError(
                f'DiffAugmentHook: discriminators={self.discriminators}: the model has '
                f'{", ".join(children)}; name those that see images'
            )
        # A dict or list of discriminators (CycleGAN) is never called itself.
        return [leaf for name in names for leaf in _members(children[name])]

    def _augment_input(self, module: nn.Module, args: tuple, kwargs: dict) -> tuple | None:
        if not module.training:
            return None
        if args and _is_images(args[0]):
            return (self.augment(args[0]), *args[1:]), kwargs
        for name, value in kwargs.items():
            if _is_images(value):
                return args, {**kwargs, name: self.augment(value)}
        raise ConfigError(
            f'DiffAugmentHook: {type(module).__name__} received no batch of images (N, C, H, W)'
        )


def _is_images(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim == 4


def _members(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, nn.ModuleDict):
        return [unwrap(member) for member in module.values()]
    if isinstance(module, nn.ModuleList):
        return [unwrap(member) for member in module]
    return [module]


def warn_of_equal_draws(runner: Runner, hook: str) -> None:
    """Says so when the processes of a training run share one random stream.

    MMEngine seeds them alike unless the config sets ``randomness.diff_rank_seed``. Then
    each makes the same noise and augments alike, and more processes bring fewer different
    images than they should.

    Args:
        runner: The runner.
        hook: Class name of the hook that speaks.
    """
    alike = not runner._randomness_cfg.get('diff_rank_seed', False)
    if alike and get_world_size() > 1 and is_training(runner):
        runner.logger.warning(
            f'{hook}: randomness.diff_rank_seed is False, so all processes draw the same noise '
            'and augmentations; set randomness=dict(diff_rank_seed=True)'
        )
