import pytest
from hypothesis import given
from hypothesis import strategies as st

from rggan_mm.errors import ConfigError
from rggan_mm.schedule import iterations, train_schedule

COUNT = st.integers(1, 10**6)
PUBLISHED = {
    'train_images': 50_000,
    'epochs': 1000,
    'eval_epochs': 5,
    'train_dataloader': {'batch_size': 64, 'dataset': {'data_ratio': 0.1}},
}


@given(images=COUNT, batch_size=COUNT, epochs=COUNT)
def test_epochs_see_every_image_and_no_batch_is_empty(images, batch_size, epochs):
    per_epoch, rest = divmod(iterations(images, batch_size, epochs), epochs)
    assert rest == 0
    assert (per_epoch - 1) * batch_size < images <= per_epoch * batch_size


def test_the_published_numbers():
    """79 batches an epoch at 10 %, the last of 8 images."""
    assert train_schedule(PUBLISHED) == {'max_iters': 79_000, 'val_interval': 395}
    assert train_schedule(PUBLISHED, 0.2) == {'max_iters': 157_000, 'val_interval': 785}
    assert train_schedule(PUBLISHED, data_ratio=1.0)['max_iters'] == 782_000


def test_a_data_set_without_a_ratio_is_used_whole():
    config = {**PUBLISHED, 'train_dataloader': {'batch_size': 64, 'dataset': {}}}
    assert train_schedule(config)['max_iters'] == 782_000


@pytest.mark.parametrize('name', ['train_images', 'epochs', 'eval_epochs'])
@pytest.mark.parametrize('value', [None, 0, -1, 1.5, True, '3'])
def test_a_bad_number_is_named(name, value):
    with pytest.raises(ConfigError, match=rf'^{name}={value!r} must be an integer'):
        train_schedule({**PUBLISHED, name: value})


def test_a_bad_loader_is_named():
    loader = {'batch_size': 0, 'dataset': {'data_ratio': 0.1}}
    with pytest.raises(ConfigError, match='batch_size=0'):
        train_schedule({**PUBLISHED, 'train_dataloader': loader})
    with pytest.raises(ConfigError, match='data_ratio'):
        train_schedule(PUBLISHED, 1.5)
