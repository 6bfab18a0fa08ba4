"""Masks that are chosen and not learned: by magnitude, at random, by gradient.

Pure functions; masks are booleans, True = kept. Sources: Evci et al., Rigging the Lottery, ICML
2020 (densities by layer, drop and grow); Wang et al., Balanced Training for Sparse GANs, NeurIPS
2023 (both across all layers of a network).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .magnitudes import magnitudes
from .sparse_network import SparseNetwork


@torch.no_grad()
def set_masks(network: SparseNetwork, masks: Mapping[str, Tensor]) -> None:
    """Writes the stored masks of a network, and with that those of its average.

    Args:
        network: Its rule is :class:`.StoredMask`.
        masks: By name of the layer.
    """
    for name, mask in masks.items():
        network.layers[name].rule.tensor.copy_(mask)


def weight_sizes(network: SparseNetwork) -> dict[str, Tensor]:
    """|W| as each layer multiplies with it, by name of the layer."""
    with network.without_masks():
        sizes = magnitudes([layer.info for layer in network.layers.values()])
    return dict(zip(network.layers, sizes, strict=True))


def magnitude_masks(sizes: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Keeps the largest numbers of all layers together.

    Args:
        sizes: |W| by name of the layer.
        share: Of all numbers, in (0, 1].
    """
    flat = torch.cat([size.flatten() for size in sizes.values()])
    mask = torch.zeros_like(flat, dtype=torch.bool)
    mask[flat.topk(round(share * flat.numel())).indices] = True
    return dict(zip(sizes, _parts(mask, list(sizes.values())), strict=True))


def random_masks(
    shapes: Mapping[str, torch.Size], shares: Mapping[str, float], seed: int
) -> dict[str, Tensor]:
    """Keeps a share of each layer's numbers, drawn at random on the CPU.

    Args:
        shapes: Shape by name of the layer.
        shares: Share by name of the layer, in [0, 1].
        seed: Seed of the draws, which leave PyTorch's own stream alone.
    """
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name, shape in shapes.items():
        order = torch.randperm(shape.numel(), generator=generator)
        mask = order < round(shares[name] * shape.numel())
        masks[name] = mask.view(shape)
    return masks


def erk_shares(shapes: Mapping[str, torch.Size], share: float) -> dict[str, float]:
    """Shares by layer that make up a share of all weights: Erdos-Renyi-Kernel.

    A layer's share is proportional to the sum of its dimensions by their product. Layers whose
    share would be above 1 are dense, and the others take what is left.

    Args:
        shapes: Shape of the weight by name of the layer.
        share: Of all weights, in (0, 1].
    """
    sizes = {name: shape.numel() for name, shape in shapes.items()}
    raw = {name: sum(shape) / shape.numel() for name, shape in shapes.items()}
    dense: set[str] = set()
    while True:
        wanted = share * sum(sizes.values()) - sum(sizes[name] for name in dense)
        others = [name for name in shapes if name not in dense]
        scale = wanted / sum(raw[name] * sizes[name] for name in others) if others else 0.0
        above = {name for name in others if scale * raw[name] > 1}
        if not above:
            return {name: 1.0 if name in dense else scale * raw[name] for name in shapes}
        dense |= above


@torch.no_grad()
def drop_and_grow(
    weights: Sequence[Tensor],
    masks: Sequence[Tensor],
    gradients: Sequence[Tensor],
    share: float,
    change: int = 0,
) -> list[Tensor]:
    """Drops the smallest kept weights and keeps as many others, whose gradients are largest.

    Both are ranked over all layers together. A weight that was just dropped may come back at
    once. Waits for the device.

    Args:
        weights: Set to 0 in place where they were not kept all along: new weights start from 0.
        masks: Their masks; left as they are.
        gradients: Their gradients, those of masked weights included.
        share: Share of the kept weights to drop, in [0, 1].
        change: How many more weights than before to keep; below 0: fewer.

    Returns:
        The new masks.
    """
    kept = torch.cat([mask.flatten() for mask in masks])
    count = int(torch.count_nonzero(kept))
    change = min(max(change, -count), kept.numel() - count)
    dropped = max(round(share * count), -change)
    size = torch.cat([weight.abs().flatten() for weight in weights])
    kept[size.masked_fill(~kept, math.inf).topk(dropped, largest=False).indices] = False
    for weight, stays in zip(weights, _parts(kept, weights), strict=True):
        weight.mul_(stays)
    slope = torch.cat([gradient.abs().flatten() for gradient in gradients])
    kept[slope.masked_fill(kept, -1).topk(dropped + change).indices] = True
    return _parts(kept, weights)


def balance_ratio(before: Tensor, after: Tensor, real: Tensor) -> Tensor:
    """How much of the discriminator's lead one generator step makes up for.

    Args:
        before: Mean of D(G(z)) before the step.
        after: Mean of D(G(z)) after it, of the same z.
        real: Mean of D(x).
    """
    return (after - before) / (real - before)


def cosine(start: float, fraction: float) -> float:
    """Falls from a number to 0 over a run.

    Args:
        start: The number.
        fraction: Of the run, in [0, 1].
    """
    return start * (1 + math.cos(math.pi * min(fraction, 1.0))) / 2


def _parts(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    parts = flat.split([tensor.numel() for tensor in like])
    return [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]
