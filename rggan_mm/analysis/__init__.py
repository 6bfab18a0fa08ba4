"""What a finished run shows: its curve and its summary."""

from .curves import plot_curves
from .summary import RunSummary, summarize

__all__ = ['RunSummary', 'plot_curves', 'summarize']
