"""What closing a gap ended with."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """Result of one gap function.

    Attributes:
        name: Short name of the gap.
        closed: True if something was repaired, False if nothing was needed.
        reason: One line that says why.
    """

    name: str
    closed: bool
    reason: str
