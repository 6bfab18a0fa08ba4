"""Which channels of a network can be cut out exactly, found with a forward for each layer.

The channels that a layer makes can be cut where one other layer is all that reads them: then
masking the columns of that reader changes what cutting changes. To find out, some channels of
a layer's output are set to NaN. What works channel by channel (norms, activations,
upsampling) hands NaN on in those channels alone. Each layer that reads NaN is noted and gets 0
instead. No structure has to be known, and no graph traced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_leaves, tree_map

from rggan_mm.errors import ConfigError

from .layers import LayerInfo, holders, list_layers


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can be cut, and who knows of them.

    Attributes:
        producer: Name of the layer that makes them.
        consumer: Name of the only layer that reads them.
        between: Names of modules on the way that hold something for each channel (norms).
        beside: Names of layers that make one more number for each channel (embeddings of
            conditional norms).
    """

    producer: str
    consumer: str
    between: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def find_groups(network: nn.Module, call: Callable[[], object]) -> list[ChannelGroup]:
    """Finds the channels of a network that can be cut.

    Args:
        network: Any module; it stays as it is.
        call: Computes with it once.

    Returns:
        The groups in the order of the network's layers. A layer makes the channels of one at
        most, and reads those of one at most.
    """
    layers = {info.name: info for info in list_layers(network) if not _scales(info)}
    stored = Counter(id(info.stored) for info in layers.values() if info.parameter)
    plain = {n for n, i in layers.items() if _is_plain(i) and stored[id(i.stored)] == 1}
    with _undisturbed(network):
        trails = {name: _follow(network, call, layers, name) for name in layers}
    groups = []
    for name, trail in trails.items():
        consumer = trail.only_reader()
        if name not in plain or consumer not in plain or trail.ndim != trail.readers[consumer]:
            continue
        others = {n: t for n, t in trails.items() if consumer in t.readers and n != name}
        beside = [n for n, t in others.items() if t.only_reader() and t.ndim != trail.ndim]
        around = {*holders(name), *holders(consumer), ''} - {name, consumer}
        between = [other for other in trail.between if other not in around]
        known = all(_is_known(network.get_submodule(n), trail.channels) for n in between)
        if len(beside) < len(others) or not known:
            continue
        # What a module around the layers holds for each channel may belong to it or not.
        if not any((trail.channels,) in _shapes(network.get_submodule(n)) for n in around):
            groups.append(ChannelGroup(name, consumer, tuple(between), tuple(beside)))
    return groups


def choose_channels(
    network: str, infos: Sequence[LayerInfo], groups: Sequence[ChannelGroup], others: bool
) -> tuple[list[LayerInfo], list[ChannelGroup]]:
    """The channels that are pruned, of the layers that are wanted.

    Args:
        network: The network's name, for the message.
        infos: Its layers; those that are not wanted carry the reason.
        groups: All its channels that can be cut.
        others: Whether other layers stay wanted, to be pruned by weight.

    Returns:
        The layers again, others with a reason unless they stay, and the groups.

    Raises:
        ConfigError: There are none.
    """
    wanted = {info.name for info in infos if info.prunable}
    chosen = [group for group in groups if group.producer in wanted]
    if not chosen:
        raise ConfigError(
            f'granularity: {network} has no channels that can be cut exactly; name granularity by '
            f"network, with {network}='weight'"
        )
    left = set() if others else wanted - {group.producer for group in chosen}
    reason = 'its channels cannot be cut exactly'
    return [replace(i, reason=reason) if i.name in left else i for i in infos], chosen


