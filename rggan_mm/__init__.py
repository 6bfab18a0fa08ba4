"""RG-GAN (dynamic regenerative pruning) for PyTorch, and as a plugin for MMagic.

``rggan_mm.pruning`` is the method and needs PyTorch alone. A config of MMEngine or MMagic
names ``rggan_mm.plugin`` in its ``custom_imports``.
"""

from pathlib import Path

from rggan_mm.version import __version__

__all__ = ['__version__', 'base']


def base(name: str) -> str:
    """Finds a base file of this package, for the ``_base_`` of a config anywhere.

    MMEngine evaluates ``_base_`` as an expression::

        _base_ = ['mmagic::...', __import__('rggan_mm').base('rg.py')]

    Args:
        name: A file of ``configs/_base_``, such as 'rg.py'.

    Returns:
        Its path.
    """
    return str(Path(__file__).parent / '.mim' / 'configs' / '_base_' / name)
