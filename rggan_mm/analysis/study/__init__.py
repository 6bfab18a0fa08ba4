"""A study: several methods, each with several seeds, run and compared."""

from .plan import Run, Study, read_study

__all__ = ['Run', 'Study', 'read_study']
