"""What somebody may have meant who wrote a name that does not exist."""

import difflib
from collections.abc import Iterable

_CLOSE = 0.6


def close_name(name: str, known: Iterable[str], cutoff: float = _CLOSE) -> str | None:
    """The known name that is closest to another one; None when none is close.

    Args:
        name: A name that is not known.
        known: The names that are.
        cutoff: How alike they must be, in [0, 1]. Default: 0.6.
    """
    close = difflib.get_close_matches(str(name), list(known), n=2, cutoff=cutoff)
    return next((other for other in close if other != name), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for the end of a message, such as ' (did you mean lam?)'; '' without one."""
    close = close_name(name, known)
    return f' (did you mean {close}?)' if close else ''
