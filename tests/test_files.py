"""Files appear whole or not at all."""

import errno
import os
import signal
from multiprocessing import get_context
from pathlib import Path

import pytest

from rggan_mm import files
from rggan_mm.errors import ConfigError
from rggan_mm.files import check_writable, written_whole


def write(path, text):
    with written_whole(path) as temporary:
        temporary.write_text(text)


def in_another_process(work, *args):
    process = get_context('fork').Process(target=work, args=args)
    process.start()
    process.join(60)
    return process.exitcode


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_folder_is_made_and_an_older_file_replaced(tmp_path):
    path = tmp_path / 'a' / 'file.json'
    write(path, 'old')
    write(path, 'new')
    assert path.read_text() == 'new'
    assert names(path.parent) == ['file.json']


def test_disk_full_keeps_the_older_file_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / 'file.json'
    write(path, 'old')

    def fail(*_):
        raise OSError(errno.ENOSPC, 'disk full')

    monkeypatch.setattr('rggan_mm.files.os.fsync', fail)
    with pytest.raises(OSError, match=r'disk full: .*file\.json'):
        write(path, 'new')
    assert path.read_text() == 'old'
    assert names(tmp_path) == ['file.json']


def _die_while_writing(path):
    with written_whole(path) as temporary:
        temporary.write_text('half')
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_left_is_removed_at_the_next_write(tmp_path):
    path = tmp_path / 'file.json'
    write(path, 'old')
    assert in_another_process(_die_while_writing, path) == -signal.SIGKILL
    assert path.read_text() == 'old'
    (left,) = tmp_path.glob('.writing-*')
    assert (left / 'file.json').read_text() == 'half'
    write(tmp_path / 'other.json', 'new')
    assert names(tmp_path) == ['file.json', 'other.json']


def test_a_write_does_not_disturb_another_that_is_under_way(tmp_path):
    with written_whole(tmp_path / 'a') as first:
        first.write_text('a')
        assert in_another_process(write, tmp_path / 'b', 'b') == 0
        assert first.read_text() == 'a'
    assert names(tmp_path) == ['a', 'b']


def test_a_folder_that_was_taken_for_abandoned_is_made_again(tmp_path, monkeypatch):
    lock, taken = files._lock, []

    def lock_too_late(folder):
        if not taken:  # between the making of the folder and its lock
            taken.append(folder)
            files._remove_abandoned(tmp_path)
        return lock(folder)

    monkeypatch.setattr(files, '_lock', lock_too_late)
    write(tmp_path / 'file.json', 'new')
    assert not taken[0].exists()
    assert names(tmp_path) == ['file.json']


def test_whether_a_file_can_be_written_is_known_before(tmp_path):
    (tmp_path / 'file').write_text('old')
    check_writable(tmp_path / 'file')
    check_writable(tmp_path / 'new' / 'file')
    assert (tmp_path / 'file').read_text() == 'old'
    assert names(tmp_path / 'new') == []
    for wrong in (tmp_path, tmp_path / 'file' / 'below', Path('/dev/null')):
        with pytest.raises(ConfigError, match='cannot be written'):
            check_writable(wrong)
