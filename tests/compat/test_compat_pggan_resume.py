from collections import namedtuple
from itertools import pairwise

import pytest
import torch
from growing import GROWTH, ITERATIONS, grow, growing_config, state_of, write_images
from mmagic.models.editors.pggan import ProgressiveGrowingGAN
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from tiny import Records

from rggan_mm.compat import progress

PATCHED = ('_save_to_state_dict', '_load_from_state_dict', 'train_step')
PROGRESS = {'progress.prev_stage', 'progress.actual_nkimgs'}
# Before a growth, exactly at it, while the new scale fades in, when it has: by iteration.
STOPS = {'pggan': (1, 2, 4, 6, 7, 8), 'stylegan1': (2, 3, 5, 8)}
FADING = {'pggan': 7, 'stylegan1': 5}
ALL_STOPS = [(name, stop) for name, stops in STOPS.items() for stop in stops]

Whole = namedtuple('Whole', 'name images folder runner watch state')


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('growing'), (8, 16))


@pytest.fixture(scope='module')
def runs(tmp_path_factory, images):
    """Runs that were not stopped, with a checkpoint of every iteration."""
    folders = {name: tmp_path_factory.mktemp(name) for name in GROWTH}
    done = {name: grow(name, folder, images) for name, folder in folders.items()}
    return {
        name: Whole(name, images, folders[name], *done[name], state_of(done[name][0]))
        for name in GROWTH
    }


@pytest.fixture
def whole(request, runs):
    return runs[request.param]


@pytest.fixture
def without_the_repair(monkeypatch):
    for name in PATCHED:
        original = getattr(ProgressiveGrowingGAN, name).__wrapped__
        monkeypatch.setattr(ProgressiveGrowingGAN, name, original)


def checkpoint(whole, iteration):
    return whole.folder / f'iter_{iteration}.pth'


def resumed(whole, folder, iteration, **overrides):
    start = dict(load_from=str(checkpoint(whole, iteration)), resume=True)
    return grow(whole.name, folder, whole.images, **start, **overrides)


def from_old(whole, folder, iteration, **overrides):
    """A run resumed from a checkpoint as stock mmagic saves it, and its warnings."""
    content = CheckpointLoader.load_checkpoint(str(checkpoint(whole, iteration)))
    for name in PROGRESS:
        content['state_dict'].pop(name, None)
    torch.save(content, folder / 'old.pth')
    start = dict(load_from=str(folder / 'old.pth'), resume=True)
    config = growing_config(whole.name, folder / 'run', whole.images, **start, **overrides)
    runner = Runner.from_cfg(config)
    records = Records(runner)
    runner.train()
    return runner, records.having('resume: ')


