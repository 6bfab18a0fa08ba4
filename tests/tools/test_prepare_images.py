"""tools/prepare_images.py: what it makes and what it says."""

import sys

import pytest
from PIL import Image
from tool_modules import load_command

tool = load_command('prepare_images')


@pytest.fixture
def run(monkeypatch, capsys):
    """Exit status, output and errors of a command line."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['prepare_images.py', *map(str, arguments)])
        return tool.main(), *capsys.readouterr()

    return run


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / 'source'
    folder.mkdir()
    for index in range(10):
        Image.new('RGBA', (9, 6), (index, 0, 0, 255)).save(folder / f'{index}.webp')
    (folder / 'notes.txt').touch()
    return folder


def test_numbers_are_printed_and_files_made(run, source, tmp_path):
    out = tmp_path / 'out'
    status, text, error = run(source, out, '--size', 4, '--crop', 'pad', '--test', 0.2)
    assert (status, error) == (0, '')
    assert text.splitlines() == [
        f'{out}/test: 2 images',
        f'{out}/train: 8 images',
        f'skipped: 1, listed in {out}_skipped.txt',
    ]
    assert {Image.open(path).size for path in out.rglob('*.png')} == {(4, 4)}


def test_without_a_terminal_lines_say_how_far_it_is(run, source, tmp_path, monkeypatch):
    monkeypatch.setattr('rggan_mm.commands.progress.SECONDS', 0.0)
    _, _, error = run(source, tmp_path / 'out', '--size', 4)
    assert error.splitlines() == [f'{done} of 10 images' for done in range(1, 10)]


def test_bad_input_is_one_line(run, source, tmp_path):
    for arguments in ([tmp_path / 'nowhere', tmp_path / 'out'], [source, source / 'out']):
        status, text, error = run(*arguments, '--size', 4)
        assert (status, text, error.count('\n')) == (1, '', 1)
        assert error.startswith('error: ')
