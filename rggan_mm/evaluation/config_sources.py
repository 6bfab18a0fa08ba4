"""Images that a config describes: its validation set, or what a checkpoint generates."""

import io
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.images import real_batches, to_rgb01
from rggan_mm.evaluation.protocol import describe
from rggan_mm.evaluation.weights_file import one_line
from rggan_mm.training import SafeRunner


class ConfigSource:
    """A runner for a config that is used for its model and its data, not to train.

    Args:
        config: Config file.
        checkpoint: Weights to load, with the state of the RG hooks. Default: None.
        options: Changes to the config, as ``--cfg-options`` makes them. Default: None.

    Raises:
        ConfigError: No such file.
    """

    def __init__(self, config: Path, checkpoint: Path | None = None, options: dict | None = None):
        for path in filter(None, (config, checkpoint)):
            if not Path(path).is_file():
                raise ConfigError(f'{path}: there is no such file')
        self._folder = tempfile.TemporaryDirectory(prefix='rggan_mm_')
        settings = Config.fromfile(config)
        settings.merge_from_dict(options or {})
        settings.update(work_dir=self._folder.name, launcher='none', log_level='WARNING')
        # MMEngine hands a runner of the same name the logger of the one before.
        settings.update(experiment_name=Path(self._folder.name).name)
        settings.update(load_from=checkpoint and str(checkpoint), resume=False)
        self.runner = SafeRunner.from_cfg(settings)
        self.model = self.runner.model
        self.judged = ''

    def load(self) -> None:
        """Brings in the checkpoint as a test would: thresholds and phase included."""
        self.runner.register_hook(_FitHook(self.judged), priority='HIGHEST')
        self.runner.call_hook('before_run')
        with redirect_stdout(io.StringIO()):  # MMEngine announces each file on the output
            self.runner.load_or_resume()
        self.model.eval()


class _FitHook(Hook):
    """Refuses a checkpoint whose generator is not the one that will be judged."""

    def __init__(self, judged: str):
        self.judged = judged

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        wanted = self._shapes(runner.model.state_dict())
        found = self._shapes(checkpoint.get('state_dict', checkpoint))
        if wrong := sorted(name for name in wanted | found if wanted.get(name) != found.get(name)):
            raise ConfigError(
                f'{runner._load_from} does not fit the config: {len(wrong)} weights of the judged '
                f'generator are missing, left over or of another shape, such as {wrong[0]}; '
                'give the config that it was trained with'
            )

    def _shapes(self, state: dict) -> dict[str, tuple]:
        shapes = {name: tuple(getattr(value, 'shape', ())) for name, value in state.items()}
        ours = {name: shape for name, shape in shapes.items() if name.startswith(self.judged)}
        return ours or shapes


def validation_loader(runner: Runner) -> DataLoader:
    """The loader of a config's validation images, without worker processes."""
    here = {'num_workers': 0, 'persistent_workers': False}
    return runner.build_dataloader({**runner.cfg.val_dataloader, **here})


class ValidationImages(ConfigSource):
    """The validation images of a config, as its model sees them.

    Args:
        config: Config file.
        batch_size: Images at a time. Default: 50.
        options: Changes to the config. Default: None.
    """

    def __init__(self, config: Path, batch_size: int = 50, options: dict | None = None):
        super().__init__(config, options=options)
        dataset = validation_loader(self.runner).dataset
        self.loader = DataLoader(dataset, batch_size=batch_size)
        self.name = describe(dataset, len(dataset))

    def __len__(self) -> int:
        return len(self.loader.dataset)

    def batches(self) -> Iterator[Tensor]:
        """RGB images in [0, 1], shape (N, 3, H, W)."""
        indices = range(len(self))
        for images, order in real_batches(self.model.data_preprocessor, self.loader, indices):
            yield to_rgb01(images, order)


class GeneratedImages(ConfigSource):
    """Images that the generator of a checkpoint makes.

    Args:
        config: Config file that the checkpoint was trained with.
        checkpoint: The checkpoint.
        total: Number of images, at least 2.
        batch_size: Images at a time. Default: 50.
        seed: Seed of the noise. Default: 0.
        sample_model: ``'ema'`` or ``'orig'``; None is the average where there is one.
            Default: None.
        options: Changes to the config. Default: None.

    Raises:
        ConfigError: No such file; the checkpoint has another generator; the model has no
            averaged generator; neither the config nor its validation images tell the order
            of channels.
    """

    def __init__(
        self,
        config: Path,
        checkpoint: Path,
        total: int,
        batch_size: int = 50,
        seed: int = 0,
        sample_model: str | None = None,
        options: dict | None = None,
    ):
        super().__init__(config, checkpoint, options)
        has_average = getattr(self.model, 'with_ema_gen', False)
        if sample_model == 'ema' and not has_average:
            raise ConfigError(f"sample_model='ema', but {config} has no averaged generator")
        self.sample_model = sample_model or ('ema' if has_average else 'orig')
        self.order = self._channel_order(config)
        self.judged = 'generator_ema.' if self.sample_model == 'ema' else 'generator.'
        self.load()
        self.total, self.batch_size, self.seed = total, batch_size, seed
        self.name = f'{Path(checkpoint).name} ({self.sample_model}, seed {seed})'

    def _channel_order(self, config: Path) -> str:
        """The order that the config sets, else that of its validation images, as in training."""
        order = getattr(self.model.data_preprocessor, 'output_channel_order', None)
        if order is not None:
            return order
        try:
            loader = validation_loader(self.runner)
            return next(real_batches(self.model.data_preprocessor, loader, [0]))[1]
        except Exception as error:  # whatever a data set raises that is not there
            raise ConfigError(
                f'{config}: model.data_preprocessor.output_channel_order must be RGB or BGR, or '
                f'the colours of the generated images are unknown (its images: {one_line(error)})'
            ) from error

    def __len__(self) -> int:
        return self.total

    @torch.no_grad()
    def batches(self) -> Iterator[Tensor]:
        """RGB images in [0, 1], shape (N, 3, H, W)."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            for start in range(0, self.total, self.batch_size):
                # Always whole batches: the last images do not depend on the total.
                inputs = {'sample_model': self.sample_model, 'num_batches': self.batch_size}
                samples = self.model.val_step({'inputs': inputs})
                images = torch.stack([sample.fake_img for sample in samples])
                yield to_rgb01(images[: self.total - start], self.order)
