"""A small CycleGAN and a small Pix2Pix."""

from mmagic.models.editors.cyclegan import CycleGAN
from mmagic.models.editors.pix2pix import Pix2Pix
from mmengine.registry import DefaultScope

_PATCH = dict(type='PatchDiscriminator', base_channels=4, num_conv=1)
_BOTH = dict(in_channels=3, out_channels=3, base_channels=4)
# Instance norm is of every image by itself: halves of a batch add up to it.
_RESNET = dict(
    _BOTH, type='ResnetGenerator', num_blocks=1, norm_cfg=dict(type='IN'), use_dropout=False
)
_UNET = dict(_BOTH, type='UnetGenerator', num_down=5, norm_cfg=dict(type='BN'))
_DOMAINS = dict(default_domain='a', related_domains=['a', 'b'], data_preprocessor=None)


def cyclegan():
    """Between the domains a and b."""
    patch = dict(_PATCH, in_channels=3, norm_cfg=dict(type='IN'))
    return CycleGAN(_RESNET, patch, reachable_domains=['a', 'b'], **_DOMAINS)


def pix2pix(dropout=False):
    """From b to a."""
    patch = dict(_PATCH, in_channels=6, norm_cfg=dict(type='BN'))
    unet = dict(_UNET, use_dropout=dropout)
    with DefaultScope.overwrite_default_scope('mmagic'):  # as every config of mmagic has it
        return Pix2Pix(unet, patch, reachable_domains=['a'], **_DOMAINS)
