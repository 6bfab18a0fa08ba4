import pytest
import torch
from growing import ITERATIONS, grow, write_images
from mmagic.engine.hooks import PGGANFetchDataHook
from mmengine.hooks import Hook

PATCHED = ('before_train', 'after_train_iter')
# What the config of tests/compat/growing.py asks for: images, and their size, an iteration.
ASKED = [(4, 8), (4, 8), (2, 8), (2, 8), (2, 8), (2, 8), (4, 16), (4, 16), (4, 16)]


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('growing'), (8, 16))


@pytest.fixture
def without_the_repair(monkeypatch):
    for name in PATCHED:
        monkeypatch.setattr(PGGANFetchDataHook, name, getattr(Hook, name))


def shapes(watch):
    return [(len(batch), batch[0].shape[-1]) for batch in watch.batches]


def go_on(images, folder, stop, end=ITERATIONS):
    """A run that stops and a resumed one."""
    _, first = grow('pggan', folder, images, iterations=stop)
    _, second = grow('pggan', folder, images, iterations=end, resume=True)
    return first, second


@pytest.mark.usefixtures('without_the_repair')
def test_without_the_repair_it_cannot_grow_past_the_images_of_a_folder(images, tmp_path):
    with pytest.raises(RuntimeError, match=r'scale of real image .* smaller than current'):
        grow('pggan', tmp_path, images)


@pytest.mark.usefixtures('without_the_repair')
def test_without_the_repair_the_first_batch_of_a_scale_has_the_size_of_another(images, tmp_path):
    _, watch = grow('pggan', tmp_path, images, iterations=3, train_dataloader__batch_size=3)
    assert shapes(watch) == [(3, 8), (4, 8), (4, 8)]


@pytest.mark.usefixtures('without_the_repair')
def test_without_the_repair_a_resumed_run_starts_with_the_size_of_another(images, tmp_path):
    assert shapes(go_on(images, tmp_path, 4, end=5)[1]) == [(4, 8)]
    assert ASKED[4] == (2, 8)


@pytest.mark.parametrize('batch', [3, 4])
def test_every_batch_is_of_its_scale(images, tmp_path, batch):
    _, watch = grow('pggan', tmp_path, images, train_dataloader__batch_size=batch)
    assert shapes(watch) == ASKED


@pytest.mark.slow
# In the first scale, exactly at a growth, within a scale of the same folder, of another.
@pytest.mark.parametrize('stop', [1, 2, 4, 6, 8])
def test_a_resumed_run_sees_the_images_that_were_next(images, tmp_path, stop):
    _, whole = grow('pggan', tmp_path / 'whole', images)
    first, second = go_on(images, tmp_path / 'stopped', stop)
    assert shapes(first) == ASKED[:stop]
    for ours, theirs in zip(first.batches + second.batches, whole.batches, strict=True):
        assert all(map(torch.equal, ours, theirs))
    # They differ from one iteration to the next, so another place would show.
    assert not torch.equal(whole.batches[3][0], whole.batches[4][0])


def test_a_second_run_of_a_process_starts_at_the_start(images, tmp_path):
    same = dict(experiment_name=tmp_path.name)  # and so the same message hub
    _, first = grow('pggan', tmp_path / 'a', images, **same)
    runner, _ = grow('pggan', tmp_path / 'b', images, iterations=1, **same)
    assert shapes(first) == ASKED
    assert runner.message_hub.get_info('pggan_data_start') == 0


def test_weights_to_start_from_bring_the_data_of_their_scale(images, tmp_path):
    grow('pggan', tmp_path / 'first', images, iterations=6)
    start = dict(load_from=str(tmp_path / 'first' / 'iter_6.pth'))
    _, watch = grow('pggan', tmp_path / 'second', images, iterations=2, **start)
    assert shapes(watch) == [(4, 16)] * 2
    assert watch.first == 0
