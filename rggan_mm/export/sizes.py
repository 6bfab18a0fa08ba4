"""How large a network is, dense and sparse: parameters, bytes and multiplications."""

from __future__ import annotations

import copy
import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork
from rggan_mm.pruning.mask_rules import THRESHOLD

from .packing import pack
from .stock_weights import Counts, fold_away, plain_state
from .weight_files import needed


def parameters_of(network: nn.Module) -> int:
    """Number of parameters, without thresholds."""
    named = network.named_parameters()
    return sum(value.numel() for name, value in named if name.rpartition('.')[2] != THRESHOLD)


def bytes_of(network: nn.Module) -> dict[str, int]:
    """Bytes of a network's files by format, without metadata.

    Args:
        network: A network, sparse or not; it stays as it is.

    Returns:
        {} where it cannot be folded; 'pth' alone without the package safetensors.
    """
    copied = copy.deepcopy(network)
    sparse = SparseNetwork.of(copied)
    try:
        fold_away({'': sparse} if sparse else {})
    except ConfigError:
        return {}
    state = plain_state(copied.state_dict())
    file = io.BytesIO()
    torch.save(state, file)
    sizes = {'pth': file.tell()}
    try:
        save = needed('safetensors.torch', 'the table of sizes').save
    except ConfigError:
        return sizes
    packed = {'packed': False, 'packed, half': True}
    return {
        **sizes,
        'safetensors': len(save(state)),
        **{
            name: len(save(tensors, {'packed': shapes}))
            for name, half in packed.items()
            for tensors, shapes in [pack(state, half)]
        },
    }


def macs_of(network: nn.Module, call: Callable[[], Any], kept: Counts) -> tuple[int, int]:
    """Multiplications of one call, with all weights and with those that are kept.

    They are PyTorch's count (``torch.utils.flop_counter``); a layer's share of kept weights
    is taken for its share of multiplications.

    Args:
        network: The network, in eval mode.
        call: Computes with it once.
        kept: Kept weights and weights by layer.
    """
    own: Counter[str] = Counter()
    inside: list[list[int]] = []  # flops before each layer that computes, and those in its parts
    with torch.no_grad(), FlopCounterMode(display=False) as counter:

        def before(module: nn.Module, args: tuple) -> None:
            inside.append([counter.get_total_flops(), 0])

        def after(name: str) -> None:
            start, nested = inside.pop()
            spent = counter.get_total_flops() - start
            own[name] += spent - nested
            if inside:
                inside[-1][1] += spent

        handles = []
        for name in kept:
            module = network.get_submodule(name)
            handles.append(module.register_forward_pre_hook(before))
            handles.append(module.register_forward_hook(lambda *_, name=name: after(name)))
        try:
            call()
        finally:
            for handle in handles:
                handle.remove()
        total = counter.get_total_flops()
    saved = sum(own[name] * (1 - left / every) for name, (left, every) in kept.items())
    return total // 2, round((total - saved) / 2)
