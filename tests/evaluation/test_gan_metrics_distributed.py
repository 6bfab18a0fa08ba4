import json

import pytest
from gan_of_reals import ColourNoise, build, evaluate
from processes import run_together

CASES = [(11, 23), (4, 2), (3, -1), (2, 24)]  # fakes and reals: shares unequal or empty
ALL = {
    'values': ['fid', 'is', 'kid', 'pr', 'memorisation'],
    'is_splits': 2,
    'neighbours': 1,
    'kept': 7,
}
WORLD = 3


def one_process(rank, folder):
    found = []
    for fake_nums, real_nums in CASES:
        data = ColourNoise()
        model = build(data, indices=range(rank, fake_nums, WORLD) or [0])
        found += evaluate(model, data, 2, fake_nums=fake_nums, real_nums=real_nums, **ALL)
    (folder / f'{rank}.json').write_text(json.dumps(found))


def in_one_process():
    for fake_nums, real_nums in CASES:
        data = ColourNoise()
        model = build(data, indices=range(fake_nums))
        yield from evaluate(model, data, fake_nums=fake_nums, real_nums=real_nums, **ALL)


def test_processes_share_the_images_and_agree(tmp_path):
    run_together(one_process, tmp_path, WORLD)
    results = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(WORLD)]
    first, *others = results
    assert all(other == first for other in others)
    for ours, single in zip(first, in_one_process(), strict=True):
        assert ours.keys() == single.keys()
        for name, value in single.items():
            assert ours[name] == pytest.approx(value, abs=1e-6), name
