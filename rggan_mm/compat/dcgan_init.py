"""DCGAN's discriminator cannot initialise its weights."""

from functools import wraps

from rggan_mm.compat.outcome import Outcome

_NAME = 'dcgan-init'
_LAST_BROKEN = (1, 2, 0)


def repair_dcgan_init() -> Outcome:
    """Let DCGAN, LSGAN and GGAN initialise their discriminator.

    Symptom: ``UnboundLocalError: ... 'init_info'`` from
    ``DCGANDiscriminator.init_weights``. Cause: the variable is set only for
    convolutions and batch norms, but the first module is neither. The
    generator of the same model draws the same numbers in the right form, so
    the discriminator borrows it. Applies to mmagic up to 1.2.0.

    Returns:
        The outcome.
    """
    from mmagic.version import version_info

    if version_info > _LAST_BROKEN:
        return Outcome(_NAME, False, 'this mmagic is newer than the broken ones')
    from mmagic.models.editors.dcgan import DCGANDiscriminator, DCGANGenerator

    original = DCGANDiscriminator.init_weights

    @wraps(original)
    def init_weights(self: DCGANDiscriminator) -> None:
        # The generator's form calls super() for pretrained weights, which
        # only works on a generator; that branch of the original is sound.
        pretrained = self.init_cfg is not None and self.init_cfg['type'] == 'Pretrained'
        (original if pretrained else DCGANGenerator.init_weights)(self)

    DCGANDiscriminator.init_weights = init_weights
    return Outcome(_NAME, True, 'DCGANDiscriminator initialises as DCGANGenerator does')
