"""A job of which one process ends ends as a whole, says which, and can be resumed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gloo_runs import needs_cpu
from tiny import DIGITS, TINY
from tool_modules import TOOLS

pytestmark = [needs_cpu, pytest.mark.slow]
SMALL = {
    **TINY,
    'train_cfg.val_interval': 1000,
    'default_hooks.checkpoint.interval': 4,
    'env_cfg.dist_cfg.backend': 'gloo',
}
ENDLESS = 10**6
# torchrun waits 30 s for the others before it kills them.
BOUND = 90


class Job:
    """A run of tools/dist_train.sh with two processes."""

    def __init__(self, folder, *arguments, config=DIGITS, **options):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        self.log = folder / f'{self.port}.log'
        options = [f'{key}={value}' for key, value in {**SMALL, **options}.items()]
        command = ['bash', TOOLS / 'dist_train.sh', config, '2', *arguments]
        self.process = subprocess.Popen(
            [*map(str, command), '--work-dir', str(folder / 'run'), '--cfg-options', *options],
            env=self._environment(),
            stdout=self.log.open('w'),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _environment(self):
        here = str(Path(__file__).parent)
        return {
            **os.environ,
            'PYTHON': sys.executable,
            'PORT': str(self.port),
            'PYTHONPATH': here,
        }

    def kill(self, rank):
        """Ends one process as the kernel ends one that has no memory left."""
        os.kill(self.pid_of(rank), signal.SIGKILL)

    def pid_of(self, rank):
        wanted = {f'RANK={rank}', f'MASTER_PORT={self.port}'}
        for folder in Path('/proc').glob('[0-9]*'):
            try:
                variables = (folder / 'environ').read_text(errors='replace').split('\0')
            except OSError:  # it has ended
                continue
            if wanted <= set(variables):
                return int(folder.name)
        raise LookupError(f'no process of rank {rank}: {self.text()[-3000:]}')

    def wait(self):
        """Status and text, once the whole job has ended."""
        return self.process.wait(BOUND), self.text()

    def text(self):
        return self.log.read_text(errors='replace')

    def stop(self):
        """Ends what a failed test leaves."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def start(tmp_path):
    """Starts a job in one work dir; whatever still runs at the end is stopped."""
    jobs = []

    def start_job(*arguments, **options):
        jobs.append(Job(tmp_path, *arguments, **options))
        return jobs[-1]

    yield start_job
    for job in jobs:
        job.stop()


def saved(folder):
    """Iterations of the checkpoints that are there."""
    return {int(path.stem.removeprefix('iter_')) for path in folder.glob('iter_*.pth')}


def wait_until(done):
    """Returns when ``done()`` is true; fails after a while."""
    end = time.monotonic() + BOUND
    while not done():
        assert time.monotonic() < end, 'it took too long'
        time.sleep(0.1)


def kill_after_a_save(job, folder, rank):
    """Kills one process once there is a new checkpoint; what the job says."""
    before = saved(folder)
    wait_until(lambda: saved(folder) - before or job.process.poll() is not None)
    job.kill(rank)
    return job.wait()


def test_a_killed_process_ends_the_job_which_resumes(tmp_path, start):
    folder = tmp_path / 'run'
    for rank, arguments in ((1, ()), (0, ('--resume',))):
        before = max(saved(folder), default=0)
        job = start(*arguments, **{'train_cfg.max_iters': ENDLESS})
        status, text = kill_after_a_save(job, folder, rank)
        assert status != 0
        assert re.search(rf'rank +: {rank} \(local_rank: {rank}\)', text), text[-3000:]
        assert re.search(r'Signal 9 \(SIGKILL\) received by PID', text)
        assert (f'resumed epoch: 0, iter: {before}' in text) == bool(before)
        assert max(saved(folder)) > before


def test_data_missing_on_one_machine_ends_the_job_with_one_line(tmp_path, start):
    config = tmp_path / 'config.py'
    config.write_text(
        f'_base_ = {str(DIGITS)!r}\n'
        "custom_imports = dict(imports=['rggan_mm.plugin', 'one_rank_fails'])\n"
        "train_dataloader = dict(dataset=dict(type='DigitsMissingOnRankOne'))\n"
    )
    status, text = start(config=config).wait()
    assert status != 0
    assert 'error: there is no disk/of/rank_1' in text
    assert re.search(r'rank +: 1 \(local_rank: 1\)', text), text[-3000:]
