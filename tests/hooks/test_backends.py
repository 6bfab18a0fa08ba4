"""What a run hands to TensorBoard, read back from its event file."""

import json

import pytest
from mmengine.runner import Runner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_config


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Work dir of a run, and its events."""
    work_dir = tmp_path_factory.mktemp('run')
    config = tiny_config(work_dir, train_cfg__max_iters=8, train_cfg__val_interval=2)
    config.visualizer.vis_backends = [dict(type='VisBackend'), dict(type='TensorboardVisBackend')]
    Runner.from_cfg(config).train()
    (folder,) = {path.parent for path in work_dir.rglob('events.out.*')}
    events = EventAccumulator(str(folder), size_guidance={'images': 0})
    return work_dir, events.Reload()


def test_keep_ratios_thresholds_phase_and_fid_arrive(trained):
    work_dir, events = trained
    records = json.loads((work_dir / 'evaluations.json').read_text())
    fids = [event.value for event in events.Scalars('digits/fid')]
    assert fids == pytest.approx([record['metrics']['digits/fid'] for record in records])
    assert [event.step for event in events.Scalars('digits/fid')] == [2, 4, 6, 8]
    assert {event.value for event in events.Scalars('sparse_phase')} == {1.0}
    for name in ('generator', 'discriminator'):
        last = events.Scalars(f'{name}_threshold')[-1].value
        assert last == pytest.approx(records[-1]['threshold'][name])
        last = events.Scalars(f'{name}_keep_ratio')[-1].value
        assert last == pytest.approx(records[-1]['keep_ratio'][name])


def test_the_sample_grid_arrives_and_is_saved_once(trained):
    work_dir, events = trained
    assert [event.step for event in events.Images('samples')] == [2, 4, 6, 8]
    assert events.Images('samples')[0].width == 2 * 66 + 2
    assert len(list(work_dir.rglob('*.png'))) == 4 + 1  # and the curves
