"""The average's momentum follows the batch size."""

import pytest
from tiny import hook_of, tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import AverageHalfLifeHook


@pytest.mark.parametrize('batch', [8, 4])
def test_half_of_a_weight_is_left_after_as_many_images(tmp_path, batch):
    hook = dict(type='AverageHalfLifeHook', images=80)
    options = {'train_dataloader.batch_size': batch, 'train_cfg.max_iters': 1}
    runner = tiny_runner(tmp_path, custom_hooks=[hook], **options)
    runner.train()
    assert hook_of(runner, AverageHalfLifeHook).images == 80
    momentum = runner.model.generator_ema.momentum
    assert (1 - momentum) ** (80 / batch) == pytest.approx(0.5)


def test_a_model_without_average_is_refused(tmp_path):
    runner = tiny_runner(
        tmp_path,
        custom_hooks=[dict(type='AverageHalfLifeHook')],
        **{'model.ema_config': None, 'val_evaluator.metrics.0.sample_model': 'orig'},
    )
    with pytest.raises(ConfigError, match='AverageHalfLifeHook: the model has no'):
        runner.train()


@pytest.mark.parametrize('images', [0, -1, None, True, float('nan')])
def test_images_must_be_a_number_above_zero(images):
    with pytest.raises(ConfigError, match='images='):
        AverageHalfLifeHook(images)
