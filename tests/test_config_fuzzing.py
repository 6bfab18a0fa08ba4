"""Wrong configs end in one line or train: hypothesis makes the mistakes.

The big run: ``FUZZ_EXAMPLES=600 python -m pytest tests/test_config_fuzzing.py``.
"""

import copy
import math
import os
import signal
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from config_mutations import leaves_of, mutations, write_config
from example_configs import EXAMPLES, FIXED, TINY
from families import family_config
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.utils import ManagerMixin
from tiny import DIGITS, ROOT, tiny_config
from tool_modules import load_command

from rggan_mm.commands.running import train_checked
from rggan_mm.errors import ConfigError

pytestmark = pytest.mark.slow

train = load_command('train')
COUNT = int(os.environ.get('FUZZ_EXAMPLES', '24'))
SECONDS = 90  # other tests may share the cores
CIFAR = ROOT / 'configs' / 'rg_sngan_cifar10_10pct_diffaug.py'
# One iteration: an exception in a later one is not taken as an error of the config.
SHORT = {'train_cfg__max_iters': 1, 'train_cfg__val_interval': 1}
# Larger numbers in these parts are left out: MMEngine and MMagic do what they ask for, and
# that is a network that fills the memory, thousands of processes or days of training.
LARGEST = {
    'model': 600,
    'train_dataloader': 600,
    'val_dataloader': 600,
    'test_dataloader': 600,
    'val_evaluator': 600,
    'test_evaluator': 600,
}
LARGEST_OF_NAME = {'max_iters': 20, 'max_epochs': 20, 'num_workers': 4}


def tree_of(config):
    """A config as plain dicts, without what belongs to one run."""
    tree = config.to_dict()
    for name in ('work_dir', 'experiment_name'):
        tree.pop(name, None)
    return tree


def of_repository(path):
    return tree_of(tiny_config('unused', path, model__discriminator_steps=1, **SHORT))


def of_example(name):
    path = ROOT / 'configs' / f'{name}.py'
    return tree_of(
        family_config(
            EXAMPLES[name], 'unused', path=path, **{**SHORT, **FIXED, **TINY.get(name, {})}
        )
    )


class Hangs(Exception):
    """An example took too long."""


@contextmanager
def in_time():
    def stop(*_):
        raise Hangs(f'not done in {SECONDS} s')

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_command(tree, folder):
    """What tools/train.py does with a config file; the iterations done."""
    path = folder / 'wrong.py'
    write_config(tree, path)
    sys.argv = ['train.py', str(path), '--work-dir', str(folder / 'run')]
    config = train.load_config(train.parse_args())
    object.__setattr__(config, '_format_python_code', False)  # half of the time
    runner = train_checked(config)
    assert runner.iter == runner.max_iters
    return runner.iter


def forget_run():
    """MMEngine keeps what it has by name for the life of the process."""
    for kind in _all_below(ManagerMixin):
        for instance in kind.__dict__.get('_instance_dict', {}).values():
            for handler in getattr(instance, 'handlers', []):
                handler.close()
        kind.__dict__.get('_instance_dict', {}).clear()


def _all_below(kind):
    return {kind}.union(*(_all_below(child) for child in kind.__subclasses__()))


def is_absurd(tree):
    """Whether a config asks for more memory, processes or time than a machine has."""
    for path, value in leaves_of(tree):
        largest = LARGEST_OF_NAME.get(path[-1], LARGEST.get(path[0], math.inf))
        if isinstance(value, int) and value > largest:
            return True
    return False


def outcome(tree, mistakes):
    """'trained' for one iteration, 'refused' for one line that says what is wrong."""
    tree = copy.deepcopy(tree)
    try:
        for mistake in mistakes:
            mistake.apply(tree)
    except (AttributeError, KeyError, TypeError, IndexError):
        assume(False)  # the first one has taken away the place of the second
    assume(not is_absurd(tree))
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            with in_time():
                run_command(tree, Path(folder))
            return 'trained'
        except ConfigError as error:
            line = str(error)
            assert line.strip()
            assert '\n' not in line
            assert len(line) < 1500
            return 'refused'
        finally:
            os.chdir(before)
            forget_run()


def fuzz(tree, count):
    """Draws mistakes in a config and tries each; how often each outcome was seen."""
    seen = Counter()

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(mutations(tree), min_size=1, max_size=2))
    def wrong(mistakes):
        seen[outcome(tree, mistakes)] += 1

    wrong()
    return seen


@pytest.fixture
def say(request, capsys):
    """Writes a line of a big run to the terminal."""

    def write(seen):
        if 'FUZZ_EXAMPLES' in os.environ:
            with capsys.disabled():
                sys.stdout.write(f'\n{request.node.name}: {dict(seen)}\n')

    return write


@pytest.fixture(autouse=True)
def quiet_plots(monkeypatch):
    """Curves take most of a tiny run's time."""
    monkeypatch.setattr('rggan_mm.hooks.curves.plot_curves', lambda *_, **__: None)
    monkeypatch.setattr(sys, 'argv', sys.argv)


def test_digits(say):
    seen = fuzz(of_repository(DIGITS), COUNT)
    say(seen)
    assert seen.total() >= COUNT
    assert seen['trained']
    assert seen['refused']


def test_cifar10(say):
    seen = fuzz(of_repository(CIFAR), max(1, COUNT // 6))
    say(seen)
    assert seen['refused']


@pytest.mark.parametrize('name', EXAMPLES)
def test_examples(name, say):
    seen = fuzz(of_example(name), max(1, COUNT // 12))
    say(seen)
    assert seen


@pytest.mark.parametrize('tree', [of_repository, of_example], ids=['digits', 'example'])
def test_what_is_mutated_trains_as_it_is(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tree(DIGITS) if tree is of_repository else tree('rg_dcgan_folder_64')
    assert not is_absurd(config)
    assert run_command(config, tmp_path) == 1
    forget_run()


def test_a_config_file_is_written_as_it_was_read(tmp_path):
    tree = of_repository(DIGITS)
    write_config(tree, tmp_path / 'same.py')
    assert Config.fromfile(tmp_path / 'same.py').to_dict() == tree
