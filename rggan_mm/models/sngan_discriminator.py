"""The discriminator of the published SNGAN."""

from mmagic.models.editors.sagan import ProjDiscriminator
from mmagic.registry import MODELS


@MODELS.register_module()
class SNGANDiscriminator(ProjDiscriminator):
    """MMagic's ``ProjDiscriminator`` whose last layer has no bias.

    With ``input_scale=32`` and the default 128 channels these are the 1,053,824
    parameters of the published RG-GAN discriminator (Saxena et al., AAAI 2024), spectral
    norm on every layer (Miyato et al., "Spectral Normalization for Generative Adversarial
    Networks", ICLR 2018). MMagic's has one more.

    Args:
        *args: As for MMagic's ``ProjDiscriminator``.
        **kwargs: As for MMagic's ``ProjDiscriminator``.

    Shape:
        Images (N, 3, ``input_scale``, ``input_scale``) in [-1, 1] -> scores (N, 1), higher
        for what looks real.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.decision.register_parameter('bias', None)
