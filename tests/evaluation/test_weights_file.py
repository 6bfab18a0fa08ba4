import hashlib
import multiprocessing
import pickle

import pytest
import torch
import torch.distributed as dist
from local_server import serving

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.weights_file import hub_weights, local_weights, state_dict

WORLD = 2
OTHER = '0123456789abcdef'


def refusal(function, *args):
    """What the one-line error says."""
    with pytest.raises(ConfigError) as caught:
        function(*args)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def state_of(path):
    return state_dict(local_weights(path))


def test_file_is_read_and_checked(tmp_path):
    path = tmp_path / 'net.pth'
    tensors = {'a': torch.arange(3.0), 'b.c': torch.ones(2, 2, dtype=torch.int64)}
    torch.save(tensors, path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()
    for accepted in (None, digits, digits[:8].upper()):
        file = local_weights(path, accepted)
        assert (file.path, file.sha256) == (path, digits)
        assert all(torch.equal(state_dict(file)[name], tensors[name]) for name in tensors)


def test_unreadable_file_is_refused_in_one_line(tmp_path, monkeypatch):
    path = tmp_path / 'net.pth'
    path.touch()

    def refuse(self):
        raise PermissionError('denied\n' * 100)

    monkeypatch.setattr(type(path), 'read_bytes', refuse)
    message = refusal(local_weights, path)
    assert message.startswith(f'weights {path} cannot be read: denied denied')
    assert len(message) < 200 + 100 + len(str(path))


@pytest.mark.parametrize('content', [b'', b'<html>not found</html>', bytes(1000)])
def test_damaged_file_is_refused(content, tmp_path):
    path = tmp_path / 'damaged.pth'
    path.write_bytes(content)
    assert f'weights {path} cannot be read: ' in refusal(state_of, path)


def test_download_that_was_cut_off_is_refused(tmp_path):
    path = tmp_path / 'half.pth'
    torch.save({'a': torch.zeros(10_000)}, path)
    path.write_bytes(path.read_bytes()[:20_000])
    assert f'weights {path} cannot be read: ' in refusal(state_of, path)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ('unpickling ran code',)


def test_loading_runs_no_code(tmp_path):
    path = tmp_path / 'bomb.pth'
    path.write_bytes(pickle.dumps({'fc.weight': Bomb()}, protocol=2))
    assert 'cannot be read: ' in refusal(state_of, path)
    torch.save({'fc.weight': Bomb()}, path)
    assert 'cannot be read: ' in refusal(state_of, path)


@pytest.mark.parametrize('content', [[1], {'state_dict': {}}, {1: torch.ones(1)}, torch.ones(1)])
def test_other_contents_are_refused(content, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(content, path)
    assert refusal(state_of, path) == f'weights {path} are no state dict (names and tensors)'


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch.hub's folder, empty."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    return tmp_path / 'hub' / 'checkpoints'


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Address of a small file, its hash, and what is asked of its server."""
    folder = tmp_path / 'published'
    folder.mkdir()
    (folder / 'net.pth').write_bytes(b'weights')
    monkeypatch.setenv('no_proxy', '*')
    with serving(folder) as (address, requests):
        yield f'{address}/net.pth', hashlib.sha256(b'weights').hexdigest(), requests


@pytest.mark.parametrize(
    ('path', 'reason'), [('', 'invalid hash value'), ('.missing', 'HTTP Error 404')]
)
def test_failed_download_says_where_to_put_what(path, reason, hub, published):
    url = published[0] + path
    message = refusal(hub_weights, url, OTHER)
    assert message.startswith(f'weights net.pth{path} of {url}: cannot download it ({reason}')
    assert f'put the published file at {hub / "net.pth"}{path}, or name another' in message
    assert message.endswith('(tools/evaluate.py: --weights FILE)')
    assert list(hub.iterdir()) == []


def test_another_file_in_the_folder_is_refused(hub, published):
    url, _, requests = published
    hub.mkdir(parents=True)
    (hub / 'net.pth').write_bytes(b'other')
    found = hashlib.sha256(b'other').hexdigest()
    assert f'the file there has sha256 {found}, not {OTHER}; ' in refusal(hub_weights, url, OTHER)
    assert requests == []


def fetch(rank, folder, url, digits):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=WORLD
    )
    file = hub_weights(url, digits)
    try:
        hub_weights(f'{url}.missing', digits)
    except ConfigError as error:
        (folder / str(rank)).write_text(f'{file.sha256} {error}')
    dist.destroy_process_group()


def test_one_process_downloads_and_all_see_its_problems(tmp_path, hub, published):
    url, digits, requests = published
    # Forked: importing mmagic anew in every process would take most of the time.
    context = multiprocessing.get_context('fork')
    processes = [
        context.Process(target=fetch, args=(rank, tmp_path, url, digits)) for rank in range(WORLD)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        process.kill()
    answers = [(tmp_path / str(rank)).read_text() for rank in range(WORLD)]
    assert answers[0] == answers[1]
    assert answers[0].startswith(f'{digits} weights net.pth.missing')
    assert requests == ['/net.pth', '/net.pth.missing']
