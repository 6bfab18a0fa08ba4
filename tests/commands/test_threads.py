"""Threads of a training on the CPU: one for small networks, unless somebody says otherwise."""

import pytest
import torch
from tiny import Records, tiny_runner

from rggan_mm.commands import threads


@pytest.mark.parametrize(
    ('small', 'given', 'expected'), [(10**6, None, 1), (10, None, 3), (10**6, '3', 3)]
)
def test_small_networks_take_one_thread(tmp_path, monkeypatch, small, given, expected):
    monkeypatch.setattr(threads, 'SMALL', small)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if given:
        monkeypatch.setenv('OMP_NUM_THREADS', given)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        runner = tiny_runner(tmp_path)
        records = Records(runner)
        threads.choose_threads(runner)
        assert torch.get_num_threads() == expected
        assert len(records.having(f'threads on the CPU: {expected} (')) == 1
    finally:
        torch.set_num_threads(before)
