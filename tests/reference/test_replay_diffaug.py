from pathlib import Path

import numpy as np
import pytest
import replay_diffaug

RECORDED = Path(__file__).parent / 'data' / 'diffaug_a.npz'


def test_recorded_arrays_are_reproduced(capsys):
    assert replay_diffaug.main([str(RECORDED)]) == 0
    assert capsys.readouterr().out.startswith(f'{RECORDED}: largest error ')


@pytest.mark.parametrize('difference', [1e-9, np.nan])
def test_a_difference_is_reported(tmp_path, difference):
    with np.load(RECORDED) as data:
        arrays = dict(data)
    arrays['0/y'] = arrays['0/y'] + difference
    changed = tmp_path / 'changed.npz'
    np.savez(changed, **arrays)
    assert replay_diffaug.main([str(RECORDED), str(changed)]) == 1


def test_a_file_without_cases_is_no_success(tmp_path):
    np.savez(tmp_path / 'empty.npz', other=np.zeros(1))
    with pytest.raises(ValueError, match='no recorded case'):
        replay_diffaug.largest_error(str(tmp_path / 'empty.npz'))
