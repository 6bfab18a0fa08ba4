"""Resuming a checkpoint that was saved to be small, and names of a run's own."""

import pytest
import torch
from tiny import Records, tiny_runner

from rggan_mm.errors import ConfigError

NAMED = {'default_hooks.checkpoint.filename_tmpl': 'digits16_{:06d}.pth'}


def train(folder, iterations, **options):
    runner = tiny_runner(folder, train_cfg__max_iters=iterations, **options)
    records = Records(runner)
    runner.train()
    return runner, records


def test_a_run_with_names_and_a_folder_of_its_own_goes_on(tmp_path):
    options = {**NAMED, 'default_hooks.checkpoint.out_dir': str(tmp_path / 'elsewhere')}
    train(tmp_path / 'run', 4, **options)
    assert (tmp_path / 'elsewhere' / 'run' / 'digits16_000004.pth').is_file()
    (tmp_path / 'run' / 'last_checkpoint').unlink()
    _, records = train(tmp_path / 'run', 6, resume=True, **options)
    assert records.having('resumed epoch: 0, iter: 4')


@pytest.mark.parametrize('template', ['it_{:06x', 'it_{step}.pth', '{0}_{1}.pth'])
def test_a_template_that_takes_no_number_is_refused(tmp_path, template):
    with pytest.raises(ConfigError, match='filename_tmpl='):
        tiny_runner(tmp_path, **{'default_hooks.checkpoint.filename_tmpl': template})


@pytest.mark.parametrize('resumed', ['best', 'small'])
def test_a_resume_says_what_starts_afresh(tmp_path, resumed):
    small = {'default_hooks.checkpoint.save_optimizer': resumed == 'best'}
    train(tmp_path, 2, train_cfg__val_interval=2, **small)
    (best,) = tmp_path.glob('best_*_iter_2.pth')
    options = {'load_from': str(best)} if resumed == 'best' else {}
    runner, records = train(tmp_path, 4, resume=True, **options, **small)
    assert runner.iter == 4
    (warning,) = records.having('was saved without optimizer')
    assert 'afresh at iteration 2' in warning
    name = best.name if resumed == 'best' else 'iter_2.pth'
    assert name in warning


def test_a_whole_checkpoint_resumes_without_a_word(tmp_path):
    train(tmp_path, 2)
    _, records = train(tmp_path, 4, resume=True)
    assert not records.having('was saved without')


@pytest.mark.parametrize('lacking', ['message_hub', 'meta'])
def test_weights_alone_are_refused_in_one_line(tmp_path, lacking):
    dense = {'custom_hooks': [{'type': 'DataCheckHook'}]}
    train(tmp_path, 2, **dense)
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=True)
    del checkpoint[lacking]
    torch.save(checkpoint, tmp_path / 'weights.pth')
    with pytest.raises(ConfigError, match=f'weights.pth has no {lacking}.*set load_from') as error:
        train(tmp_path, 4, resume=True, load_from=str(tmp_path / 'weights.pth'), **dense)
    assert '\n' not in str(error.value)
