"""Which layers of a network can be pruned, how each one computes, and which are wanted."""

import difflib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from rggan_mm.errors import ConfigError

_SHOWN = 8  # names in a message
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
# nn.MultiheadAttention reads its weight and never calls it.
_READ_BY_PARENT = (nn.modules.linear.NonDynamicallyQuantizableLinear,)
_NORMS = tuple(
    norm
    for norm in (_NormBase, nn.LayerNorm, nn.GroupNorm, getattr(nn, 'RMSNorm', None))
    if norm is not None
)


@dataclass(frozen=True)
class LayerInfo:
    """What is known of one layer that owns a weight.

    Attributes:
        name: Dotted name inside the network; '' for the network itself.
        module: The layer.
        source: Where the weight that the layer multiplies with comes from:
            'attribute' (``module.weight``, plain or set by a forward pre-hook
            such as spectral norm or equalised learning rate), 'parametrization'
            (``torch.nn.utils.parametrize``, new-style spectral norm) or
            'method' (``module.sn_weight()``, MMagic's SNConv2d and SNLinear).
        parameter: Dotted name, inside the layer, of the parameter that stores
            the raw weight; '' when there is no such single parameter.
        out_dim: Dimension of the weight that counts output channels.
        reason: Why the layer is left out; '' when it can be pruned.
    """

    name: str
    module: nn.Module
    source: str = ''
    parameter: str = ''
    out_dim: int = 0
    reason: str = ''

    @property
    def prunable(self) -> bool:
        """True when the layer can be pruned."""
        return not self.reason

    @property
    def stored(self) -> nn.Parameter:
        """The parameter that stores the raw weight, also while a masked one hides it."""
        owner, _, name = self.parameter.rpartition('.')
        return self.module.get_submodule(owner)._parameters[name]


def list_layers(network: nn.Module) -> list[LayerInfo]:
    """Lists every layer of a network that owns a weight, once each.

    A layer is prunable when it computes with a ``weight`` of two or more
    dimensions and is neither an embedding nor a normalisation.

    Args:
        network: Any module.

    Returns:
        One entry per layer, in the order of ``network.named_modules()``; those
        that cannot be pruned carry the reason.
    """
    layers = (_inspect(name, module) for name, module in network.named_modules())
    return [layer for layer in layers if layer is not None]


def computing_weight(layer: LayerInfo) -> Tensor:
    """The weight that a layer multiplies with, made without a forward of the network.

    The layer's own pre-hooks, parametrization or method make it (equalised learning rate,
    fused kernels, spectral norm); in training mode a spectral norm takes one step.
    """
    module = layer.module
    if layer.source == 'method':
        return module.sn_weight()
    if layer.source == 'attribute' and layer.parameter != 'weight':
        # They make module.weight out of what is stored, and look at no input.
        for hook in module._forward_pre_hooks.values():
            hook(module, ())
    return module.weight


def output_channels(layer: LayerInfo) -> int:
    """Counts the output channels of a layer, groups included."""
    channels = layer.stored.shape[layer.out_dim]
    return channels * layer.module.groups if is_transposed(layer.module) else channels


def is_transposed(module: nn.Module) -> bool:
    """True for transposed convolutions, whose weight is (in, out / groups, ...)."""
    return isinstance(module, _ConvTransposeNd)


def in_dim(module: nn.Module) -> int:
    """Dimension of a plain layer's weight that counts the channels that it reads."""
    return 0 if is_transposed(module) else 1


def _inspect(name: str, module: nn.Module) -> LayerInfo | None:
    source, parameter = _find_weight(module)
    if not source:
        return None
    if not parameter:
        return LayerInfo(name, module, source, reason='its weight is made of several parameters')
    reason = _reason_against(module, module.get_parameter(parameter))
    out_dim = 0 if reason else _out_dim(module, module.get_parameter(parameter))
    return LayerInfo(name, module, source, parameter, out_dim, reason)


def _find_weight(module: nn.Module) -> tuple[str, str]:
    """Returns where the computing weight comes from and who stores it."""
    if parametrize.is_parametrized(module, 'weight'):
        single = hasattr(module.parametrizations['weight'], 'original')
        return 'parametrization', 'parametrizations.weight.original' if single else ''
    own = module._parameters
    if own.get('weight') is not None:
        return ('method' if callable(getattr(module, 'sn_weight', None)) else 'attribute'), 'weight'
    if own.get('weight_orig') is not None:
        return 'attribute', 'weight_orig'
    return ('attribute', '') if own.get('weight_v') is not None else ('', '')


