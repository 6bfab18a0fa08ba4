"""Which checkpoint a run resumes from."""

import os

import pytest
import torch
from processes import run_together

from rggan_mm.errors import ConfigError
from rggan_mm.training import checkpoint_search
from rggan_mm.training.checkpoint_reading import glance, trusted_checkpoints
from rggan_mm.training.checkpoint_search import candidates, find_latest_checkpoint


@pytest.fixture
def said(monkeypatch):
    messages = []
    monkeypatch.setattr(
        checkpoint_search, 'print_log', lambda text, logger, level: messages.append(text)
    )
    return messages


def save(folder, *names, at=0):
    """Small checkpoints, a second apart."""
    for second, name in enumerate(names):
        path = folder / name
        torch.save({'meta': {'iter': 1}, 'state_dict': {'w': torch.ones(50)}}, path)
        os.utime(path, (at + second, at + second))


def point(folder, text, at=1000):
    pointer = folder / 'last_checkpoint'
    pointer.write_text(str(text))
    os.utime(pointer, (at, at))


def flip(path):
    data = bytearray(path.read_bytes())
    data[data.index(torch.ones(50).numpy().tobytes()) + 7] ^= 4
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def remove(path):
    path.unlink()


@pytest.fixture
def work_dir(tmp_path):
    save(tmp_path, 'iter_2.pth', 'iter_4.pth', 'iter_10.pth', 'best_digits_fid_iter_10.pth')
    point(tmp_path, tmp_path / 'iter_10.pth')
    return tmp_path


def test_the_newest_is_taken_without_a_word(work_dir, said):
    assert find_latest_checkpoint(str(work_dir)) == str(work_dir / 'iter_10.pth')
    assert said == []


@pytest.mark.parametrize(
    ('damage', 'why'),
    [(flip, 'is not readable'), (cut, 'is not readable'), (remove, 'does not exist')],
)
def test_the_one_before_is_taken_with_a_warning_that_names_both(work_dir, said, damage, why):
    damage(work_dir / 'iter_10.pth')
    assert find_latest_checkpoint(str(work_dir)) == str(work_dir / 'iter_4.pth')
    (warning,) = said
    assert warning.startswith(f'resume: {work_dir / "iter_10.pth"} {why}')
    assert warning.endswith(f'; going on from {work_dir / "iter_4.pth"}')


def test_none_whole_ends_in_one_line(work_dir):
    for path in work_dir.glob('iter_*.pth'):
        cut(path)
    with pytest.raises(ConfigError, match=r'no whole checkpoint in .*iter_10.*iter_4.*iter_2') as e:
        find_latest_checkpoint(str(work_dir))
    assert '\n' not in str(e.value)


def test_an_empty_work_dir_starts_from_the_beginning(tmp_path):
    assert find_latest_checkpoint(str(tmp_path)) is None


def test_so_does_one_whose_checkpoints_were_all_deleted_with_a_warning(tmp_path, said):
    point(tmp_path, tmp_path / 'iter_2.pth')
    assert find_latest_checkpoint(str(tmp_path)) is None
    assert said == [
        f'resume: {tmp_path / "iter_2.pth"} does not exist, nor does another; '
        'starting from the beginning'
    ]


def test_a_folder_of_checkpoints_that_is_not_there_is_no_reason_to_start_anew(tmp_path):
    point(tmp_path, tmp_path / 'not_mounted' / 'iter_2.pth')
    with pytest.raises(ConfigError, match=r'not_mounted/iter_2\.pth does not exist'):
        find_latest_checkpoint(str(tmp_path))


@pytest.mark.parametrize('text', ['', '\0\0\0'])
def test_a_lost_name_is_made_up_for(work_dir, text):
    point(work_dir, text)
    assert find_latest_checkpoint(str(work_dir)) == str(work_dir / 'iter_10.pth')
    (work_dir / 'last_checkpoint').unlink()
    assert find_latest_checkpoint(str(work_dir)) == str(work_dir / 'iter_10.pth')


def test_a_checkpoint_that_was_saved_but_not_named_yet_is_taken(work_dir):
    save(work_dir, 'iter_12.pth', at=2000)
    assert find_latest_checkpoint(str(work_dir)) == str(work_dir / 'iter_12.pth')


def test_checkpoints_of_a_longer_run_before_this_one_are_not(work_dir):
    save(work_dir, 'iter_800.pth', at=500)
    assert candidates(work_dir)[0].name == 'iter_10.pth'
    assert 'iter_800.pth' not in [path.name for path in candidates(work_dir)]


