"""Which weights of a layer are kept: by thresholds that learn, or by a mask that is stored.

A rule says which; :mod:`.masked_layers` says when.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from . import mask_kernel
from .layers import LayerInfo, output_channels
from .magnitudes import magnitudes
from .masks import distances, exceeds, has_collapsed, keep_mask, ste_mask, threshold_shape

THRESHOLD = 'threshold'
MASK = 'mask'
_CASTING = (nn.Linear.forward, nn.Conv2d.forward, nn.ConvTranspose2d.forward)


class Settings(Protocol):
    """What rules ask of their network.

    Attributes:
        mode: Threshold gradient, 'published' or 'ste'.
        min_keep: Limit of the collapse guard, in [0, 1); None: no guard.
    """

    mode: str
    min_keep: float | None


class MaskRule:
    """Says which weights of one layer are kept, by a tensor that it puts beside the weight.

    A rule gives :meth:`create`, which makes that tensor, and :meth:`keep`; the rest has defaults.

    Args:
        info: The layer.
        network: The layer's network.

    Attributes:
        name: Name of the tensor in the layer; '' where there is none.
        guard_count: How often a collapse guard acted, 0-d; None before it first looked.
    """

    name: ClassVar[str]

    def __init__(self, info: LayerInfo, network: Settings) -> None:
        self.info = info
        self.network = network
        self.guard_count: Tensor | None = None
        tensor = self.create()
        if tensor is None:
            return
        if isinstance(tensor, nn.Parameter):
            info.module.register_parameter(self.name, tensor)
        else:
            info.module.register_buffer(self.name, tensor)

    @property
    def tensor(self) -> Tensor | None:
        """The tensor beside the weight, if any."""
        module = self.info.module  # its attributes would be found slowly
        parameters = module._parameters
        if self.name in parameters:
            return parameters[self.name]
        return module._buffers.get(self.name)

    @property
    def masks_raw_gradient(self) -> bool:
        """Whether the gradient of the stored weight is masked before a step."""
        return True

    def create(self) -> Tensor | None:
        """Makes the tensor: a parameter, or what will be a buffer. Default: none."""
        return None

    def keep(self, weight: Tensor, tensor: Tensor) -> Tensor:
        """The mask of a weight; nothing changes.

        Args:
            weight: What the layer, or a replica of it, multiplies with.
            tensor: The rule's tensor in the same module.

        Returns:
            Booleans of the weight's shape, True = kept.
        """
        raise NotImplementedError

    def masked(self, weight: Tensor, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """The masked weight and its mask, in a forward.

        Args:
            weight: As in :meth:`keep`.
            tensor: As in :meth:`keep`.

        Returns:
            The mask as numbers 0 and 1 of the weight's type, where gradients are computed.
        """
        kept = self.keep(weight, tensor).to(weight.dtype)
        return weight * kept, kept

    def settled(self, weight: Tensor) -> Tensor:
        """The mask that the next forward would find, after a guard; nothing changes."""
        return self.keep(weight, self.tensor)

    def hand_on(self, kept: Tensor) -> None:
        """Leaves the mask of a forward for whoever needs it. Default: nobody does."""

    def follow(self, source: MaskRule) -> None:
        """Makes this the rule of a layer that averages another one; the tensor is averaged too."""

    def detach(self) -> None:
        """Takes the tensor off the layer."""
        if self.name:
            delattr(self.info.module, self.name)


class StoredMask(MaskRule):
    """Keeps what a boolean buffer says, which whoever owns the network sets.

    It has the shape of the weight that the layer multiplies with and starts all True. In a state
    dict it is a small integer, 0 or 1: averages take differences of what is there.

    Attributes:
        straight_through: Whether masked weights get the gradient that they would have unmasked,
            until :meth:`.SparseLayers.mask_raw_gradients`. Default: False.
    """

    name = MASK

    def __init__(self, info: LayerInfo, network: Settings) -> None:
        super().__init__(info, network)
        self.straight_through = False
        self._handle = info.module._register_state_dict_hook(self._write_numbers)

    def create(self) -> Tensor:
        """Makes a mask that keeps everything."""
        (size,) = magnitudes([self.info])
        return torch.ones_like(size, dtype=torch.bool)

    def keep(self, weight: Tensor, tensor: Tensor) -> Tensor:
        """The stored mask."""
        return tensor

    def masked(self, weight: Tensor, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`MaskRule.masked`; numbers are the same where gradients go straight through."""
        masked, kept = super().masked(weight, tensor)
        return (weight + (masked - weight).detach() if self.straight_through else masked), kept

    def follow(self, source: MaskRule) -> None:
        """Shares the mask of a layer that this one averages; a mask has no average."""
        self.info.module._buffers[MASK] = source.tensor

    def detach(self) -> None:
        """Takes mask and hook off the layer."""
        self._handle.remove()
        super().detach()

    def _write_numbers(self, module: nn.Module, state: dict, prefix: str, *_: object) -> None:
        state[prefix + MASK] = state[prefix + MASK].to(torch.int8)