class _Trail:
    """Where the marked channels of one layer go.

    Attributes:
        channels: How many channels it makes.
        ndim: Dimensions of what it makes.
        readers: Layers that read marked channels, with the dimensions of what they read; 0
            where those are not the channels that were marked.
        between: Other modules with parameters that they pass.
    """

    def __init__(self) -> None:
        self.channels = self.ndim = 0
        self.readers: dict[str, int] = {}
        self.between: list[str] = []
        self.calls: Counter[str] = Counter()
        self.ends = False
        self._marked = torch.zeros(0)

    def only_reader(self) -> str:
        """The one layer that reads exactly these channels; '' where there is none."""
        once = len(self.readers) == 1 and all(self.readers.values()) and self.ends
        reader = next(iter(self.readers)) if once else ''
        return reader if self.calls[reader] == self.calls[''] == 1 else ''

    def mark(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        """Sets about half of the channels to NaN, in no order."""
        self.calls[''] += 1
        self.ndim, self.channels = output.ndim, output.shape[1]
        random = torch.Generator().manual_seed(0)
        order = torch.randperm(self.channels, generator=random).to(output.device)
        self._marked = order < (self.channels + 1) // 2
        shape = [1, -1] + [1] * (output.ndim - 2)
        return output.masked_fill(self._marked.view(shape), torch.nan)

    def read(
        self, name: str, module: nn.Module, args: tuple, kwargs: dict
    ) -> tuple[tuple, dict] | None:
        """Takes note of a layer that reads marked channels; it gets 0 for them."""
        self.calls[name] += 1
        if not _has_nan((args, kwargs)):
            return None
        own = self._are_marked(args[0]) and not _has_nan((args[1:], kwargs))
        self.readers[name] = args[0].ndim if own else 0
        return tree_map(_without_nan, (args, kwargs))

    def passed(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> None:
        """Takes note of another module that marked channels pass."""
        if _has_nan((args, kwargs)):
            self.between.append(name)

    def _are_marked(self, value: Tensor) -> bool:
        if value.ndim not in (2, 4) or value.shape[1] != self.channels:
            return False
        return torch.equal(value.isnan().transpose(0, 1).flatten(1).any(1), self._marked)


def _follow(
    network: nn.Module, call: Callable[[], object], layers: dict[str, LayerInfo], name: str
) -> _Trail:
    """Marks channels of one layer and sees where they go."""
    trail = _Trail()
    handles = [layers[name].module.register_forward_hook(trail.mark)]
    for other, module in network.named_modules():
        watch = trail.read if other in layers else trail.passed
        if other in layers or module._parameters:
            hook = partial(watch, other)
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
    try:
        trail.ends = not _has_nan(call())
    finally:
        for handle in handles:
            handle.remove()
    return trail


def _scales(info: LayerInfo) -> bool:
    """Whether it has no more than a number for each channel (norms, PReLU)."""
    return info.reason == 'normalisation' or bool(info.parameter and info.stored.ndim < 2)


def _is_plain(info: LayerInfo) -> bool:
    """Whether it is a layer of PyTorch's, or made of one, of one group."""
    module = info.module
    plain = isinstance(module, nn.Linear) or (isinstance(module, _ConvNd) and module.groups == 1)
    return plain and info.prunable


def _is_known(module: nn.Module, channels: int) -> bool:
    """Whether a module holds one number for each channel, or one for all, and nothing else."""
    return _shapes(module) <= {(channels,), (1,), ()}


def _shapes(module: nn.Module) -> set[tuple[int, ...]]:
    own = [*module._parameters.values(), *module._buffers.values()]
    return {tuple(tensor.shape) for tensor in own if tensor is not None}


def _has_nan(given: object) -> bool:
    tensors = (leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor))
    return any(bool(tensor.isnan().any()) for tensor in tensors)


def _without_nan(value: object) -> object:
    return value.nan_to_num(0.0) if isinstance(value, Tensor) else value


@contextmanager
def _undisturbed(network: nn.Module) -> Iterator[None]:
    """In eval mode, without gradients; modes and random numbers are what they were after it."""
    training = [module for module in network.modules() if module.training]
    device = next(network.parameters()).device
    network.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng([device] if device.type == 'cuda' else []):
            yield
    finally:
        for module in training:
            module.training = True
