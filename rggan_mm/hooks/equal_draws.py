"""Warns of processes that all draw the same random numbers."""

from mmengine.dist import get_world_size
from mmengine.runner import Runner

from .base import is_training


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