class ThresholdRule(MaskRule):
    """Keeps |W| > t, with one trained threshold t per output channel; with a collapse guard."""

    name = THRESHOLD

    def __init__(self, info: LayerInfo, network: Settings) -> None:
        super().__init__(info, network)
        self._counters: Tensor | None = None

    @property
    def masks_raw_gradient(self) -> bool:
        """Only in mode 'published'."""
        return self.network.mode == 'published'

    def create(self) -> nn.Parameter:
        """Makes thresholds of 0, shape (C_out,)."""
        return nn.Parameter(self.info.stored.new_zeros(output_channels(self.info)))

    def size(self, weight: Tensor) -> Tensor:
        """What is compared with the thresholds: |W|."""
        return weight.abs()

    def distance(self, magnitude: Tensor) -> Tensor:
        """|W| - t, which is above 0 where a weight is kept.

        Args:
            magnitude: |W|.
        """
        return distances(self.size(magnitude), self.tensor, self._shape(magnitude))

    def keep(self, weight: Tensor, tensor: Tensor) -> Tensor:
        """M = 1(|W| > t)."""
        return keep_mask(self.size(weight), tensor, self._shape(weight))

    def settled(self, weight: Tensor) -> Tensor:
        """The mask after the collapse guard."""
        mask = self.keep(weight, self.tensor)
        limit = self.network.min_keep
        return self.size(weight) != 0 if limit is not None and has_collapsed(mask, limit) else mask

    def masked(self, weight: Tensor, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """The masked weight and its mask; the collapse guard may reset the thresholds first."""
        shape, own = self._shape(weight), tensor is self.tensor
        published = self.network.mode == 'published' and type(self) is ThresholdRule
        if own and published and mask_kernel.usable(weight, tensor, shape):
            return self._masked_in_one_kernel(weight, tensor)
        with torch.no_grad():
            kept, reset = self._guarded_mask(weight, tensor, shape)
        if self.network.mode == 'ste':
            if reset is not None and not own:
                tensor = tensor.masked_fill(reset, 0)
            return weight * ste_mask(weight, tensor, shape, kept), kept
        return weight * kept, kept

    def _shape(self, weight: Tensor) -> list[int]:
        return threshold_shape(self.info.module, weight, self.info.out_dim)

    def _masked_in_one_kernel(self, weight: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
        """The masked weight and the mask, in the type that is to be kept."""
        self._place_counts(weight.device)
        counts = self.guard_count, self._counters
        settings = self.info.out_dim, self.network.min_keep, *counts
        # A layer of PyTorch's would cast the masked weight itself.
        cast = torch.is_autocast_enabled() and type(self.info.module).forward in _CASTING
        dtype = torch.get_autocast_gpu_dtype() if cast else weight.dtype
        if torch.is_grad_enabled():
            apply = mask_kernel.MaskedWeight.apply
            return apply(weight, threshold, *settings, weight.dtype, dtype)
        return mask_kernel.mask_weight(weight, threshold, *settings, torch.bool, dtype)

    def _place_counts(self, device: torch.device) -> None:
        """Makes or moves the counts, which change in place; so not as inference tensors."""
        if self.guard_count is None or self.guard_count.device != device:
            with torch.inference_mode(False):
                before = self.guard_count
                zero = torch.zeros((), dtype=torch.int64, device=device)
                self.guard_count = zero if before is None else before.to(device)
                self._counters = torch.zeros(2, dtype=torch.int32, device=device)

    def _guarded_mask(
        self, weight: Tensor, threshold: Tensor, shape: list[int]
    ) -> tuple[Tensor, Tensor | None]:
        """The mask as numbers, and whether the guard acted; without a synchronisation."""
        magnitude, own = self.size(weight), self.tensor
        if self.network.min_keep is None:
            return exceeds(magnitude, threshold, shape, in_place=True), None
        kept = exceeds(magnitude, threshold, shape)
        collapsed = has_collapsed(kept, self.network.min_keep)
        # masked_fill, not a product: a threshold of inf must become 0, not NaN.
        own.masked_fill_(collapsed.to(own.device), 0)
        if threshold is not own:
            threshold = threshold.masked_fill(collapsed, 0)
        self._place_counts(weight.device)
        self.guard_count += collapsed
        return exceeds(magnitude, threshold, shape, in_place=True), collapsed


# By the name of their tensor, which tells in a checkpoint what it was trained with.
RULES: dict[str, type[MaskRule]] = {rule.name: rule for rule in (ThresholdRule, StoredMask)}
