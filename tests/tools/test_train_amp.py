"""``--amp`` of the training command."""

import sys

import pytest
from mmengine.device import get_device
from tiny import DIGITS
from tool_modules import TOOLS, load_command

train = load_command('train')


def settings_of(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(TOOLS / 'train.py'), str(DIGITS), *arguments])
    return train.load_config(train.parse_args()).optim_wrapper.generator


def test_without_amp_the_config_stays(monkeypatch):
    assert settings_of(monkeypatch).type == 'OptimWrapper'


@pytest.mark.parametrize(
    ('arguments', 'dtype'),
    [
        (['--amp'], 'bfloat16' if get_device() == 'cpu' else 'float16'),
        (['--amp', 'bf16'], 'bfloat16'),
    ],
)
def test_amp_reaches_the_config(monkeypatch, arguments, dtype):
    settings = settings_of(monkeypatch, *arguments)
    assert (settings.type, settings.dtype) == ('SafeAmpOptimWrapper', dtype)


def test_another_precision_is_one_line(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        settings_of(monkeypatch, '--amp', 'fp8')
    assert "argument --amp: invalid choice: 'fp8'" in capsys.readouterr().err
