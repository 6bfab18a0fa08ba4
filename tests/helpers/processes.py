"""Several processes of torch.distributed on this machine."""

import multiprocessing
from functools import partial

import torch
import torch.distributed as dist

TIMEOUT = 60


def _run(rank, world, folder, work):
    torch.set_num_threads(1)  # a forked process has no thread pool
    store = f'file://{folder}/store'
    dist.init_process_group('gloo', init_method=store, rank=rank, world_size=world)
    work(rank, folder)
    dist.destroy_process_group()


def run_together(work, folder, world=3):
    """Runs ``work(rank, folder)`` in so many processes and waits for them."""
    # Forked: importing mmagic anew in every process would take most of the time.
    context = multiprocessing.get_context('fork')
    target = partial(_run, world=world, folder=folder, work=work)
    processes = [context.Process(target=target, args=(rank,)) for rank in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(TIMEOUT)
        process.kill()
    assert [process.exitcode for process in processes] == [0] * world
