"""Which metric names a run will produce, known before it trains."""

from collections.abc import Iterable, Iterator, Sequence

from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError
from rggan_mm.training.hook_base import unwrap
from rggan_mm.training.random_streams import streams_kept

ANY = '*'
SWD = 'SlicedWassersteinDistance'
_FID = ('fid', 'mean', 'cov')
_IS = ('is', 'is_std')
# What MMagic 1.2's metrics return; they do not say so themselves.
MMAGIC_NAMES = {
    'FrechetInceptionDistance': _FID,
    'TransFID': _FID,
    'InceptionScore': _IS,
    'TransIS': _IS,
    'PrecisionAndRecall': ('precision', 'recall'),
    'MultiScaleStructureSimilarity': ('avg',),
    'PerceptualPathLength': ('ppl_score',),
    SWD: ('avg', ANY),
}


def produced_names(runner: Runner) -> list[str]:
    """Names that the validation's metrics will report.

    Metrics of this package list theirs (``metric_names``), MMagic's are known by
    class; of others only the prefix is known, which stands here as ``PREFIX/*``.
    """
    return [name for metric in _metrics(runner) for name in _names_of(metric)]


def evaluated_networks(runner: Runner) -> dict[str, str]:
    """The network that each metric judges, by the first part of the metric's names.

    Metrics of models without a generator (CycleGAN) are left out.
    """
    model = unwrap(runner.model)
    averages = getattr(model, 'with_ema_gen', hasattr(model, 'generator_ema'))
    by_choice = {
        'orig': 'generator',
        'ema': 'generator_ema',
        None: 'generator_ema' if averages else 'generator',
    }
    found = {
        getattr(metric, 'prefix', None) or '': by_choice.get(getattr(metric, 'sample_model', ''))
        for metric in _metrics(runner)
    }
    return {prefix: name for prefix, name in found.items() if name and hasattr(model, name)}


def choose_metric(runner: Runner, hook: str) -> str:
    """Picks the metric to follow where none is named: one that falls as images improve.

    Args:
        runner: A runner whose validation loop is built.
        hook: Who asks; named in the message.

    Returns:
        Full name of the FID; without any FID, of the mean sliced Wasserstein distance.

    Raises:
        ConfigError: No validation in this run, neither of the two, or several.
    """
    check_validation(runner, 'a metric to follow', hook)
    produced = produced_names(runner)
    fids = [name for name in produced if name.rpartition('/')[2] == 'fid']
    distances = [
        name
        for metric in _metrics(runner)
        if type(metric).__name__ == SWD
        for name in _names_of(metric)
        if name.rpartition('/')[2] == 'avg'
    ]
    found = list(dict.fromkeys(fids or distances))
    if len(found) == 1:
        return found[0]
    what = f'several that could be meant: {", ".join(found)}' if found else 'no FID'
    raise ConfigError(
        f'{hook}: metric=None: val_evaluator produces {what}; name a metric that falls as images '
        f'improve, or add GANMetrics to val_evaluator; there is: {", ".join(produced) or "nothing"}'
    )


def check_metric(runner: Runner, name: str, hook: str) -> None:
    """Refuses to wait for a metric that nobody produces.

    Args:
        runner: A runner whose validation loop is built.
        name: The metric's full name.
        hook: Who waits for it; named in the message.

    Raises:
        ConfigError: No validation in this run, or no metric of that name.
    """
    check_validation(runner, f'metric={name!r}', hook)
    produced = produced_names(runner)
    if not is_produced(name, produced):
        raise ConfigError(
            f'{hook}: metric={name!r} is not produced by val_evaluator; '
            f'there is: {", ".join(produced) or "nothing"}'
        )


def is_produced(name: str, produced: Sequence[str]) -> bool:
    """Whether a metric is among names from :func:`produced_names`."""
    prefix, slash, _ = name.rpartition('/')
    return name in produced or f'{prefix}{slash}{ANY}' in produced


