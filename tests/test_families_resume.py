"""Every family, stopped and resumed, ends where the uninterrupted run ends."""

import pytest
from families import family_runner
from family_walk import Watch, differences, family_params, rg_hooks
from mmengine.hooks import Hook
from run_state import snapshot

pytestmark = pytest.mark.slow

HOOKS = [dict(type='ExactResumeHook'), dict(type='PreemptionHook')]


class Rising(Hook):
    """Makes the metric worse with each iteration, so that the phase rule goes dense."""

    priority = 'VERY_HIGH'

    def after_val_epoch(self, runner, metrics=None):
        metrics['rising/iteration'] = float(runner.iter)


def train(name, folder, **overrides):
    """One training; its end, as far as weights, optimisers, thresholds and histories go."""
    runner = family_runner(
        name,
        folder,
        hooks=HOOKS,
        metrics=[dict(type='IterationMetric')],
        rg_hooks=rg_hooks(name, 'ste'),
        default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=-1,
        train_cfg__val_interval=2,
        **overrides,
    )
    watch = Watch()
    for hook in (watch, Rising()):
        runner.register_hook(hook)
    runner.train()
    return watch.end, watch.logs, snapshot(runner)


@pytest.mark.parametrize('name', family_params())
def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path, name):
    *whole, state = train(name, tmp_path / 'whole')
    iteration = 3  # within an accumulation of BigGAN's
    start = str(tmp_path / 'whole' / f'iter_{iteration}.pth')
    *resumed, again = train(name, tmp_path / 'again', load_from=start, resume=True)
    assert differences(whole[0], resumed[0]) == []
    assert differences(whole[1][iteration:], resumed[1]) == []
    # After the last validation, which changes the running statistics of Pix2Pix.
    assert differences(state, again) == []
