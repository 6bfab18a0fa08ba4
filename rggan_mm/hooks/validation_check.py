"""What would only fail at the first validation, hours later, found before training."""

from collections.abc import Iterable, Iterator

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError

from .metric_names import is_produced, produced_names
from .networks import unwrap


def check_first_validation(runner: Runner) -> None:
    """Refuses a run whose first validation cannot work.

    Args:
        runner: A runner whose validation loop is built.

    Raises:
        ConfigError: The best checkpoint waits for a metric that nobody produces, a metric
            wants more real images than there are, or one that makes images of noise gets a
            model without.
    """
    _check_best(runner)
    for dataset, metrics in _pairs(runner):
        for metric in metrics:
            _check_images(metric, len(dataset))
            _check_noise(metric, unwrap(runner.model))


def _check_best(runner: Runner) -> None:
    produced = produced_names(runner)
    names = [
        name
        for hook in runner.hooks
        if isinstance(hook, CheckpointHook)
        for name in hook.save_best or ()
    ]
    for name in names:
        if name != 'auto' and not is_produced(name, produced):
            raise ConfigError(
                f'default_hooks.checkpoint.save_best={name!r} is not produced by val_evaluator; '
                f'there is: {", ".join(produced) or "nothing"}'
            )


def _check_images(metric: object, images: int) -> None:
    wanted = getattr(metric, 'real_nums', None)
    # Ours takes what there is; MMagic's stops at an assertion.
    if hasattr(metric, 'metric_names') or not isinstance(wanted, int) or wanted <= images:
        return
    raise ConfigError(
        f'val_evaluator: {type(metric).__name__} wants real_nums={wanted} real images, '
        f'val_dataloader holds {images}; lower real_nums (for SWD fake_nums), or take GANMetrics'
    )


def _check_noise(metric: object, model: object) -> None:
    if hasattr(metric, 'metric_names') and getattr(model, 'noise_size', None) is None:
        raise ConfigError(
            f'val_evaluator: {type(metric).__name__} makes images of noise, which '
            f"{type(model).__name__} does not take; use a metric of MMagic's for it, such as "
            'TransFID for CycleGAN and Pix2Pix'
        )


def _pairs(runner: Runner) -> Iterator[tuple[object, Iterable]]:
    """Data set and metrics of each part of the validation."""
    loop = runner.val_loop
    loaders = getattr(loop, 'dataloaders', None) or [loop.dataloader]
    evaluators = getattr(loop, 'evaluators', None) or [loop.evaluator]
    for loader, evaluator in zip(loaders, evaluators, strict=True):
        yield loader.dataset, evaluator.metrics or ()
