"""A grid of samples from fixed noise at each evaluation."""

from pathlib import Path

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.utils import save_image

from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole
from rggan_mm.training.hook_base import CheckedHook, is_training, unwrap
from rggan_mm.training.random_streams import streams_kept

SMALLEST_SHOWN = 64
MOST_ROWS = 100
ON_DISK = ('VisBackend', 'LocalVisBackend')


@HOOKS.register_module()
class SampleGridHook(CheckedHook):
    """Saves what the (averaged) generator makes of the same noise each time.

    The pictures are ``samples/iter_N.png`` in the work dir; TensorBoard, Weights & Biases and
    MLflow get them as ``samples``, where a config names them.

    Args:
        rows: Rows and columns of the grid, 1 to 100. Defaults to 8.
        seed: Seed of the noise. The run's own random stream is left alone.
            Defaults to 0.
        without_noise: What happens with a model that does not make images of noise of one size,
            such as CycleGAN, Pix2Pix or SinGAN: 'error' (default), or 'skip' as in ``rg.py``.

    Raises:
        ConfigError: Unknown argument, ``rows`` or ``seed`` out of range; such a model.
    """

    def __init__(self, rows: int = 8, seed: int = 0, without_noise: str = 'error') -> None:
        if type(rows) is not int or not 1 <= rows <= MOST_ROWS:
            raise ConfigError(f'rows={rows!r} must be an integer from 1 to {MOST_ROWS}')
        if type(seed) is not int or not 0 <= seed < 2**32:
            raise ConfigError(f'seed={seed!r} must be an integer in [0, 2**32)')
        if without_noise not in ('error', 'skip'):
            raise ConfigError(f"without_noise={without_noise!r} must be 'error' or 'skip'")
        self.rows = rows
        self.seed = seed
        self.without_noise = without_noise
        self._skipped = False
        self._data_order: str | None = None

    def before_run(self, runner: Runner) -> None:
        """Checks that there is noise to make images of."""
        model = unwrap(runner.model)
        if getattr(model, 'noise_size', None) is not None:
            return
        text = (
            f'SampleGridHook: {type(model).__name__} has no noise_size, so it makes no '
            "images of plain noise; use MMagic's VisualizationHook in its place"
        )
        if self.without_noise == 'error':
            raise ConfigError(text)
        self._skipped = True
        runner.logger.info(text)

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draws and saves one grid."""
        if self._skipped:
            return
        iteration = runner.iter if is_training(runner) else 0
        path = Path(runner.work_dir) / 'samples' / f'iter_{iteration:06d}.png'
        images = self._images(unwrap(runner.model))
        if self._order(runner) == 'BGR':
            images = images.flip(1)
        with written_whole(path) as temporary:
            save_image(images, temporary, nrow=self.rows)
        _send(path, iteration, runner.visualizer)

    @torch.no_grad()
    def _images(self, model: nn.Module) -> Tensor:
        """Images in [0, 1], (rows ** 2, 3, H, W), in the model's channel order."""
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
        return _at_least(images, SMALLEST_SHOWN)

    def _order(self, runner: Runner) -> str:
        """Channel order of what the model is trained on, and so of what it makes."""
        order = unwrap(runner.model).data_preprocessor.output_channel_order
        if order is None and self._data_order is None:
            self._data_order = _order_of_data(runner)
        return (order or self._data_order).upper()


def _send(path: Path, iteration: int, visualizer: Visualizer) -> None:
    """Hands a picture on; the backends of this machine's disk would save it again."""
    for backend in visualizer._vis_backends.values():
        if type(backend).__name__ not in ON_DISK:
            with Image.open(path) as picture:
                backend.add_image('samples', np.asarray(picture), iteration)


def _order_of_data(runner: Runner) -> str:
    """Channel order in which the validation set, and so the training set, is loaded."""
    loaders = getattr(runner.val_loop, 'dataloaders', None) or [runner.val_loop.dataloader]
    with streams_kept():  # the data set's pipeline may draw from them
        sample = loaders[0].dataset[0].get('data_samples')
    # BGR is what MMagic's preprocessor assumes where nothing is said.
    return getattr(sample, 'metainfo', {}).get('gt_channel_order', 'BGR')


def _at_least(images: Tensor, pixels: int) -> Tensor:
    """Enlarges tiny images, so that a person can see them."""
    scale = max(1, pixels // images.shape[-1])
    return interpolate(images, scale_factor=scale, mode='bilinear')
