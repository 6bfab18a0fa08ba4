"""A model that cannot fit into the machine is refused while it is built."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from rggan_mm.errors import ConfigError

_GIB = 2**30


@contextmanager
def weights_within_memory(limit: int | None = None) -> Iterator[None]:
    """Stops the building of networks whose weights exceed the machine's memory.

    PyTorch reserves a tensor before it is filled; without this the system would end the
    process while the weights are drawn.

    Args:
        limit: Bytes; None is the memory of this machine. Default: None.

    Raises:
        ConfigError: The weights together are larger.
    """
    limit = limit or os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    total = 0

    def add(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal total
        total += 0 if parameter is None else parameter.numel() * parameter.element_size()
        if total > limit:
            raise ConfigError(
                f'model: the weights up to {type(module).__name__}.{name} of shape '
                f'{tuple(parameter.shape)} take {total / _GIB:.1f} GiB, and this machine has '
                f'{limit / _GIB:.1f} GiB; take fewer channels or a smaller image'
            )

    handle = register_module_parameter_registration_hook(add)
    try:
        yield
    finally:
        handle.remove()
