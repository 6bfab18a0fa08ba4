"""``init``: a folder whose configs work where nothing else of ours lies."""

from mmengine.config import Config
from tiny import ROOT
from tool_modules import load_command

init = load_command('init')


def run(monkeypatch, folder):
    monkeypatch.setattr('sys.argv', ['init', str(folder)])
    return init.main()


def test_its_configs_are_those_of_the_repository(monkeypatch, tmp_path):
    assert run(monkeypatch, tmp_path / 'configs') == 0
    found = list((tmp_path / 'configs').rglob('*.py'))
    assert {path.name for path in (tmp_path / 'configs').glob('*.py')} == set(init.EXAMPLES)
    for path in found:
        original = ROOT / 'configs' / path.relative_to(tmp_path / 'configs')
        assert path.read_text() == original.read_text()
    for name in init.EXAMPLES:
        config = Config.fromfile(tmp_path / 'configs' / name)
        assert config.to_dict() == Config.fromfile(ROOT / 'configs' / name).to_dict()


def test_a_folder_that_is_there_is_left_alone(monkeypatch, capsys, tmp_path):
    (tmp_path / 'mine.py').write_text('a = 1')
    assert run(monkeypatch, tmp_path) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['mine.py']


def test_the_config_names_a_base_file_wherever_it_lies(tmp_path):
    config = "_base_ = ['mmagic::dcgan/dcgan_1xb128-300kiters_celeba-cropped-64.py', %s]"
    (tmp_path / 'mine.py').write_text(config % "__import__('rggan_mm').base('rg.py')")
    mine = Config.fromfile(tmp_path / 'mine.py')
    assert mine.rg_hooks.pruning.keep_ratio == 0.8
    assert mine.custom_imports.imports == ['rggan_mm.plugin']
