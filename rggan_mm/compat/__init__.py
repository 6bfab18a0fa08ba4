"""What MMagic 1.2 needs to be imported and to run on current libraries.

Two parts: ``shims`` let ``mmagic.models`` be imported and leave nothing behind;
repairs of classes are data (:class:`~rggan_mm.compat.repair.Repair`): of MMagic, and on Python
3.14 one of MMEngine. ``python -m rggan_mm.compat`` prints what was done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rggan_mm.compat.repair import Repair
    from rggan_mm.compat.shims import Outcome


def repairs() -> tuple[Repair, ...]:
    """List all repairs; importing them needs torch and MMEngine.

    Returns:
        The repairs, in the order in which they are applied.
    """
    from rggan_mm.compat import (
        initialisation,
        library_changes,
        pggan_data,
        processes,
        progress,
        stylegan_ops,
    )

    rooms = (stylegan_ops, library_changes, initialisation, processes, progress, pggan_data)
    return tuple(repair for room in rooms for repair in room.REPAIRS)


def apply() -> list[Outcome]:
    """Apply the shims, then every repair that is needed here; again changes nothing.

    Returns:
        One outcome per shim and repair.

    Raises:
        ImportError: If neither mmcv nor mmcv-lite is installed.
    """
    from rggan_mm.compat import shims

    outcomes = list(shims.apply())
    from rggan_mm.compat import repair

    return outcomes + repair.apply(repairs())


def undo() -> None:
    """Put back every original that a repair replaced."""
    from rggan_mm.compat import repair

    repair.undo()


__all__ = ['apply', 'repairs', 'undo']
