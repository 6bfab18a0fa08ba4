"""Batches that come from worker processes as bytes."""

import io
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data._utils.pin_memory import pin_memory


class PackedBatch:
    """A batch as bytes.

    PyTorch sends each tensor of a batch by a file descriptor and shared memory of its own;
    a thousand images on their way reach the limit of open files, and a process then fails
    or waits for ever. Bytes go through the pipe that is there.

    Args:
        batch: Anything that can be pickled; its tensors become arrays on the way.
    """

    def __init__(self, batch: Any) -> None:
        stream = io.BytesIO()
        _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(batch)
        self.content = stream.getbuffer().tobytes()

    def unpack(self, pinned: bool = False) -> Any:
        """The batch again.

        Args:
            pinned: Whether tensors go to page-locked memory, as a DataLoader with
                ``pin_memory`` puts them. Default: False.
        """
        batch = pickle.loads(self.content)
        return pin_memory(batch) if pinned else batch


class Packing:
    """A collate function whose batches are packed.

    Args:
        collate: The collate function that makes a batch.
    """

    def __init__(self, collate: Callable[[list], Any]) -> None:
        self.collate = collate

    def __call__(self, items: list) -> PackedBatch:
        """Makes and packs a batch."""
        return PackedBatch(self.collate(items))


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Plain tensors as NumPy arrays, others as they pickle themselves."""
        plain = type(value) is torch.Tensor and value.layout is torch.strided
        if not plain or value.requires_grad or value.device.type != 'cpu':
            return NotImplemented
        if value.dtype is torch.bfloat16 or value.is_conj() or value.is_neg():
            return NotImplemented
        return torch.from_numpy, (value.numpy(),)
