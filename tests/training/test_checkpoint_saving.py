"""Checkpoints appear whole, and the older ones stay until then."""

import errno
import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from mmengine.fileio import LocalBackend
from mmengine.runner import Runner
from mmengine.runner import save_checkpoint as mmengine_save
from tiny import hook_of, tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.training import SafeCheckpointHook, checkpoint_saving

SMALL = {'state_dict': {'w': torch.ones(5000)}}


def save(content, path):
    """Saves as the runner does."""
    with checkpoint_saving.saved_whole(path) as temporary:
        mmengine_save(content, str(temporary))


def names(folder, pattern='*'):
    return sorted(path.name for path in folder.glob(pattern))


def test_a_checkpoint_comes_back(tmp_path):
    save(SMALL, tmp_path / 'a' / 'iter_2.pth')
    assert torch.equal(
        torch.load(tmp_path / 'a' / 'iter_2.pth')['state_dict']['w'], torch.ones(5000)
    )
    assert names(tmp_path / 'a') == ['iter_2.pth']


def test_other_places_are_left_to_mmengine(tmp_path, monkeypatch):
    given = []
    runner = tiny_runner(tmp_path)
    monkeypatch.setattr(
        Runner, 'save_checkpoint', lambda self, *args, **kw: given.append((args, kw))
    )
    runner.save_checkpoint('s3://bucket', 'iter_2.pth', None, backend_args={'backend': 'petrel'})
    assert given == [(('s3://bucket', 'iter_2.pth', None), {'backend_args': {'backend': 'petrel'}})]


def _full_disk(path):
    """Gives the kernel's own full device in place of the temporary file."""

    @contextmanager
    def written(target):
        yield Path('/dev/full')

    return written(path)


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='this system has no /dev/full')
@pytest.mark.parametrize('before', [True, False])
def test_disk_full_is_one_line_that_names_the_last_good_checkpoint(tmp_path, monkeypatch, before):
    good, path = tmp_path / 'iter_2.pth', tmp_path / 'iter_4.pth'
    if before:
        save(SMALL, good)
    monkeypatch.setattr(checkpoint_saving, 'written_whole', _full_disk)
    with pytest.raises(ConfigError, match=os.strerror(errno.ENOSPC)) as caught:
        save(SMALL, path)
    named = f'the last good checkpoint is {good}' if before else 'no good checkpoint is beside it'
    assert str(caught.value).startswith(f'{path} could not be written: ')
    assert named in str(caught.value)
    assert '\n' not in str(caught.value)
    assert not path.exists()


def test_what_pytorch_cannot_save_is_not_blamed_on_the_disk(tmp_path):
    with pytest.raises(Exception, match='lambda') as caught:
        save({'f': lambda: None}, tmp_path / 'x.pth')
    assert not isinstance(caught.value, ConfigError)
    assert names(tmp_path) == []


@pytest.fixture
def events(monkeypatch):
    """What a run writes and removes, in order."""
    seen = []

    def note(kind, call):
        def noted(*args):
            seen.append(f'{kind} {Path(args[-1]).name}')
            return call(*args)

        return noted

    monkeypatch.setattr(LocalBackend, 'remove', note('-', LocalBackend.remove))
    monkeypatch.setattr(os, 'replace', note('+', os.replace))
    return seen


def of(events, *kinds):
    return [event for event in events if any(kind in event for kind in kinds)]


def test_the_old_checkpoint_goes_when_the_new_one_and_its_name_are_there(tmp_path, events):
    options = {'default_hooks.checkpoint.max_keep_ckpts': 1, 'train_cfg.val_interval': 6}
    tiny_runner(tmp_path, **options).train()
    assert of(events, ' iter_', 'last_checkpoint')[:5] == [
        '+ iter_2.pth',
        '+ last_checkpoint',
        '+ iter_4.pth',
        '+ last_checkpoint',
        '- iter_2.pth',
    ]
    assert names(tmp_path, 'iter_*') == ['iter_6.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_6.pth')
    assert names(tmp_path, '.*') == []


def test_so_does_the_old_best_one(tmp_path, events, monkeypatch):
    fids = iter([5.0, 4.0, 3.0])
    from rggan_mm.evaluation import GANMetrics

    compute = GANMetrics.compute_metrics
    monkeypatch.setattr(
        GANMetrics, 'compute_metrics', lambda *args: {**compute(*args), 'fid': next(fids)}
    )
    tiny_runner(tmp_path, **{'train_cfg.max_iters': 6, 'train_cfg.val_interval': 2}).train()
    assert of(events, 'best_')[:3] == [
        '+ best_digits_fid_iter_2.pth',
        '+ best_digits_fid_iter_4.pth',
        '- best_digits_fid_iter_2.pth',
    ]
    assert names(tmp_path, 'best_*') == ['best_digits_fid_iter_6.pth']


def test_a_best_checkpoint_written_again_stays(tmp_path):
    runner = tiny_runner(tmp_path, **{'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2})
    runner.train()
    hook = hook_of(runner, SafeCheckpointHook)
    runner.message_hub.update_info('best_score', 1e9)  # as if this were a repeated evaluation
    hook._save_best_checkpoint(runner, {'digits/fid': 1.0})
    assert names(tmp_path, 'best_*') == ['best_digits_fid_iter_2.pth']


def test_disk_full_in_training_keeps_all_that_was_saved(tmp_path, monkeypatch):
    options = {'default_hooks.checkpoint.max_keep_ckpts': 1}
    runner = tiny_runner(tmp_path, **options)
    real = checkpoint_saving.written_whole
    monkeypatch.setattr(
        checkpoint_saving,
        'written_whole',
        lambda path: _full_disk(path) if path.name == 'iter_4.pth' else real(path),
    )
    with pytest.raises(ConfigError, match=r'iter_4\.pth could not .*checkpoint is .*iter_2\.pth'):
        runner.train()
    assert names(tmp_path, 'iter_*') == ['iter_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_2.pth')
    assert [r['iter'] for r in json.loads((tmp_path / 'evaluations.json').read_text())] == [1, 2, 3]
