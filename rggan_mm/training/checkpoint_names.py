"""Checkpoints of distributed runs name their weights after the wrapper."""

from collections import defaultdict
from collections.abc import Callable, Iterable, MutableMapping
from functools import wraps
from typing import Any

from mmengine.model import (
    MMDistributedDataParallel,
    MMSeparateDistributedDataParallel,
    is_model_wrapper,
)
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

from rggan_mm.compat.outcome import Outcome

_NAME = 'distributed-checkpoints'
_WRAPPER = 'module.'


def _rename(mapping: MutableMapping[str, Any], old: str, new: str) -> None:
    """Change the beginning of names, in place and in their order."""
    for name in [name for name in mapping if name.startswith(old)]:
        mapping[new + name[len(old) :]] = mapping.pop(name)


def _drop_wrapper(state: MutableMapping[str, Any], prefix: str) -> None:
    """Take ``module.`` out of the names below a prefix, and out of their versions."""
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


def _with_plain_names(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of MMSeparateDistributedDataParallel."""

    @wraps(init)
    def init_with_plain_names(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        for child in self.module.children():
            if isinstance(child, MMDistributedDataParallel):
                child._register_state_dict_hook(_save_without_wrapper)
                child._register_load_state_dict_pre_hook(_load_without_wrapper)

    return init_with_plain_names


def wrapped_networks(names: Iterable[str]) -> list[str]:
    """Tell which networks of a checkpoint were saved through a wrapper.

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


def _without_wrappers(checkpoint: Any) -> Any:
    """Give the weights of an old distributed run their plain names."""
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else None
    if isinstance(state, dict) and all(isinstance(name, str) for name in state):
        for network in wrapped_networks(state):
            _drop_wrapper(state, network + '.')
    return checkpoint


def _read_plain_names(load: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap MMEngine's reader of checkpoints."""

    @wraps(load)
    def load_with_plain_names(cls: type, *args: Any, **kwargs: Any) -> Any:
        return _without_wrappers(load(cls, *args, **kwargs))

    return load_with_plain_names


def _give_back_module(model: nn.Module, state: MutableMapping[str, Any]) -> None:
    """Name ``module`` again where a network has a child of that name itself.

    An averaged copy that was saved without its counter looks wrapped.
    """
    for name, child in model.named_children():
        child = child.module if is_model_wrapper(child) else child
        if 'module' not in child._modules or any(n.startswith(f'{name}.module.') for n in state):
            continue
        own = {f'{name}.{buffer}': state.pop(f'{name}.{buffer}', None) for buffer in child._buffers}
        _rename(state, f'{name}.', f'{name}.module.')
        state.update({key: value for key, value in own.items() if value is not None})


def _fit_names(load: Callable[..., None]) -> Callable[..., None]:
    """Wrap MMEngine's load_state_dict."""

    @wraps(load)
    def load_state_dict(
        module: nn.Module, state_dict: MutableMapping[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        _give_back_module(module, state_dict)
        load(module, state_dict, *args, **kwargs)

    return load_state_dict


def name_weights_plainly() -> Outcome:
    """Let any number of processes load what any number of processes saved.

    Symptom: weights of a distributed run are saved as ``generator.module.*``; on
    load none of them matches, only a log line says so, and the run goes on from
    random weights with the old iteration and optimiser. Cause: the runner asks
    the model for its ``state_dict``, which names the wrappers of
    MMSeparateDistributedDataParallel, while its loader leaves wrappers out.
    Applies to MMEngine up to 0.10.7. Wrapped networks now name their weights as
    unwrapped ones do; checkpoints that were written before load as well.

    Returns:
        The outcome.
    """
    wrapper = MMSeparateDistributedDataParallel
    wrapper.__init__ = _with_plain_names(wrapper.__init__)
    loader = mmengine_checkpoint.CheckpointLoader
    loader.load_checkpoint = classmethod(_read_plain_names(loader.load_checkpoint.__func__))
    mmengine_checkpoint.load_state_dict = _fit_names(mmengine_checkpoint.load_state_dict)
    return Outcome(_NAME, True, 'weights have the same names with and without processes')
