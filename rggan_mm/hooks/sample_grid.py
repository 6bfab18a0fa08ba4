"""A grid of samples from fixed noise at each evaluation."""

from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.utils import save_image

from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole

from .base import CheckedHook, is_training
from .networks import unwrap

SMALLEST_SHOWN = 64


@HOOKS.register_module()
class SampleGridHook(CheckedHook):
    """Saves what the (averaged) generator makes of the same noise each time.

    The pictures are ``samples/iter_N.png`` in the work dir.

    Args:
        rows: Rows and columns of the grid. Defaults to 8.
        seed: Seed of the noise. The run's own random stream is left alone.
            Defaults to 0.

    Raises:
        ConfigError: Unknown argument, ``rows`` below 1.
    """

    def __init__(self, rows: int = 8, seed: int = 0) -> None:
        if not isinstance(rows, int) or rows < 1:
            raise ConfigError(f'rows={rows!r} must be a whole number of at least 1')
        self.rows = rows
        self.seed = seed

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draws and saves one grid."""
        iteration = runner.iter if is_training(runner) else 0
        path = Path(runner.work_dir) / 'samples' / f'iter_{iteration:06d}.png'
        images = self._images(unwrap(runner.model))
        with written_whole(path) as temporary:
            save_image(images, temporary, nrow=self.rows)

    @torch.no_grad()
    def _images(self, model: nn.Module) -> Tensor:
        """Images in [0, 1], (rows ** 2, 3, H, W), RGB."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            noise = torch.randn(self.rows**2, model.noise_size)
            samples = model(
                {
                    'noise': noise.to(model.device),
                    'sample_model': 'ema' if model.with_ema_gen else 'orig',
                }
            )
        images = torch.stack([sample.fake_img for sample in samples]).float() / 255
        images = _at_least(images, SMALLEST_SHOWN)
        bgr = model.data_preprocessor.output_channel_order == 'BGR'
        return images.flip(1) if bgr else images


def _at_least(images: Tensor, pixels: int) -> Tensor:
    """Enlarges tiny images, so that a person can see them."""
    scale = max(1, pixels // images.shape[-1])
    return interpolate(images, scale_factor=scale, mode='bilinear')
