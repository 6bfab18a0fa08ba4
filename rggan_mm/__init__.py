"""RG-GAN (dynamic regenerative pruning) for PyTorch, and as a plugin for MMagic.

``rggan_mm.pruning`` is the method and needs PyTorch alone. A config of MMEngine or MMagic
names ``rggan_mm.plugin`` in its ``custom_imports``.
"""

from rggan_mm.version import __version__

__all__ = ['__version__']
