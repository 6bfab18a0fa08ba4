"""Which layers of a network can be pruned, and how each one computes."""

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

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


def output_channels(layer: LayerInfo) -> int:
    """Counts the output channels of a layer, groups included."""
    channels = layer.stored.shape[layer.out_dim]
    return channels * layer.module.groups if is_transposed(layer.module) else channels


def is_transposed(module: nn.Module) -> bool:
    """True for transposed convolutions, whose weight is (in, out / groups, ...)."""
    return isinstance(module, _ConvTransposeNd)


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
