"""Files appear whole or not at all."""

import pytest

from rggan_mm.files import written_whole


def write(path, text):
    with written_whole(path) as temporary:
        temporary.write_text(text)


def test_folder_is_made_and_an_older_file_replaced(tmp_path):
    path = tmp_path / 'a' / 'file.json'
    write(path, 'old')
    write(path, 'new')
    assert path.read_text() == 'new'
    assert [file.name for file in path.parent.iterdir()] == ['file.json']


def test_disk_full_keeps_the_older_file_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / 'file.json'
    write(path, 'old')

    def fail(*_):
        raise OSError('disk full')

    monkeypatch.setattr('rggan_mm.files.os.fsync', fail)
    with pytest.raises(OSError, match='disk full'):
        write(path, 'new')
    assert path.read_text() == 'old'
    assert [file.name for file in path.parent.iterdir()] == ['file.json']