def check_validation(runner: Runner, what: str, hook: str) -> None:
    """Refuses a run that never validates.

    Args:
        runner: A runner that trains.
        what: What needs validation; named in the message.
        hook: Who needs it; named in the message.

    Raises:
        ConfigError: No validation loop, or none within the length of the run.
    """
    if runner.val_loop is not None and runner.train_loop.val_interval < 1:
        raise ConfigError(
            f'train_cfg.val_interval={runner.train_loop.val_interval} must be an integer of '
            'at least 1'
        )
    if runner.val_loop is None or runner.train_loop.val_begin > train_length(runner):
        raise ConfigError(
            f'{hook}: {what} needs validation, but this run has none; set val_cfg, '
            'val_dataloader, val_evaluator and a val_begin that the run reaches'
        )
    if runner.train_loop.val_interval > train_length(runner):
        raise ConfigError(
            f'{hook}: {what} needs validation, but train_cfg.val_interval='
            f'{runner.train_loop.val_interval} is more than the {train_length(runner)} of this '
            'run; lower val_interval or train longer'
        )


def train_length(runner: Runner) -> int:
    """Length of the training in what validation is counted in: epochs or iterations."""
    loop = runner.train_loop
    return loop.max_epochs if isinstance(loop, EpochBasedTrainLoop) else loop.max_iters


def _metrics(runner: Runner) -> Iterable:
    loop = runner.val_loop
    evaluators = getattr(loop, 'evaluators', None) or [loop.evaluator]
    return [metric for evaluator in evaluators for metric in evaluator.metrics or ()]


def _names_of(metric: object) -> list[str]:
    if hasattr(metric, 'metric_names'):
        return list(metric.metric_names)
    prefix = getattr(metric, 'prefix', None)
    names = MMAGIC_NAMES.get(type(metric).__name__, (ANY,))
    return [f'{prefix}/{name}' if prefix else name for name in names]


def check_first_validation(runner: Runner) -> None:
    """Refuses a run whose first validation cannot work.

    Args:
        runner: A runner whose validation loop is built.

    Raises:
        ConfigError: The best checkpoint waits for a metric that nobody produces, or as in
            :func:`check_metrics`.
    """
    _check_best(runner)
    check_metrics(runner)


def check_metrics(runner: Runner) -> None:
    """Refuses metrics that cannot work with the run's model and images.

    Args:
        runner: A runner; nothing is checked where it does not validate.

    Raises:
        ConfigError: A metric wants more real images than there are, the average of a model
            without one, or images of noise from a model without noise; or what our metrics
            themselves refuse.
    """
    model = unwrap(runner.model)
    for loader, metrics in loaders_and_metrics(runner):
        for metric in metrics:
            _check_images(metric, len(loader.dataset))
            _check_noise(metric, model)
            _check_average(metric, model)
            if hasattr(metric, 'metric_names') and hasattr(metric, 'check'):  # ours
                with streams_kept():  # the data set's pipeline may draw from them
                    metric.check(model, loader)


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


def _check_average(metric: object, model: object) -> None:
    wanted = getattr(metric, 'sample_model', None)
    # MMagic's translation models know no average and ask for none.
    if wanted in ('ema', 'ema/orig') and getattr(model, 'with_ema_gen', True) is False:
        raise ConfigError(
            f'val_evaluator: {type(metric).__name__} has sample_model={wanted!r}, but '
            f"{type(model).__name__} has no averaged generator: set sample_model='orig' or give "
            'the model an ema_config'
        )


def loaders_and_metrics(runner: Runner) -> Iterator[tuple[DataLoader, Sequence]]:
    """Loader and metrics of each part of the validation; nothing where there is none."""
    loop = runner.val_loop
    if loop is None:
        return
    loaders = getattr(loop, 'dataloaders', None) or [loop.dataloader]
    evaluators = getattr(loop, 'evaluators', None) or [loop.evaluator]
    for loader, evaluator in zip(loaders, evaluators, strict=True):
        yield loader, evaluator.metrics or ()
