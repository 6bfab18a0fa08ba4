"""Whether a checkpoint can be resumed by this run."""

from mmengine.runner import Runner

from rggan_mm.errors import ConfigError

from .networks import unwrap


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


def _thresholds_in(state: dict) -> set[str]:
    return {name for name in state if name.endswith('.threshold')}
