"""tools/analysis/choose_lambda.py: which lambda, which threshold, which share kept."""

import re
import sys

import pytest
import torch
from tiny import DIGITS, ROOT, tiny_runner
from tool_modules import load_command

from rggan_mm.analysis.lambda_choice import outcome, read_thresholds
from rggan_mm.errors import ConfigError
from rggan_mm.hooks.discovery import sparse_networks
from rggan_mm.pruning.calibration import lam_for, threshold_after

DENSE = ROOT / 'configs' / 'sngan_digits_10pct.py'
# Iterations of the config; its generator steps once in five of them.
STEPS = {'generator': 1600, 'discriminator': 8000}


@pytest.fixture(scope='module')
def tool():
    return load_command('choose_lambda')


@pytest.fixture
def ask(tool, monkeypatch, capsys):
    """Runs the tool; exit code, rows as (network, steps, lambda, threshold, ...), error."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['choose_lambda.py', *map(str, arguments)])
        code = tool.main()
        out, err = capsys.readouterr()
        assert 'mmengine' not in out
        run.said = [line.strip() for line in out.splitlines()]
        lines = [line.strip('│ ').split('│') for line in out.splitlines() if '│' in line]
        return code, {row[0].strip(): [cell.strip() for cell in row[1:]] for row in lines}, err

    return run


def test_lambda_from_steps_and_threshold_and_back(ask):
    code, rows, _ = ask('--steps', 79000, '--threshold', 0.05)
    steps, lam, threshold = rows['-']
    assert (code, steps, threshold) == (0, '79,000', '0.05')
    assert float(lam) == pytest.approx(lam_for(0.05, 79000), rel=1e-3)
    _, rows, _ = ask('--steps', 79000, '--lam', lam)
    assert float(rows['-'][2]) == pytest.approx(0.05, rel=1e-3)


def test_lr_eps_and_share_of_sparse_steps_count(ask):
    options = ('--lr', 1e-3, '--eps', 1e-7, '--sparse-share', 0.5)
    _, rows, _ = ask('--steps', 1000, '--lam', 1e-8, *options)
    assert rows['-'][0] == '500'
    assert float(rows['-'][2]) == pytest.approx(threshold_after(500, 1e-8, 1e-3, 1e-7), rel=1e-3)


def test_config_alone_says_what_its_lambda_does(ask):
    code, rows, _ = ask(DIGITS)
    assert code == 0
    for network, steps in STEPS.items():
        shown, lam, threshold, kept, _ = rows[network]
        assert shown == f'{steps:,}'
        assert float(lam) == 7e-11
        assert float(threshold) == pytest.approx(threshold_after(steps, 7e-11, 4e-4), rel=1e-3)
        assert 0 < float(kept.rstrip('%')) < 100


def test_config_with_a_keep_ratio_shows_what_it_asks_for(ask):
    _, rows, _ = ask(DIGITS.with_name('rg_sngan_digits_5pct.py'))
    assert [row[3] for network, row in rows.items() if network in STEPS] == ['80.0%', '80.0%']


def test_lambda_for_a_share_leaves_that_share_at_the_start(ask):
    code, rows, _ = ask(DIGITS, '--keep-ratio', 0.6)
    assert code == 0
    for network, steps in STEPS.items():
        _, lam, threshold, kept, _ = rows[network]
        assert kept == '60.0%'
        reached = threshold_after(steps, float(lam), 4e-4)
        assert reached == pytest.approx(float(threshold), rel=2e-3)


def test_start_is_that_of_the_run(tmp_path, ask):
    """A run whose thresholds stand where the tool says keeps what the tool says."""
    _, rows, _ = ask(DIGITS, '--keep-ratio', 0.6)
    runner = tiny_runner(tmp_path, model__generator__base_channels=24)
    runner.call_hook('before_run')
    runner._init_model_weights()
    generator = sparse_networks(runner.model)['generator']
    for threshold in generator.thresholds.values():
        threshold.data.fill_(float(rows['generator'][2]))
    generator.network.eval()(None, num_batches=2)
    assert generator.keep_ratio() == pytest.approx(0.6, abs=0.005)


def test_settings_of_the_command_line_go_before_those_of_the_config(ask):
    _, rows, _ = ask(DIGITS, '--lr', 1e-3, '--lam', 1e-9)
    expected = threshold_after(STEPS['generator'], 1e-9, 1e-3)
    assert float(rows['generator'][2]) == pytest.approx(expected, rel=1e-3)
    _, rows, _ = ask(DIGITS, '--cfg-options', 'train_cfg.max_iters=500')
    assert (rows['generator'][0], rows['discriminator'][0]) == ('100', '500')


def write_config(folder, text, base=DENSE):
    path = folder / 'config.py'
    path.write_text(f"_base_ = ['{base}']\n{text}\n")
    return path


def test_hook_in_the_list_of_custom_hooks_is_found(tmp_path):
    hook = "dict(type='DynamicPruningHook', lam=3e-9, lr=1e-3, eps=1e-7, networks=['generator'])"
    (case,) = read_thresholds(write_config(tmp_path, f'custom_hooks = [{hook}]'))
    assert (case.network, case.lam, case.lr, case.eps) == ('generator', 3e-9, 1e-3, 1e-7)
    assert case.min_keep is None


def test_layers_that_the_hook_excludes_do_not_count(tmp_path):
    every, _ = read_thresholds(DIGITS)
    text = "rg_hooks = dict(pruning=dict(exclude=['generator.noise2feat']))"
    fewer, _ = read_thresholds(write_config(tmp_path, text, DIGITS))
    assert len(fewer.magnitudes) == len(every.magnitudes) - 1
    assert every.min_keep == 0.01


def test_config_without_the_hook_has_no_lambda_of_its_own():
    cases = read_thresholds(DENSE)
    assert {case.network: case.steps for case in cases} == STEPS
    assert {(case.lam, case.lr, case.eps) for case in cases} == {(None, 2e-4, 1e-8)}
    with pytest.raises(ConfigError, match='the config has no DynamicPruningHook and so no lambda'):
        outcome(cases[0])
    assert outcome(cases[0], lam=1e-12).lam == 1e-12


def test_config_that_mmagic_brings():
    name = 'mmagic::sagan/sagan_woReLUinplace_lr2e-4-ndisc5-1xb64_cifar10-32x32.py'
    cases = read_thresholds(name)
    steps = {case.network: case.steps for case in cases}
    assert steps == {'generator': 100_000, 'discriminator': 500_000}
    assert all(0 < outcome(case, lam=1e-12).keep_ratio < 1 for case in cases)


@pytest.mark.parametrize('name', ['rg_sngan_digits_35.py', 'rg_sngan_digits_10pct.py'])
def test_the_advice_fits_the_config(ask, tmp_path, name):
    config = DIGITS.with_name(name)
    _, rows, _ = ask(config, '--threshold', 0.05)
    (line,) = [line for line in ask.said if line.startswith('rg_hooks = ')]
    assert ('keep_ratio=None' in line) == (name == 'rg_sngan_digits_35.py')
    cases = read_thresholds(write_config(tmp_path, line, config))
    assert [case.keep_ratio for case in cases] == [None] * len(STEPS)
    shown = [float(rows[case.network][1]) for case in cases]
    assert [case.lam for case in cases] == pytest.approx(shown, rel=1e-2)


def test_what_the_numbers_leave_out_is_said(ask):
    mode = 'rg_hooks.pruning.mode=ste'
    ask(DIGITS, '--cfg-options', mode)
    assert "mode 'ste': the task's own gradient comes on top" in ask.said
    ask(DIGITS)
    assert 'lr 0.0004, eps 1e-08, sparse share 1' in ask.said
    assert any(line.startswith('trained weights move') for line in ask.said)
    assert not any(line.startswith('mode') for line in ask.said)


def test_hook_with_a_priority_of_its_own(tmp_path):
    text = "custom_hooks = [dict(type='DynamicPruningHook', lam=3e-9, priority='HIGH')]"
    assert read_thresholds(write_config(tmp_path, text))[0].lam == 3e-9


@pytest.fixture
def checkpoint(tmp_path):
    """Weights twice as large as a run starts with; spectral norms take that back."""
    runner = tiny_runner(tmp_path, model__generator__base_channels=24)
    runner._init_model_weights()
    state = {
        name: value * 2 if name.startswith('generator.') else value
        for name, value in runner.model.state_dict().items()
    }
    path = tmp_path / 'weights.pth'
    torch.save({'state_dict': state, 'meta': {}}, path)
    return path


@pytest.mark.parametrize('wrapper', ['', 'module.'])
def test_weights_of_a_checkpoint(checkpoint, wrapper, tmp_path):
    saved = torch.load(checkpoint)
    saved['state_dict'] = {
        re.sub(r'^(generator|discriminator)\.', rf'\1.{wrapper}', name): value
        for name, value in saved['state_dict'].items()
    }
    torch.save(saved, checkpoint)
    options = {'model.discriminator.base_channels': 4}
    start, loaded = (read_thresholds(DIGITS, options, file)[0] for file in (None, checkpoint))
    for before, after in zip(start.magnitudes, loaded.magnitudes, strict=True):
        assert torch.allclose(before * 2, after)


def errors(tmp_path):
    foreign, broken, other, tensor = (tmp_path / f'{name}.pth' for name in 'abcd')
    torch.save(torch.zeros(3), tensor)
    torch.save({'conv.weight': torch.zeros(3)}, foreign)
    broken.write_bytes(b'no checkpoint')
    torch.save({'generator.noise2feat.weight': torch.zeros(1, 1)}, other)
    return {
        ('--threshold', 0.05): 'give a config or --steps',
        ('--steps', 10): '--steps needs --threshold or --lam',
        ('--steps', 10, '--keep-ratio', 0.5): '--keep-ratio needs a config',
        ('--steps', 10, '--lam', 1, '--checkpoint', foreign): 'need a config',
        ('--steps', 10, '--lam', 1, '--sparse-share', 0): '--sparse-share 0.0 must be above 0',
        ('--steps', 10, '--lam', -1): 'lam=-1.0 must be a finite number >= 0',
        ('--steps', 10, '--threshold', 1): 'threshold=1 is out of reach: 10 steps of lr=0.0002',
        (DIGITS, '--steps', 10): '--steps 10: the config has its own',
        (DIGITS, '--threshold', 1): 'generator: threshold=1 is out of reach: 1600 steps of',
        (DIGITS, '--keep-ratio', 1): 'generator: keep_ratio=1.0 must be',
        (tmp_path / 'no.py',): 'no.py: there is no such file',
        (DIGITS, '--checkpoint', tmp_path / 'no.pth'): 'no.pth: there is no such file',
        (DIGITS, '--checkpoint', foreign): 'a.pth does not fit the config: it has no generator.',
        (DIGITS, '--checkpoint', broken): 'b.pth is not readable as a checkpoint',
        (DIGITS, '--checkpoint', tensor): 'd.pth is not readable as a checkpoint',
        (DIGITS, '--checkpoint', other): 'c.pth does not fit the config: size mismatch for',
        (DIGITS, '--cfg-options', 'train_cfg.max_iters=None'): 'train_cfg.max_iters=None must be',
    }


def test_bad_input_ends_in_one_line(ask, tmp_path):
    for arguments, message in errors(tmp_path).items():
        code, rows, err = ask(*arguments)
        assert (code, rows) == (1, {}), arguments
        assert err.startswith('error: '), arguments
        assert message in err
        assert err.count('\n') == 1, err