def _reason_against(module: nn.Module, weight: nn.Parameter) -> str:
    if isinstance(module, _EMBEDDINGS):
        return 'embedding'
    if isinstance(module, _NORMS):
        return 'normalisation'
    if isinstance(module, _READ_BY_PARENT):
        return 'computed by its parent'
    if isinstance(weight, UninitializedParameter):
        return 'lazy layer without weights yet'
    if weight.ndim < 2:
        return f'weight of {weight.ndim} dimension(s)'
    return ''


def _out_dim(module: nn.Module, weight: nn.Parameter) -> int:
    if is_transposed(module):
        return 1
    # Modulated convolutions (StyleGAN2) store (1, out, in, k, k).
    modulated = weight.ndim == 5 and weight.shape[0] == 1 and not isinstance(module, _ConvNd)
    return 1 if modulated else 0


def choose_layers(
    network: nn.Module, include: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> list[LayerInfo]:
    """The layers of one network that can be pruned and are wanted.

    Args:
        network: Any module.
        include: Glob patterns of what to prune; None (default): everything.
        exclude: Glob patterns of what to leave dense. A pattern names a layer or any
            module that holds it: 'mapping' stands for 'mapping.0.linear' as well.

    Returns:
        The chosen layers; may be empty.

    Raises:
        ConfigError: Patterns that are no list of names, or match nothing prunable.
    """
    judged = apply_patterns({info.name: info for info in list_layers(network)}, include, exclude)
    return [info for info in judged.values() if info.prunable]


def apply_patterns(
    layers: Mapping[str, LayerInfo], include: Sequence[str] | None, exclude: Sequence[str]
) -> dict[str, LayerInfo]:
    """Gives layers that are not wanted a reason against them.

    Args:
        layers: Layers by the name that patterns mean, of one network or several.
        include: As in :func:`choose_layers`.
        exclude: As in :func:`choose_layers`.

    Returns:
        All layers in the same order.

    Raises:
        ConfigError: As :func:`choose_layers`.
    """
    check_patterns(include, exclude)
    prunable = [name for name, info in layers.items() if info.prunable]
    for field, patterns in (('include', include or ()), ('exclude', exclude)):
        for pattern in patterns:
            _refuse_useless(field, pattern, prunable)
    return {
        name: _judge(name, info, include, exclude) if info.prunable else info
        for name, info in layers.items()
    }


def check_patterns(include: Sequence[str] | None, exclude: Sequence[str]) -> None:
    """Raises ConfigError unless both are lists of patterns; ``include`` may be None."""
    for field, value in (('include', include), ('exclude', exclude)):
        if value is None and field == 'include':
            continue
        named = isinstance(value, (list, tuple)) and all(isinstance(p, str) and p for p in value)
        if not named or (field == 'include' and not value):
            raise ConfigError(
                f"{field}={value!r} must be a list of patterns, such as ['generator.to_rgb*']"
            )


def _judge(
    name: str, info: LayerInfo, include: Sequence[str] | None, exclude: Sequence[str]
) -> LayerInfo:
    for pattern in exclude:
        if _matches(name, pattern):
            return replace(info, reason=f'excluded by {pattern}')
    if include is not None and not any(_matches(name, pattern) for pattern in include):
        return replace(info, reason='not in include')
    return info


def _matches(name: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(part, pattern) for part in holders(name))


def holders(name: str) -> Iterator[str]:
    """A dotted name and those of the modules around it: a.b.c, a.b, a."""
    while name:
        yield name
        name = name.rpartition('.')[0]


def _refuse_useless(field: str, pattern: str, names: Sequence[str]) -> None:
    if any(_matches(name, pattern) for name in names):
        return
    close = difflib.get_close_matches(pattern, names, n=_SHOWN, cutoff=0.4) or names[:_SHOWN]
    more = f' and {len(names) - len(close)} more' if len(names) > len(close) else ''
    raise ConfigError(
        f'{field}: pattern {pattern!r} matches no prunable layer; there is: '
        f'{", ".join(close)}{more}'
    )
