"""Reads packed weights: kept values, and one bit a weight that says where they are.

This file needs torch and safetensors alone and may be copied. Weights come back as the state
dict that was packed::

    network.load_state_dict(load_packed('generator.safetensors'))
"""

import json

import torch
from torch import Tensor

SHAPES = 'packed'  # names and shapes, as JSON in the file's metadata
VALUES, BITS = 'packed.values', 'packed.bits'


def load_packed(path: str) -> dict[str, Tensor]:
    """Reads a packed file; no code in it runs.

    Args:
        path: The file.

    Returns:
        Weights by name; values that were packed in half precision come back in single.

    Raises:
        ValueError: The file is not packed, or its parts do not fit each other.
    """
    from safetensors import safe_open

    with safe_open(str(path), framework='pt') as file:
        shapes = json.loads((file.metadata() or {}).get(SHAPES, 'null'))
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if shapes is None or VALUES not in state or BITS not in state:
        raise ValueError(f'{path} is not packed: it has no {SHAPES} or no {VALUES}')
    values, bits = state.pop(VALUES).float(), state.pop(BITS)
    for name, shape in shapes.items():
        kept = _unpack(bits, torch.Size(shape).numel())
        bits = bits[-(-kept.numel() // 8) :]
        count = int(kept.sum())
        if count > values.numel():
            raise ValueError(f'{path}: {name} has fewer values than bits')
        weight = torch.zeros(kept.numel())
        weight[kept] = values[:count]
        values, state[name] = values[count:], weight.reshape(shape)
    return state


def _unpack(bits: Tensor, count: int) -> Tensor:
    places = torch.arange(8, dtype=torch.uint8)
    return (bits[: -(-count // 8), None] >> places & 1).bool().flatten()[:count]
