"""Networks that MMagic does not have; importing this registers them with MMagic."""

from rggan_mm.compat import shims

shims.apply()

from rggan_mm.models.sngan_discriminator import SNGANDiscriminator

__all__ = ['SNGANDiscriminator']
