"""Refuses a training set that is smaller than one batch."""

from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError

from .hook_base import CheckedHook, is_training


@HOOKS.register_module()
class DataCheckHook(CheckedHook):
    """Stops before training when the images do not fill one batch."""

    def before_run(self, runner: Runner) -> None:
        """Compares the training set's size with the batch size."""
        if not is_training(runner):
            return
        loader = runner.train_dataloader
        images, batch = len(loader.dataset), loader.batch_size
        if batch is not None and images < batch:
            raise ConfigError(
                f'train_dataloader: {images} images are fewer than batch_size={batch}; '
                'raise data_ratio or lower batch_size'
            )
