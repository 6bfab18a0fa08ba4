"""Whether a checkpoint can be resumed by this run."""

from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.training.hook_base import unwrap


def refuse_foreign_checkpoint(runner: Runner, checkpoint: dict, has_thresholds: bool) -> None:
    """Refuses to resume a checkpoint that another config made.

    Args:
        runner: The runner, its model sparse.
        checkpoint: The checkpoint.
        has_thresholds: Whether a run with RG hooks saved it.

    Raises:
        ConfigError: No thresholds, other shapes, or other pruned layers.
    """
    if not has_thresholds:
        raise ConfigError(
            'resume: the checkpoint has no thresholds, it comes from a run without RG hooks; '
            'to start RG-GAN from its weights set load_from to it and resume=False'
        )
    saved = checkpoint['state_dict']
    for name, value in unwrap(runner.model).state_dict().items():
        if name in saved and saved[name].shape != value.shape:
            raise ConfigError(
                f'resume: {name} has shape {tuple(saved[name].shape)} in the checkpoint and '
                f'{tuple(value.shape)} in the model; resume with the config that it was made with'
            )
    ours, theirs = _thresholds_in(unwrap(runner.model).state_dict()), _thresholds_in(saved)
    for name in sorted(ours ^ theirs):
        where = 'checkpoint' if name in ours else 'model'
        raise ConfigError(
            f'resume: the {where} has no {name}; the checkpoint was made with other pruned '
            'layers, resume with the config that it was made with'
        )


def warn_of_dense_layers(runner: Runner, checkpoint: dict) -> None:
    """Warns when a test leaves layers dense that the checkpoint was trained to prune."""
    ours = _thresholds_in(unwrap(runner.model).state_dict())
    left = sorted(_thresholds_in(checkpoint['state_dict']) - ours)
    if left:
        runner.logger.warning(
            f'DynamicPruningHook: {len(left)} layers that are pruned in the checkpoint compute '
            f'dense here, {left[0].removesuffix(".threshold")} for one; use the config that it '
            'was made with'
        )


def _thresholds_in(state: dict) -> set[str]:
    return {name for name in state if name.endswith('.threshold')}
