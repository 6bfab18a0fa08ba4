"""Loads the weights of a network whose channels were cut into the network of its config.

This file needs torch alone and may be copied. Layers take the shapes that their weights have in
the file::

    network = load_shrunk(network, torch.load('small.pth', weights_only=True)).eval()
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.utils import parametrize

# What layers call the sizes of their weights' dimensions.
_SIZES = (
    (nn.ConvTranspose2d, ('in_channels', 'out_channels')),
    (nn.Conv2d, ('out_channels', 'in_channels')),
    (nn.Linear, ('out_features', 'in_features')),
    (nn.Embedding, ('num_embeddings', 'embedding_dim')),
)


def load_shrunk(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Gives a network the weights of a smaller one, for evaluation.

    The file holds what layers multiply with, so spectral norms and equalised learning rates go.

    Args:
        network: The network of the config, changed in place.
        state: Its weights, smaller where channels were cut.

    Returns:
        The same network.

    Raises:
        RuntimeError: The weights are those of another network.
    """
    for name, module in network.named_modules():
        prefix = f'{name}.' if name else ''
        if f'{prefix}weight' in state:
            hold_plainly(module, state[f'{prefix}weight'])
        for held in (module._parameters, module._buffers):
            for key, value in held.items():
                new = state.get(prefix + key)
                if value is not None and new is not None and new.shape != value.shape:
                    held[key] = new.clone() if held is module._buffers else nn.Parameter(new)
        _say_sizes(module)
    network.load_state_dict(state)
    return network


def hold_plainly(module: nn.Module, weight: Tensor) -> None:
    """Lets a layer compute with a weight as it is, whatever made it out of another one before.

    Args:
        module: The layer.
        weight: Becomes its parameter.
    """
    if parametrize.is_parametrized(module, 'weight'):
        parametrize.remove_parametrizations(module, 'weight', leave_parametrized=True)
    elif 'weight_orig' in module._parameters:
        # They make module.weight out of what is stored, and look at no input.
        module._forward_pre_hooks.clear()
        module._load_state_dict_pre_hooks.clear()
        del module._parameters['weight_orig']
        for name in ('weight', 'weight_u', 'weight_v'):
            module.__dict__.pop(name, None)
            module._buffers.pop(name, None)
    elif hasattr(module, 'sn_weight'):
        module.__dict__['sn_weight'] = lambda: module.weight
    module.register_parameter('weight', nn.Parameter(weight.clone(), requires_grad=False))


def _say_sizes(module: nn.Module) -> None:
    for kind, names in _SIZES:
        if isinstance(module, kind) and getattr(module, 'groups', 1) == 1:
            for name, size in zip(names, module.weight.shape, strict=False):
                setattr(module, name, size)
    if hasattr(module, 'num_features'):
        own = (module._buffers.get('running_mean'), module._parameters.get('bias'))
        sizes = [len(tensor) for tensor in own if tensor is not None]
        module.num_features = (sizes or [module.num_features])[0]
