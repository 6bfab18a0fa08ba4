"""CIFAR-10 for data-efficient runs: MMagic's data set, a share of its images.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
60,000 photographs of 32x32 pixels in ten classes.
"""

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from mmagic.datasets import CIFAR10
from mmagic.datasets.data_utils import calculate_md5, expanduser
from mmagic.registry import DATASETS

from rggan_mm.datasets.subset import (
    check_ratio,
    check_seed,
    check_subset,
    select_indices,
    subset_name,
)
from rggan_mm.errors import ConfigError


@DATASETS.register_module()
class CIFAR10Subset(CIFAR10):
    """MMagic's ``CIFAR10`` (download, checksums, unpacking, items), a share of it.

    An item ahead of the pipeline is ``dict(gt=uint8 (32, 32, 3), gt_label=int,
    gt_channel_order='RGB')``. The archive is downloaded once, on the first process; one
    that already lies in ``data_root`` needs no network. Every file is compared with its
    MD5 checksum before it is read; one that is missing or damaged, as after a run that was
    killed while it unpacked, is unpacked again.

    Args:
        test_mode: True is the test split (10,000 images), False the training split
            (50,000). Default: False.
        data_ratio: Share of the split to use, in (0, 1]. Default: 1.0.
        subset: How to choose that share: ``'first'`` (as published), ``'random'``
            or ``'stratified'``. Default: ``'first'``.
        subset_seed: Seed of ``'random'`` and ``'stratified'``. Default: 0.
        url: Where the archive is; None is the University of Toronto. Default: None.
        checksums: MD5 of files that differ from the original, by name: of the archive
            (``cifar-10-python.tar.gz``), ``data_batch_1`` to ``data_batch_5``,
            ``test_batch``, ``batches.meta``. Default: None.
        data_root: Folder of the archive and of what is unpacked. Default:
            ``'data/cifar10'``.
        data_prefix: Folder inside ``data_root``. Default: ``''``.
        **kwargs: Other arguments of MMagic's ``CIFAR10``: ``download`` (True), ``pipeline``,
            ``metainfo``, ``indices``, ...

    Raises:
        ConfigError: An argument has a value that is not listed here; the archive is not
            there and may not or cannot be downloaded; a checksum does not match.
    """

    def __init__(
        self,
        test_mode: bool = False,
        data_ratio: float = 1.0,
        subset: str = 'first',
        subset_seed: int = 0,
        url: str | None = None,
        checksums: Mapping[str, str] | None = None,
        data_root: str = 'data/cifar10',
        data_prefix: str = '',
        **kwargs,
    ) -> None:
        self.data_ratio = check_ratio(data_ratio)
        self.subset = check_subset(subset)
        self.subset_seed = check_seed(subset_seed)
        if url is not None:
            self.url = _check_url(url)
        self._take_checksums(_join_names({} if checksums is None else checksums))
        super().__init__(data_prefix, test_mode, data_root=expanduser(data_root), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Make sure that the files are there, read the split and choose its images.

        Returns:
            One dict an image with ``gt``, ``gt_label`` and ``gt_channel_order``.

        Raises:
            ConfigError: The files cannot be had, or are not what they should be.
        """
        items = self._load_all()
        labels = [item['gt_label'] for item in items]
        chosen = select_indices(labels, self.data_ratio, self.subset, self.subset_seed)
        return [items[index] for index in chosen]

    @property
    def name(self) -> str:
        """Name with split and, where one was chosen, the subset: 'CIFAR10 test'."""
        split = 'CIFAR10 test' if self.test_mode else 'CIFAR10 train'
        return subset_name(split, self.data_ratio, self.subset, self.subset_seed)

    def extra_repr(self) -> list[str]:
        """Lines that ``repr`` shows beside the number of images and classes."""
        return [f'Images: \t{self.name}', *super().extra_repr()]

    def _take_checksums(self, checksums: Mapping[str, str]) -> None:
        known = [self.filename, *dict(self._batches()), self.meta['filename']]
        for name in checksums:
            if name not in known:
                raise ConfigError(f'checksums: {name!r} is no file; there is: {", ".join(known)}')
        self.tgz_md5 = checksums.get(self.filename, self.tgz_md5)
        self.train_list = [(name, checksums.get(name, md5)) for name, md5 in self.train_list]
        self.test_list = [(name, checksums.get(name, md5)) for name, md5 in self.test_list]
        meta = self.meta['filename']
        self.meta = {**self.meta, 'md5': checksums.get(meta, self.meta['md5'])}

    def _load_all(self) -> list[dict]:
        if not self.download and not self._check_integrity():
            raise ConfigError(f'download=False, but {self._trouble()}; {self._advice()}')
        try:
            with _harmless_archives():
                return super().load_data_list()
        except (OSError, HTTPException) as error:
            reason = str(error).strip('<>')
            what = f'could not be downloaded from {self.url}' if self._lacks_archive() else ''
            raise ConfigError(
                f'CIFAR-10 {what or "could not be unpacked"} ({reason}); {self._trouble()}; '
                f'{self._advice()}'
            ) from error
        except tarfile.TarError as error:
            raise ConfigError(f'{self._archive} cannot be unpacked: {error}') from error
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f'CIFAR-10: {self._trouble()}; {self._advice()}') from error

    def _trouble(self) -> str:
        """What is wrong with the files, in a few words."""
        folder = self._archive.parent / self.base_folder
        unpacked = [(folder / name, md5) for name, md5 in self._batches()]
        for path, md5 in ((self._archive, self.tgz_md5), *unpacked):
            if not path.is_file():
                return f'there is no {path}'
            if (found := calculate_md5(path)) != md5:
                return f'the checksum of {path} is {found} instead of {md5}'
        return f'{folder} is not readable by every process'

    def _lacks_archive(self) -> bool:
        return not self._archive.is_file() or calculate_md5(self._archive) != self.tgz_md5

    def _advice(self) -> str:
        return (
            f'put {self.filename} (md5 {self.tgz_md5}) into {self._archive.parent}, or give '
            'data_root, or url and checksums of a mirror'
        )

    @property
    def _archive(self) -> Path:
        return Path(self.data_prefix['root']) / self.filename

    def _batches(self) -> list[tuple[str, str]]:
        return [*self.train_list, *self.test_list]


def _check_url(url: str) -> str:
    if not isinstance(url, str) or '://' not in url:
        raise ConfigError(f'url must be the address of an archive, https://..., but got {url!r}')
    return url


def _join_names(checksums: Mapping, start: str = '') -> dict[str, str]:
    """Puts names together again that --cfg-options split at their dots."""
    if not isinstance(checksums, Mapping):
        raise ConfigError(f'checksums must be a dict of MD5 by file name, but got {checksums!r}')
    joined = {}
    for name, value in checksums.items():
        if isinstance(value, Mapping):
            joined.update(_join_names(value, f'{start}{name}.'))
        else:
            joined[start + name] = value
    return joined


@contextmanager
def _harmless_archives() -> Iterator[None]:
    """Lets tarfile unpack only what stays in its folder.

    That is the default from Python 3.14 on; 3.12 and 3.13 warn where nobody chose; old
    releases of 3.10 and 3.11 do not have it.
    """
    before = vars(tarfile.TarFile).get('extraction_filter')
    only_data = getattr(tarfile, 'data_filter', None)
    tarfile.TarFile.extraction_filter = only_data and staticmethod(only_data)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before
