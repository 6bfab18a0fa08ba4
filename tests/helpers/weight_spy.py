"""Sees which weights layers really compute with."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class WeightSpy(TorchFunctionMode):
    """Looks at the arguments of every torch function that a pruned layer calls.

    Attributes:
        masked: Layers, as (network, name), that computed with a tensor that is zero
            wherever the mask says so.
        unmasked: Those that read the stored weight itself while they had a mask.
        ratios: Smallest kept share of each layer.
    """

    def __init__(self, networks):
        super().__init__()
        self.masked, self.unmasked, self.ratios = set(), set(), {}
        self._computing = []
        for name, network in networks.items():
            for layer_name, layer in network.layers.items():
                self._watch((name, layer_name), layer)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if self._computing:
            with torch._C.DisableTorchFunction():
                self._look(*self._computing[-1], list(_tensors((args, kwargs or {}))))
        return function(*args, **(kwargs or {}))

    def _watch(self, key, layer):
        # Registered after the mask's own hooks: it sees what the forward will see.
        def starts(*_):
            self._computing.append((key, layer))

        def ends(*_):
            self._computing.pop()

        layer.info.module.register_forward_pre_hook(starts)
        layer.info.module.register_forward_hook(ends, always_call=True)

    def _look(self, key, layer, tensors):
        if not layer.network.sparse or layer.mask is None:
            return
        mask = layer.mask
        self.ratios[key] = min(self.ratios.get(key, 1.0), mask.float().mean().item())
        for tensor in tensors:
            # SNConv2d and SNLinear compute the normalised weight inside their forward.
            if tensor is layer.info.stored and layer.info.source != 'method':
                self.unmasked.add(key)
            if tensor.shape == mask.shape and not tensor.detach()[~mask].any():
                self.masked.add(key)


def _tensors(value) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
