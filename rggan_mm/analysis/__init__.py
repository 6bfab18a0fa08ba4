"""What a finished run shows: its curve and its summary."""

from .curves import plot_curves, protocol_of
from .summary import RunSummary, summarize

__all__ = ['RunSummary', 'plot_curves', 'protocol_of', 'summarize']
