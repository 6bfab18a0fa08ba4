"""Progress that a growing model keeps beside its weights, put among them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from torch import Tensor, nn


def keep_among_weights(
    kind: type[nn.Module],
    write: Callable[[Any, dict[str, Tensor], str], None],
    read: Callable[[Any, dict[str, Tensor], str], None],
) -> None:
    """Let the weights of a class of models hold their progress.

    Args:
        kind: The class.
        write: Adds a model's progress to a state; the names there begin with a prefix.
        read: Takes it out of a state that is loaded.
    """
    save, load = kind._save_to_state_dict, kind._load_from_state_dict

    @wraps(save)
    def save_all(self: Any, state: dict, prefix: str, keep_vars: bool) -> None:
        save(self, state, prefix, keep_vars)
        write(self, state, prefix)

    @wraps(load)
    def load_all(self: Any, state: dict, prefix: str, *args: Any) -> None:
        read(self, state, prefix)
        load(self, state, prefix, *args)

    kind._save_to_state_dict, kind._load_from_state_dict = save_all, load_all
