"""Names of a data set's files, in a few bytes, and what has changed in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from os.path import commonpath, dirname, relpath
from typing import Any
from zlib import crc32

import torch
from mmengine.dist import all_gather_object, broadcast_object_list
from torch import Tensor
from torch.utils.data import Dataset

from .random_streams import streams_kept

MOST = 100_000  # files that are compared


@dataclass
class FileNames:
    """Files of a data set in their order.

    Attributes:
        sums: CRC-32 of each name, within ``data_root`` or the folder that they share, int64.
        names: The names; empty where they come from a checkpoint, which keeps the sums.
    """

    sums: Tensor
    names: list[str]

    @classmethod
    def of(cls, dataset: Dataset) -> 'FileNames | None':
        """Files of a data set, the first :data:`MOST`; None where it does not name them."""
        with streams_kept():  # some data sets choose partners by chance
            paths = list(islice(dict.fromkeys(_paths(dataset)), MOST))
        if not paths:
            return None
        folder = getattr(dataset, 'data_root', None) or _shared_folder(paths)
        names = [relpath(path, folder) for path in paths]
        sums = torch.tensor([crc32(name.encode('utf-8', 'surrogateescape')) for name in names])
        return cls(sums, names)

    @classmethod
    def of_state(cls, sums: Tensor) -> 'FileNames':
        """The files of a checkpoint."""
        return cls(sums, [])

    def state_dict(self) -> Tensor:
        """What a checkpoint keeps."""
        return self.sums

    def changes(self, before: 'FileNames', when: str) -> str:
        """What differs from other files, in words; empty where nothing does.

        Args:
            before: The files to compare with.
            when: Where or when those were.
        """
        if torch.equal(self.sums, before.sums):
            return ''
        ours, theirs = self.sums.tolist(), set(before.sums.tolist())
        new = [name for name, code in zip(self.names, ours, strict=True) if code not in theirs]
        gone = len(theirs - set(ours))
        if not new and not gone:
            return f'{len(ours)} files in another order than {when}'
        example = f' (such as {new[0]})' if new else ''
        return (
            f'{len(ours)} files, {len(before.sums)} {when}: {len(new)} new{example}, {gone} missing'
        )


def _shared_folder(paths: list[str]) -> str:
    try:
        return commonpath([dirname(path) for path in paths]) or '.'
    except ValueError:  # absolute and relative ones
        return '.'


def now_elsewhere(ours: FileNames | None) -> Iterator[tuple[int, str]]:
    """Number of each process whose files differ from the first one's, and what differs.

    Args:
        ours: Files of this process. All processes must call.
    """
    first = [None if ours is None else ours.sums]
    broadcast_object_list(first)
    text = ''
    if ours is not None and first[0] is not None:
        text = ours.changes(FileNames.of_state(first[0]), 'in process 0')
    for rank, found in enumerate(all_gather_object(text)):
        if found:
            yield rank, found


def _paths(dataset: Dataset) -> Iterator[str]:
    """Paths of the files that a data set would read; nothing for pixels in memory."""
    if parts := getattr(dataset, 'datasets', None):
        for part in parts:
            yield from _paths(part)
    elif isinstance(inner := getattr(dataset, 'dataset', None), Dataset):
        yield from _paths(inner)
    elif listed := getattr(dataset, 'data_list', None):
        yield from _found(listed, 'path')
    elif _has_infos(dataset):
        for index in range(len(dataset)):
            found = list(_found(dataset.get_data_info(index), ''))
            if not found:
                return
            yield from found


def _has_infos(dataset: Dataset) -> bool:
    # A data set that lists no items, such as SinGANDataset, never made the serialised list.
    serialised = getattr(dataset, 'serialize_data', False)
    return hasattr(dataset, 'get_data_info') and (
        not serialised or hasattr(dataset, 'data_address')
    )


def _found(item: Any, key: str) -> Iterator[str]:
    if isinstance(item, str):
        if key.endswith('path'):
            yield item
    elif isinstance(item, dict):
        for name, value in item.items():
            yield from _found(value, str(name))
    elif isinstance(item, (list, tuple)):
        for value in item:
            yield from _found(value, key)
