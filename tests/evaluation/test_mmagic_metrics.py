"""MMagic's own FID and Inception Score beside ours, with a local TorchScript file."""

import json

import pytest
import torch
from gan_of_reals import ChannelStatistics, ColourNoise, build, metric_of, one_round
from mmagic.evaluation import Evaluator
from mmagic.registry import METRICS
from mmengine.config import Config
from mmengine.runner import Runner
from tiny import ROOT, TINY, hook_of
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DenseMergeHook

BASE = ROOT / 'configs' / '_base_' / 'mmagic_metrics.py'
CONFIG = """
_base_ = ['{root}/configs/rg_sngan_digits_10pct.py', '{root}/configs/_base_/mmagic_metrics.py']
val_evaluator = dict(metrics=_base_.mmagic_metrics)
rg_hooks = dict(dense_merge=dict(metric='{metric}'))
"""


class Channels(nn.Module):
    """What :class:`ChannelStatistics` computes, with the interface of MMagic's Inception."""

    def forward(
        self, images: Tensor, return_features: bool = False, no_output_bias: bool = False
    ) -> Tensor:
        images = images.float() / 255
        features = torch.cat([images.mean((2, 3)), images[:, :, 0, 0]], dim=1)
        return features if return_features else (5 * features[:, 3:]).softmax(1)


@pytest.fixture(scope='module')
def inception(tmp_path_factory):
    path = tmp_path_factory.mktemp('jit') / 'channels.pt'
    torch.jit.script(Channels()).save(str(path))
    return str(path)


def mmagic_metrics(inception, folder, **arguments):
    """The metrics of the base file, small and local."""
    metrics = Config.fromfile(BASE).mmagic_metrics
    for metric in metrics:
        metric.update(inception_path=inception, **arguments)
    metrics[0].update(inception_pkl=str(folder / 'real.pkl'))
    return metrics


def test_they_agree_with_ours_on_a_model_in_bgr(inception, tmp_path):
    data = ColourNoise()
    # MMagic cuts fractions off, so these colours are whole numbers.
    model = build(data, 'BGR', indices=range(16))
    arguments = {'fake_nums': 16, 'sample_model': 'orig'}
    metrics = mmagic_metrics(inception, tmp_path, **arguments)
    metrics[1].update(use_pillow_resize=False, resize=False, splits=2)
    ours = metric_of(values=['fid', 'is'], extractor=ChannelStatistics(), is_splits=2, **arguments)
    evaluator = Evaluator([*map(METRICS.build, metrics), ours])
    result = one_round(evaluator, model, DataLoader(data, batch_size=4))
    assert result['FID-Full/fid'] == pytest.approx(result['channels/fid'], rel=0.05)
    assert result['channels/fid'] > 1e-4
    assert result['IS/is'] == pytest.approx(result['channels/is'], rel=0.01)


def run(folder, inception, metric):
    path = folder / 'config.py'
    path.write_text(CONFIG.format(root=ROOT, metric=metric))
    config = Config.fromfile(path)
    config.merge_from_dict({k: v for k, v in TINY.items() if 'metrics' not in k})
    config.val_evaluator.metrics = mmagic_metrics(inception, folder, fake_nums=20)
    config.default_hooks.checkpoint.save_best = metric
    next(hook for hook in config.custom_hooks if hook['type'] == 'CurvesHook')['metric'] = metric
    config.merge_from_dict({'work_dir': str(folder / 'run'), 'train_cfg.max_iters': 7})
    runner = Runner.from_cfg(config)
    runner.train()
    return runner


def test_they_drive_an_rg_run(inception, tmp_path):
    runner = run(tmp_path, inception, 'FID-Full/fid')
    records = json.loads((tmp_path / 'run' / 'evaluations.json').read_text())
    assert len(records) == 7
    assert all(record['metrics']['IS/is'] >= 1 for record in records)
    history = hook_of(runner, DenseMergeHook).history.records
    assert [r['value'] for r in history] == [r['metrics']['FID-Full/fid'] for r in records]
    assert len(list((tmp_path / 'run').glob('best_FID-Full_fid_iter_*.pth'))) == 1
    assert (tmp_path / 'real.pkl').exists()


def test_a_name_that_they_do_not_give_is_refused(inception, tmp_path):
    with pytest.raises(ConfigError, match=r"'FID/fid' is not produced.*there is: FID-Full/fid"):
        run(tmp_path, inception, 'FID/fid')