def differences(ours, theirs, where=''):
    """Where two nested states differ."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), where
        return [d for key in ours for d in differences(ours[key], theirs[key], f'{where}/{key}')]
    if isinstance(ours, (list, tuple)):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [d for i, pair in pairs for d in differences(*pair, f'{where}/{i}')]
    same = torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs
    return [] if same else [where]


@pytest.mark.parametrize('whole', GROWTH, indirect=True)
def test_the_stops_are_where_they_are_said_to_be(whole):
    weights = whole.watch.of('transition_weight')
    scales = whole.watch.of('curr_scale')
    assert {i for i, j in pairwise(range(ITERATIONS)) if scales[i] != scales[j]} <= {
        stop - 1 for stop in STOPS[whole.name]
    }
    assert 0 < weights[FADING[whole.name]] < 1
    assert weights[ITERATIONS - 1] == 1
    assert scales[ITERATIONS - 1] == 16


@pytest.mark.usefixtures('without_the_repair')
@pytest.mark.parametrize('whole', GROWTH, indirect=True)
def test_without_the_repair_the_new_scale_fades_in_again(whole, tmp_path):
    stop = FADING[whole.name]
    _, watch = resumed(whole, tmp_path, stop)
    assert watch.of('transition_weight')[stop] == 0
    assert whole.watch.of('transition_weight')[stop] > 0


@pytest.mark.usefixtures('without_the_repair')
@pytest.mark.parametrize('whole', ['stylegan1'], indirect=True)
def test_without_the_repair_the_setting_that_mmagic_advises_fails(whole, tmp_path):
    with pytest.raises(IndexError):
        resumed(whole, tmp_path, FADING['stylegan1'], model__prev_stage=1)


@pytest.mark.parametrize(('whole', 'stop'), ALL_STOPS, indirect=['whole'])
def test_a_resumed_run_ends_where_the_whole_one_did(whole, stop, tmp_path):
    runner, watch = resumed(whole, tmp_path, stop)
    assert watch.first == stop
    assert watch.logs == whole.watch.logs[stop:]
    assert differences(state_of(runner), whole.state) == []
    assert runner.model.curr_scale == whole.runner.model.curr_scale
    assert differences(watch.batches, whole.watch.batches[stop:]) == []


@pytest.mark.parametrize('whole', GROWTH, indirect=True)
def test_what_is_loaded_is_what_was_saved(whole, tmp_path):
    model = Runner.from_cfg(growing_config(whole.name, tmp_path, whole.images)).model
    assert not PROGRESS & set(model.state_dict())  # a new model has the weights of a stock one
    path = str(checkpoint(whole, FADING[whole.name]))
    saved = CheckpointLoader.load_checkpoint(path)['state_dict']
    assert set(saved) >= PROGRESS
    load_checkpoint(model, path, strict=True)
    assert differences(dict(model.state_dict()), dict(saved)) == []


@pytest.mark.slow
@pytest.mark.parametrize('whole', GROWTH, indirect=True)
def test_weights_to_start_from_start_as_in_stock_mmagic(whole, tmp_path, monkeypatch):
    # There the images shown so far, and with them the scale, are among the weights.
    start = dict(load_from=str(checkpoint(whole, FADING[whole.name])), iterations=3)
    runner, watch = grow(whole.name, tmp_path / 'ours', whole.images, **start)
    assert watch.of('transition_weight')[0] == 0
    ours = state_of(runner)
    for name in PATCHED:
        original = getattr(ProgressiveGrowingGAN, name).__wrapped__
        monkeypatch.setattr(ProgressiveGrowingGAN, name, original)
    stock, stock_watch = grow(whole.name, tmp_path / 'stock', whole.images, **start)
    assert watch.logs == stock_watch.logs
    theirs = state_of(stock)
    assert set(ours[0]) - set(theirs[0]) == PROGRESS
    ours[0] = {name: value for name, value in ours[0].items() if name not in PROGRESS}
    assert differences(ours, theirs) == []


@pytest.mark.slow
@pytest.mark.parametrize('whole', GROWTH, indirect=True)
@pytest.mark.parametrize('given', [{}, {'model__prev_stage': 1}], ids=['plain', 'as advised'])
def test_an_old_checkpoint_goes_on_as_planned_with_one_warning(whole, given, tmp_path):
    stop = FADING[whole.name]
    runner, warnings = from_old(whole, tmp_path, stop, **given)
    (message,) = warnings
    assert 'does not say when the model grew' in message
    assert '\n' not in message
    assert runner.model.prev_stage == whole.runner.model.prev_stage
    # The model grew with the batch in which the plan was reached.
    planned, real = runner.model._actual_nkimgs, whole.runner.model._actual_nkimgs
    assert all(0 <= b - a < 0.004 for a, b in zip(planned, real, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('whole', 'stop'), [('pggan', 1), ('pggan', 2), ('stylegan1', 3)], indirect=['whole']
)
def test_an_old_checkpoint_at_or_before_the_first_growth_lacks_nothing(whole, stop, tmp_path):
    runner, warnings = from_old(whole, tmp_path, stop)
    assert warnings == []
    assert runner.model._actual_nkimgs == whole.runner.model._actual_nkimgs


def test_a_pggan_that_saves_its_growth_needs_nothing():
    assert not progress.pggan_forgets()  # repaired here
