"""What an export says of its networks: a row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from torch import nn

from rggan_mm.analysis.calling import Images

from .sizes import bytes_of, macs_of, parameters_of
from .stock_weights import Counts

_FORMATS = ('pth', 'safetensors', 'packed', 'packed, half')


@dataclass(frozen=True)
class Row:
    """One network.

    Attributes:
        network: Its name.
        parameters: Number of parameters in the stock network.
        kept: Number of those that are not pruned.
        bytes: Size of its file by format, as far as known; {} where its masks cannot be folded.
        macs: Multiplications for one sample, dense; None where it is unknown how it is called.
        macs_sparse: Those with kept weights.
    """

    network: str
    parameters: int
    kept: int
    bytes: dict[str, int]
    macs: int | None = None
    macs_sparse: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def row_of(
    name: str, network: nn.Module, counts: Counts, growth: Mapping[str, Any], size: int
) -> Row:
    """Measures one network, which stays as it is.

    Args:
        name: Its name.
        network: The network with its thresholds, in eval mode.
        counts: Kept weights and weights by layer; {} for a dense one.
        growth: As in :class:`rggan_mm.analysis.calling.Images`.
        size: Height and width of an image that it takes.
    """
    pruned = sum(total - kept for kept, total in counts.values())
    parameters = parameters_of(network)
    macs = _macs(network, counts, growth, size)
    return Row(name, parameters, parameters - pruned, bytes_of(network), *macs)


def table_of(rows: list[Row]) -> Table:
    """One line a network."""
    table = Table(caption='bytes without metadata; MACs of one sample', caption_justify='left')
    table.add_column('network', no_wrap=True)
    for name in ('parameters', 'kept', *_FORMATS, 'MACs', 'MACs, kept'):
        table.add_column(name, justify='right')
    for row in rows:
        sizes = [row.bytes.get(name) for name in _FORMATS]
        numbers = [row.parameters, row.kept, *sizes, row.macs, row.macs_sparse]
        table.add_row(row.network, *('-' if n is None else f'{n:,}' for n in numbers))
    return table


def _macs(
    network: nn.Module, counts: Counts, growth: Mapping[str, Any], size: int
) -> tuple[int | None, int | None]:
    try:
        images = Images(network, growth, size)
        inputs = images.example(1)
        return macs_of(network, lambda: images(*inputs), counts)
    except Exception:  # whatever a network raises that is called otherwise
        return None, None
