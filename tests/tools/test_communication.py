"""tools/analysis/communication.py: what processes tell each other, with and without RG-GAN."""

import sys

import pytest
from mmengine.config import Config
from tiny import DIGITS, ROOT, TINY
from tool_modules import load_tool

from dev.communication.traced_runs import trace_modes, with_mode
from rggan_mm.analysis.model_building import build_model
from rggan_mm.training.hook_base import unwrap

pytestmark = pytest.mark.slow

SMALL = {
    **TINY,
    'model.discriminator_steps': 2,
    'default_hooks.checkpoint.save_best': None,
    # Or the first validation reads the real images and the others find their statistics.
    'val_evaluator.metrics.0.cache_dir': None,
}
DENSE = ROOT / 'configs' / 'sngan_digits_10pct.py'
FLOAT = 4


def tiny(path=DIGITS):
    config = Config.fromfile(path)
    config.merge_from_dict(SMALL)
    return config


def gradient_bytes(network):
    return FLOAT * sum(p.numel() for p in network.parameters() if p.requires_grad)


def threshold_bytes(network):
    """One threshold per output channel of a convolution or linear layer."""
    weights = [
        p for name, p in network.named_parameters() if name.endswith(('weight', 'weight_orig'))
    ]
    return FLOAT * sum(len(weight) for weight in weights if weight.ndim > 1)


@pytest.fixture(scope='module')
def found():
    return trace_modes(tiny(), processes=2, iterations=6, validate=True)


@pytest.mark.slow
def test_parts_come_as_often_as_the_config_says(found):
    for parts in found.values():
        times = {name: part.times for name, part in parts.items()}
        assert times['discriminator step'] == 6
        assert times['generator step'] == 3
        assert times['rest of an iteration'] == 5
        assert times['rest, with a checkpoint'] == 1
        assert times['validation'] == 1


@pytest.mark.slow
@pytest.mark.parametrize('network', ['generator', 'discriminator'])
def test_a_step_sends_the_gradients_and_ste_those_of_all_thresholds(found, network):
    module = getattr(unwrap(build_model(tiny())), network)
    part = f'{network} step'
    gradients, thresholds = gradient_bytes(module), threshold_bytes(module)
    assert found['dense'][part] == found['published'][part]
    assert (found['dense'][part].calls, found['dense'][part].bytes) == (1, gradients)
    assert found['ste'][part].calls == 2
    assert found['ste'][part].bytes == gradients + thresholds


@pytest.mark.slow
def test_between_steps_rg_sends_nothing(found):
    for part in ('rest of an iteration', 'rest, with a checkpoint', 'validation'):
        assert found['dense'][part] == found['published'][part] == found['ste'][part]


def test_modes_of_configs_with_and_without_rg():
    for path in (DIGITS, DENSE):
        hooks = {mode: with_mode(tiny(path), mode).custom_hooks for mode in (None, 'ste')}
        kinds = [hook['type'] for hook in hooks[None]]
        assert 'CurvesHook' in kinds
        assert 'DynamicPruningHook' not in kinds
        (pruning,) = [hook for hook in hooks['ste'] if hook['type'] == 'DynamicPruningHook']
        assert pruning['mode'] == 'ste'


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, 'argv', ['communication.py', *map(str, arguments)])
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')  # as the tool sets it
    status = load_tool('analysis/communication').main()
    return status, *capsys.readouterr()


def test_command(monkeypatch, capsys):
    options = [f'{key}={value}' for key, value in SMALL.items()]
    arguments = ['--iterations', 3, '--markdown', '--cfg-options', *options]
    status, out, _ = call(monkeypatch, capsys, DIGITS, *arguments)
    assert status == 0
    rows = [[cell.strip() for cell in line.strip('| \n').split('|')] for line in out.splitlines()]
    table = {row[0]: row[1:] for row in rows if len(row) == 5}
    assert table['part of the run'] == ['times', 'dense', 'published', 'ste']
    times, dense, published, ste = table['discriminator step']
    assert times == '3'
    assert dense == published
    assert (dense.split(':')[0], ste.split(':')[0]) == ('1', '2')
    assert 'validation' not in table


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--processes', 1], 'error: processes=1 must be at least 2'),
        (['--iterations', 0], 'error: iterations=0 must be at least 1'),
        (['--cfg-options', 'train_cfg.by_epoch=True'], 'error: train_cfg.by_epoch=True'),
        pytest.param(
            ['--cfg-options', 'rg_hooks.pruning.lam=-1'],
            'error: lam=-1',
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bad_input_is_one_line(monkeypatch, capsys, arguments, message):
    status, _, err = call(monkeypatch, capsys, DIGITS, *arguments)
    assert status == 1
    assert err.startswith(message)
