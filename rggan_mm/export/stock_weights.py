"""Stock weights: masks folded in, without thresholds and phases."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, fold, list_layers
from rggan_mm.pruning.folding import masked_weights

Counts = dict[str, tuple[int, int]]


def kept_counts(network: SparseNetwork) -> Counts:
    """Kept weights and weights by name of the layer, in the network's phase."""
    return {
        name: (int(mask.count_nonzero()), mask.numel())
        for name, (_, mask) in masked_weights(network).items()
    }


def nonzero_counts(network: nn.Module) -> Counts:
    """Weights that are not 0 and weights by name of the layer, of a baked network."""
    return {
        info.name: (int(info.stored.count_nonzero()), info.stored.numel())
        for info in list_layers(network)
        if info.prunable
    }


def fold_away(networks: Mapping[str, SparseNetwork]) -> None:
    """Folds masks into stored weights and takes thresholds and phases off.

    In eval mode the networks compute what they computed.

    Args:
        networks: Sparse networks by name.

    Raises:
        ConfigError: A layer whose stored weight cannot hold the zeros.
    """
    for name, network in networks.items():
        try:
            fold([network])
        except ConfigError as error:
            raise ConfigError(f'{name}: {error}; --format onnx holds what it computes') from None
    for network in networks.values():
        network.detach()


def share(counts: Counts) -> float:
    """Kept weights / weights; 1 where there are none."""
    kept, total = (sum(pair[i] for pair in counts.values()) for i in (0, 1))
    return kept / total if total else 1.0


def plain_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of tensors that share no memory, on the CPU."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
