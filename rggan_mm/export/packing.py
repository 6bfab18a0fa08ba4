"""Packs weights with zeros: the values that are left, and one bit a weight."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from .packed import BITS, VALUES


def pack(state: Mapping[str, Tensor], half: bool = False) -> tuple[dict[str, Tensor], str]:
    """Packs each weight of single precision that becomes smaller by it.

    Args:
        state: Weights by name, zeros where they are pruned.
        half: Whether the kept values are stored in half precision. Default: False.

    Returns:
        Tensors of the packed file, and the names and shapes for its metadata.
    """
    chosen = {name: value for name, value in state.items() if _smaller(value)}
    tensors = {name: value for name, value in state.items() if name not in chosen}
    kept = [value.flatten() != 0 for value in chosen.values()]
    flat = zip(kept, chosen.values(), strict=True)
    values = [torch.zeros(0), *(value.flatten()[mask] for mask, value in flat)]
    bits = [torch.zeros(0, dtype=torch.uint8), *map(_bits, kept)]
    tensors[VALUES] = torch.cat(values).to(torch.float16 if half else torch.float32)
    tensors[BITS] = torch.cat(bits)
    return tensors, json.dumps({name: list(value.shape) for name, value in chosen.items()})


def _smaller(value: Tensor) -> bool:
    if value.dtype != torch.float32:
        return False
    return 4 * int(value.count_nonzero()) + value.numel() / 8 < 4 * value.numel()


def _bits(kept: Tensor) -> Tensor:
    padded = functional.pad(kept.to(torch.uint8), (0, -kept.numel() % 8)).reshape(-1, 8)
    return (padded << torch.arange(8, dtype=torch.uint8)).sum(1, dtype=torch.uint8)
