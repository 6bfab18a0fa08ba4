import json
import multiprocessing

import pytest
import torch
import torch.distributed as dist
from gan_of_reals import ColourNoise, build, evaluate

CASES = [(11, 23), (4, 2), (3, -1), (2, 24)]  # fakes and reals: shares unequal or empty
ALL = {'values': ['fid', 'is', 'kid', 'pr'], 'is_splits': 2, 'neighbours': 1, 'kept': 7}
WORLD = 3
TIMEOUT = 60


def one_process(rank, folder):
    torch.set_num_threads(1)  # a forked process has no thread pool
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=WORLD
    )
    found = []
    for fake_nums, real_nums in CASES:
        data = ColourNoise()
        model = build(data, indices=range(rank, fake_nums, WORLD) or [0])
        found += evaluate(model, data, 2, fake_nums=fake_nums, real_nums=real_nums, **ALL)
    (folder / f'{rank}.json').write_text(json.dumps(found))
    dist.destroy_process_group()


def run_together(folder):
    # Forked: importing mmagic anew in every process would take most of the time.
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=one_process, args=(r, folder)) for r in range(WORLD)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(TIMEOUT)
        process.kill()
    assert [process.exitcode for process in processes] == [0] * WORLD
    return [json.loads((folder / f'{rank}.json').read_text()) for rank in range(WORLD)]


def in_one_process():
    for fake_nums, real_nums in CASES:
        data = ColourNoise()
        model = build(data, indices=range(fake_nums))
        yield from evaluate(model, data, fake_nums=fake_nums, real_nums=real_nums, **ALL)


def test_processes_share_the_images_and_agree(tmp_path):
    first, *others = run_together(tmp_path)
    assert all(other == first for other in others)
    for ours, single in zip(first, in_one_process(), strict=True):
        assert ours.keys() == single.keys()
        for name, value in single.items():
            assert ours[name] == pytest.approx(value, abs=1e-6), name
