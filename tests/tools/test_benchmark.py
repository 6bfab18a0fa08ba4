"""The benchmark lets runs take turns without mixing them up."""

import sys

import pytest
import torch
from tiny import DIGITS, ROOT
from tool_modules import load_tool

PATHS = [ROOT / 'configs' / 'sngan_digits_10pct.py', DIGITS]


@pytest.fixture(scope='module')
def benchmark():
    return load_tool('benchmark')


def test_both_run_their_generator_steps(benchmark, tmp_path):
    before = {}
    rivals = [benchmark.Contestant(path, str(tmp_path / path.stem), 10) for path in PATHS]
    for rival in rivals:
        before[rival.name] = rival.runner.model.generator.noise2feat.weight.clone()
        rival.turn()
        assert not torch.equal(before[rival.name], rival.runner.model.generator.noise2feat.weight)
        assert rival.runner.iter == 5


def test_table_has_a_ratio_for_each(benchmark, monkeypatch, capsys):
    arguments = ['benchmark.py', *map(str, PATHS), '--turns', '2', '--warm-up', '1']
    monkeypatch.setattr(sys, 'argv', arguments)
    assert benchmark.main() == 0
    output = capsys.readouterr().out
    assert '2 turns each' in output
    assert '1.000' in output
    for path in PATHS:
        assert path.stem in output
