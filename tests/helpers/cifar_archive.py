"""A small archive in CIFAR-10's format, and a server for it on this machine.

python tests/helpers/cifar_archive.py --images 200 --port 8123
"""

import argparse
import gzip
import hashlib
import io
import pickle
import sys
import tarfile
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from torch.nn.functional import interpolate

NAME = 'cifar-10-python.tar.gz'
FOLDER = 'cifar-10-batches-py'
BATCHES = (*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch')
CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']


def smooth_images(count, seed):
    """Colour gradients, uint8, (count, 3, 32, 32)."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 3, 3, 3, generator=generator)
    images = interpolate(corners, size=(32, 32), mode='bilinear', align_corners=True)
    return (images * 255).round().byte().numpy()


def files(images):
    """Content of the archive by file name; ``images`` in each batch."""
    content = {'batches.meta': {'label_names': CLASSES, 'num_cases_per_batch': images}}
    for seed, name in enumerate(BATCHES):
        data = smooth_images(images, seed).reshape(images, -1)
        labels = [(i + seed) % 10 for i in range(images)]
        content[name] = {'batch_label': name, 'data': data, 'labels': labels}
    return {name: pickle.dumps(value, protocol=2) for name, value in content.items()}


def make_archive(folder, images=20):
    """Writes the archive into a folder; its checksums by file name."""
    content = files(images)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(f'{FOLDER}/{name}')
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    packed = gzip.compress(stream.getvalue(), mtime=0)
    (Path(folder) / NAME).write_bytes(packed)
    return {name: md5(data) for name, data in {NAME: packed, **content}.items()}


def md5(data):
    """The checksum as CIFAR-10 lists it."""
    return hashlib.md5(data).hexdigest()


@dataclass(frozen=True)
class Served:
    """Where an archive is served."""

    url: str
    checksums: dict
    requests: list

    @property
    def options(self):
        """What sends a CIFAR-10 config here, as --cfg-options."""
        return options_for(self.checksums, url=self.url)


def options_for(checksums, **arguments):
    """Arguments of all data sets of a CIFAR-10 config, as --cfg-options."""
    options = {}
    for loader in ('train', 'val', 'test'):
        data_set = f'{loader}_dataloader.dataset'
        options.update({f'{data_set}.{name}': value for name, value in arguments.items()})
        options.update({f'{data_set}.checksums.{name}': md5 for name, md5 in checksums.items()})
    return options


@cache
def local_options():
    """Sends a CIFAR-10 config to an archive of 240 images that lies on the disk."""
    _folders.append(tempfile.TemporaryDirectory(prefix='rggan_mm_cifar10_'))
    return options_for(make_archive(_folders[-1].name, images=40), data_root=_folders[-1].name)


_folders = []  # as long as the tests run


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args, requests, **kwargs):
        self.requests = requests
        super().__init__(*args, **kwargs)

    def log_message(self, text, *args):
        self.requests.append(text % args)


@contextmanager
def serve(images=20, port=0):
    """Serves a new archive on localhost while the block runs; ``port`` 0 is any free one."""
    requests = []
    with tempfile.TemporaryDirectory() as folder:
        checksums = make_archive(folder, images)
        handler = partial(_Handler, directory=folder, requests=requests)
        with ThreadingHTTPServer(('127.0.0.1', port), handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield Served(f'http://127.0.0.1:{server.server_port}/{NAME}', checksums, requests)
            finally:
                server.shutdown()
                thread.join()


def main():
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=200, help='in each of the six batches')
    parser.add_argument('--port', type=int, default=8123)
    args = parser.parse_args()
    with serve(args.images, args.port) as served:
        options = ' '.join(f'{key}={value}' for key, value in served.options.items())
        # A folder of its own, or these files would replace the real ones.
        command = f'--dataroot data/small_cifar10 --cfg-options {options}'
        sys.stdout.write(f'{served.url}\n\n{command}\n')
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == '__main__':
    main()
