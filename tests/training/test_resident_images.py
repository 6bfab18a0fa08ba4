"""Images that stay in memory: the same batches in the same order."""

import pytest
import torch
from exact_runs import OPTIONS
from mmengine.runner import Runner
from run_state import Snapshot, assert_same
from tiny import Records, take_hooks, tiny_config

from rggan_mm.training import resident_images


def train(folder, hooks, **overrides):
    config = tiny_config(folder, **{**OPTIONS, **overrides})
    take_hooks(config)
    config.custom_hooks += hooks
    runner = Runner.from_cfg(config)
    end, records = Snapshot(), Records(runner)
    runner.register_hook(end)
    runner.train()
    assert 'forward' not in vars(runner.model.data_preprocessor)
    return end.end, records


def test_training_is_the_same(tmp_path):
    hook = [dict(type='ResidentImagesHook')]
    plain, _ = train(tmp_path / 'plain', [])
    fast, records = train(tmp_path / 'fast', hook)
    assert records.having('143 images stay on cpu')
    assert_same(fast, plain)
    start = str(tmp_path / 'plain' / 'iter_3.pth')
    resumed, _ = train(tmp_path / 'resumed', hook, load_from=start, resume=True)
    assert_same(resumed, plain)


@pytest.mark.parametrize(
    ('hook', 'changes', 'reason'),
    [
        (dict(most_megabytes=0.01), {}, 'they need 0.44 MB, most_megabytes=0.01'),
        (
            {},
            {
                'train_dataloader.dataset.pipeline': [
                    dict(type='Flip', keys=['gt'], flip_ratio=0.5, direction='horizontal'),
                    dict(type='PackInputs'),
                ]
            },
            'Flip of the pipeline may draw at random',
        ),
    ],
)
def test_why_images_stay_where_they_are(tmp_path, hook, changes, reason):
    changes = {'train_cfg.max_iters': 5, **changes}
    _, records = train(tmp_path, [dict(type='ResidentImagesHook', **hook)], **changes)
    assert len(records.having(reason)) == 1


def test_a_batch_of_places(tmp_path):
    images = torch.arange(12.0).view(3, 1, 2, 2)
    kept = resident_images.ResidentImages(images, None, _Sample())
    batch = kept.batch(resident_images.Places(torch.tensor([2, 0]), None))
    assert torch.equal(batch['data_samples'].gt_img, images[[2, 0]])


class _Sample:
    """Stands for MMagic's DataSample."""
