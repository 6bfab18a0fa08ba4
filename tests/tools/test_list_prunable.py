"""The table of what is pruned, for one config and for all families."""

import re
import sys

import pytest
from tiny import DIGITS, ROOT
from tool_modules import TOOLS, load_command

from dev.families import FAMILIES
from rggan_mm.analysis.prunable import inspect_config
from rggan_mm.commands.configs import read_config
from rggan_mm.errors import ConfigError

tool = load_command('list_prunable')
DCGAN = FAMILIES['dcgan'].config


@pytest.fixture
def run(monkeypatch, capsys):
    """Exit status, output and errors of a command line."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOLS / 'list_prunable.py'), *map(str, arguments)])
        status = tool.main()
        return status, *capsys.readouterr()

    return run


def cells(line, separator):
    return [cell.strip() for cell in line.split(separator)[1:-1]]


def test_one_row_per_layer_with_shape_and_reason(run):
    status, out, _ = run(DCGAN, '--markdown')
    assert status == 0
    rows = [cells(line, '|') for line in out.splitlines() if line.startswith('|')]
    assert ['generator.noise2feat.conv', 'ConvTranspose2d', '100x1024x4x4', '1', 'yes', ''] in rows
    assert ['generator.noise2feat.bn', 'BatchNorm2d', '1024', '', 'no', 'normalisation'] in rows
    assert ['discriminator.output_layer.conv', 'Conv2d', '1x1024x4x4', '0', 'yes', ''] in rows
    assert 'generator (trained): 5 of 9 layers, 12,654,592 of 12,658,435 parameters' in out


def test_the_configs_own_hook_decides(run):
    options = '--cfg-options', "rg_hooks.pruning.exclude=['generator.to_rgb*']"
    status, out, _ = run(DIGITS, '--markdown', *options)
    assert status == 0
    reasons = [cells(line, '|')[-1] for line in out.splitlines() if 'to_rgb' in line]
    assert reasons.count('excluded by generator.to_rgb*') == 1
    assert re.search(r'generator_ema \(average of generator\): 7 of .*; the same layers', out)


def test_counts_are_those_of_the_model():
    generator, discriminator, average = inspect_config(read_config(str(DIGITS)))
    assert [r.role for r in (generator, discriminator, average)] == [
        'trained',
        'trained',
        'average of generator',
    ]
    weights = sum(info.stored.numel() for info in generator.pruned)
    assert generator.prunable_weights == weights < generator.parameters
    assert sum(generator.classes().values()) == len(generator.pruned) == 8
    assert average.prunable_weights == weights


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['missing.py'], 'error: config=missing.py: there is no such file'),
        (['mmagic::dcgan/missing.py'], 'error: config=mmagic::dcgan/missing.py: there is no such'),
        (['nowhere::x.py'], "error: config=nowhere::x.py: the package 'nowhere' is not installed"),
        ([DIGITS, '--cfg-options', 'model=None'], 'error: model=None: the config has no model'),
        (
            [DIGITS, '--cfg-options', 'rg_hooks.pruning.networks=[critic]'],
            "error: networks: there is no 'critic'",
        ),
    ],
)
def test_bad_input_is_one_line(run, arguments, message):
    status, out, errors = run(*arguments)
    assert (status, out) == (1, '')
    assert errors.startswith(message)
    assert errors.count('\n') == 1


def test_nothing_named_is_a_usage_error(run):
    with pytest.raises(SystemExit):
        run()


def test_a_family_that_cannot_be_trained_has_a_reason():
    reasons = {family.key: family.reason for family in FAMILIES.values() if not family.trainable}
    assert list(reasons) == ['eg3d']
    with pytest.raises(ConfigError, match='no such file'):
        read_config('mmagic::eg3d/missing.py')


@pytest.mark.slow
def test_the_support_matrix_in_the_docs_is_what_the_tool_prints(run):
    status, out, _ = run('--families', '--markdown')
    assert status == 0
    assert len(out.splitlines()) > 2 * (len(FAMILIES) - 1)
    text = (ROOT / 'docs' / 'support.md').read_text()
    assert out in text
