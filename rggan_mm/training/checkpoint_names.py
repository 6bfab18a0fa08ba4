"""Names of weights, the same with and without processes.

MMSeparateDistributedDataParallel wraps each network, and its ``state_dict`` names the
wrappers: ``generator.module.*``. MMEngine's loader leaves wrappers out, so that nothing of
such a file matches. Here wrapped networks name their weights as unwrapped ones do, and files
that were written before load as well.
"""

from collections import defaultdict
from collections.abc import Iterable, MutableMapping
from typing import Any

from mmengine.model import (
    MMDistributedDataParallel,
    MMSeparateDistributedDataParallel,
    is_model_wrapper,
)
from torch import nn

_WRAPPER = 'module.'


def name_plainly(model: nn.Module) -> None:
    """Leaves the wrappers of a model's networks out of the names of its weights.

    Args:
        model: A model; nothing changes unless each of its networks is wrapped by itself.
    """
    if not isinstance(model, MMSeparateDistributedDataParallel):
        return
    for child in model.module.children():
        if isinstance(child, MMDistributedDataParallel):
            child._register_state_dict_hook(_save_without_wrapper)
            child._register_load_state_dict_pre_hook(_load_without_wrapper)


def without_wrappers(checkpoint: Any) -> Any:
    """Gives the weights of an old distributed run their plain names, in place.

    Args:
        checkpoint: Anything that was loaded.

    Returns:
        The same object.
    """
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else None
    if isinstance(state, dict) and all(isinstance(name, str) for name in state):
        for network in wrapped_networks(state):
            _drop_wrapper(state, network + '.')
    return checkpoint


def wrapped_networks(names: Iterable[str]) -> list[str]:
    """Tells which networks of a checkpoint were saved through a wrapper.

    A network's averaged copy has a ``module`` too, but beside it a counter.

    Args:
        names: Names of the checkpoint's weights.

    Returns:
        Networks whose names all go on with ``module.``.
    """
    networks = defaultdict(list)
    for name in names:
        network, _, rest = name.partition('.')
        networks[network].append(rest)
    return [
        network
        for network, rests in networks.items()
        if all(rest.startswith(_WRAPPER) for rest in rests)
    ]


def give_back_module(model: nn.Module, state: MutableMapping[str, Any]) -> None:
    """Names ``module`` again where a network has a child of that name itself.

    An averaged copy that was saved without its counter looks wrapped.

    Args:
        model: The model that is to be loaded.
        state: Weights by name, changed in place.
    """
    for name, child in model.named_children():
        child = child.module if is_model_wrapper(child) else child
        if 'module' not in child._modules or any(n.startswith(f'{name}.module.') for n in state):
            continue
        own = {f'{name}.{buffer}': state.pop(f'{name}.{buffer}', None) for buffer in child._buffers}
        _rename(state, f'{name}.', f'{name}.module.')
        state.update({key: value for key, value in own.items() if value is not None})


def _rename(mapping: MutableMapping[str, Any], old: str, new: str) -> None:
    """Changes the beginning of names, in place and in their order."""
    for name in [name for name in mapping if name.startswith(old)]:
        mapping[new + name[len(old) :]] = mapping.pop(name)


def _drop_wrapper(state: MutableMapping[str, Any], prefix: str) -> None:
    """Takes ``module.`` out of the names below a prefix, and out of their versions."""
    _rename(state, prefix + _WRAPPER, prefix)
    versions = getattr(state, '_metadata', None)
    if versions is None:
        return
    inside = prefix + _WRAPPER[:-1]
    if inside in versions:
        versions[prefix[:-1]] = versions.pop(inside)
    _rename(versions, prefix + _WRAPPER, prefix)


def _save_without_wrapper(
    wrapper: nn.Module, state: MutableMapping[str, Any], prefix: str, local_metadata: Any
) -> None:
    _drop_wrapper(state, prefix)


def _load_without_wrapper(state: MutableMapping[str, Any], prefix: str, *rest: Any) -> None:
    """PyTorch's own loader walks through the wrapper and wants its name back."""
    if not any(name.startswith(prefix + _WRAPPER) for name in state):
        _rename(state, prefix, prefix + _WRAPPER)