def test_a_moved_work_dir_resumes_from_its_own_files(work_dir, tmp_path_factory):
    moved = tmp_path_factory.mktemp('moved')
    save(moved, 'iter_10.pth')
    point(moved, work_dir / 'iter_10.pth')
    assert find_latest_checkpoint(str(moved)) == str(moved / 'iter_10.pth')


def test_checkpoints_in_a_folder_of_their_own_are_found(work_dir, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('logs')
    point(elsewhere, work_dir / 'iter_10.pth')
    cut(work_dir / 'iter_10.pth')
    assert find_latest_checkpoint(str(elsewhere)) == str(work_dir / 'iter_4.pth')


@pytest.mark.parametrize('name', ['s3://bucket/run/iter_10.pth', '{folder}/shards'])
def test_what_is_no_local_file_is_left_to_mmengine(work_dir, name):
    (work_dir / 'shards').mkdir()
    name = name.format(folder=work_dir)
    point(work_dir, name)
    assert find_latest_checkpoint(str(work_dir)) == name


TEMPLATES = [
    'digits16_{:06d}.pth',
    'it_{}_of_net2.pth',
    '{0}_{0:03}.pt',
    'best_{}.pth',
    'parts/at{:4d}.ckpt',
]


@pytest.mark.parametrize('template', TEMPLATES)
@pytest.mark.parametrize('pointed', [True, False])
def test_names_follow_the_template(tmp_path, said, template, pointed):
    names = [template.format(number) for number in (4, 10, 1000)]
    (tmp_path / names[0]).parent.mkdir(exist_ok=True)
    save(tmp_path, *names, 'pretrained_vgg16.pth', f'best_FID_{template.format(99).split("/")[-1]}')
    if pointed:
        point(tmp_path, tmp_path / names[2])
    paths = [tmp_path / name for name in names]
    assert find_latest_checkpoint(str(tmp_path), [template]) == str(paths[2])
    assert said == []
    cut(paths[2])
    assert find_latest_checkpoint(str(tmp_path), [template]) == str(paths[1])
    assert candidates(tmp_path, [template]) == [paths[2], paths[1], paths[0]]


def save_run(path, iteration, **parts):
    meta = {'iter': iteration, 'epoch': 0}
    torch.save({'meta': meta, 'state_dict': {'w': torch.ones(50)}, **parts}, path)


def test_names_of_an_older_template_are_judged_by_content(tmp_path):
    for name, iteration in (('a.pth', 20), ('z9.pth', 5)):
        save_run(tmp_path / name, iteration, optimizer={})
    save_run(tmp_path / 'published.pth', 40)
    torch.save({'w': torch.ones(1)}, tmp_path / 'vgg_99.pth')
    assert candidates(tmp_path, ['now_{}.pth']) == [tmp_path / 'a.pth', tmp_path / 'z9.pth']
    point(tmp_path, tmp_path / 'a.pth')
    cut(tmp_path / 'a.pth')
    assert find_latest_checkpoint(str(tmp_path), ['now_{}.pth']) == str(tmp_path / 'z9.pth')


def test_a_start_from_the_beginning_names_what_was_saved_without_optimizers(tmp_path, said):
    save_run(tmp_path / 'best_FID_iter_4.pth', 4)
    torch.save({'w': torch.ones(1)}, tmp_path / 'vgg_99.pth')
    assert find_latest_checkpoint(str(tmp_path)) is None
    assert said[0].startswith('resume: best_FID_iter_4.pth: saved without optimizers')


def test_looking_into_a_file_runs_no_code(tmp_path):
    torch.save({'meta': {'iter': 3}, 'optimizer': print}, tmp_path / 'odd.pth')
    with trusted_checkpoints():
        assert glance(str(tmp_path / 'odd.pth')) is None


def _find_in_each(rank, folder):
    # Only the main process may look: the others' view of the disk can be older.
    try:
        found = find_latest_checkpoint(str(folder / ('run' if rank == 0 else 'nowhere')))
    except ConfigError as error:
        found = str(error)
    (folder / f'found_{rank}').write_text(found)


def _found_by_each(folder):
    (folder / 'store').unlink(missing_ok=True)
    run_together(_find_in_each, folder, world=2)
    return [(folder / f'found_{rank}').read_text() for rank in range(2)]


def test_the_main_process_decides_for_all(tmp_path):
    run = tmp_path / 'run'
    run.mkdir()
    save(run, 'iter_4.pth', 'iter_6.pth')
    cut(run / 'iter_6.pth')
    assert _found_by_each(tmp_path) == [str(run / 'iter_4.pth')] * 2
    cut(run / 'iter_4.pth')
    assert all('no whole checkpoint' in found for found in _found_by_each(tmp_path))
