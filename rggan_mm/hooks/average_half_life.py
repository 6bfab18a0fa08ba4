"""The momentum of averages from the images that an iteration takes."""

from numbers import Real

from mmengine.dist import get_world_size
from mmengine.model import BaseAveragedModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.training.hook_base import CheckedHook

from .discovery import children_of


@HOOKS.register_module()
class AverageHalfLifeHook(CheckedHook):
    """Sets how long averaged networks remember, in images in place of iterations.

    A momentum in the config fits one batch size. This one is derived when training starts,
    from the batch size and the number of processes: ``1 - 0.5 ** (batch / images)``.

    Args:
        images: Training images after which a weight counts half. Default: 10,000, as for
            StyleGAN2.

    Raises:
        ConfigError: ``images`` is no number above 0; when training starts: the model has no
            average with a momentum.
    """

    def __init__(self, images: float = 10_000) -> None:
        if not isinstance(images, Real) or isinstance(images, bool) or not 0 < images < 1e12:
            raise ConfigError(f'images={images!r} must be a number above 0')
        self.images = images

    def before_train(self, runner: Runner) -> None:
        """Sets the momentum of every average."""
        averages = {
            name: child
            for name, child in children_of(runner.model).items()
            if isinstance(child, BaseAveragedModel) and hasattr(child, 'momentum')
        }
        if not averages:
            raise ConfigError(
                'AverageHalfLifeHook: the model has no ExponentialMovingAverage; give it an '
                'ema_config, or leave the hook out'
            )
        batch = runner.train_loop.dataloader.batch_size * get_world_size()
        for name, average in averages.items():
            average.momentum = 1 - 0.5 ** (batch / self.images)
            runner.logger.info(
                f'AverageHalfLifeHook: {name} has momentum {average.momentum:.3g}: half-life '
                f'{self.images:g} images at {batch} images an iteration'
            )
