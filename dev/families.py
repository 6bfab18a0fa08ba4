"""The GAN families of MMagic 1.2, each with a stock config that stands for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        key: Its key in :data:`FAMILIES`.
        title: Its name in the field.
        config: A stock config of it, as MMEngine takes it in ``_base_``.
        reason: Why stock MMagic cannot train it; '' when it can.
    """

    key: str
    title: str
    config: str
    reason: str = ''

    @property
    def trainable(self) -> bool:
        """True when stock MMagic can train it."""
        return not self.reason


_ALL = (
    Family('dcgan', 'DCGAN', 'mmagic::dcgan/dcgan_1xb128-300kiters_celeba-cropped-64.py'),
    Family(
        'lsgan',
        'LSGAN',
        'mmagic::lsgan/lsgan_dcgan-archi_lr1e-3-1xb128-12Mimgs_celeba-cropped-64x64.py',
    ),
    Family(
        'ggan',
        'GGAN',
        'mmagic::ggan/ggan_dcgan-archi_lr1e-3-1xb128-12Mimgs_celeba-cropped-64x64.py',
    ),
    Family(
        'wgan_gp',
        'WGAN-GP',
        # MMEngine takes no dash right after mmagic::
        'mmagic::dcgan/../wgan-gp/wgangp_GN_1xb64-160kiters_celeba-cropped-128x128.py',
    ),
    Family('pggan', 'PGGAN', 'mmagic::pggan/pggan_8xb4-12Mimgs_celeba-cropped-128x128.py'),
    Family('stylegan1', 'StyleGAN1', 'mmagic::styleganv1/styleganv1_ffhq-256x256_8xb4-25Mimgs.py'),
    Family(
        'stylegan2', 'StyleGAN2', 'mmagic::styleganv2/stylegan2_c2_8xb4-800kiters_ffhq-256x256.py'
    ),
    Family(
        'stylegan3_t',
        'StyleGAN3-T',
        'mmagic::styleganv3/stylegan3-t_gamma2.0_8xb4-fp16-noaug_ffhq-256x256.py',
    ),
    Family(
        'stylegan3_t_ada',
        'StyleGAN3-T with ADA',
        'mmagic::styleganv3/stylegan3-t_ada-gamma6.6_8xb4-fp16_metfaces-1024x1024.py',
    ),
    Family(
        'stylegan3_r',
        'StyleGAN3-R with ADA',
        'mmagic::styleganv3/stylegan3-r_ada-gamma3.3_8xb4-fp16_metfaces-1024x1024.py',
    ),
    Family(
        'sagan', 'SAGAN', 'mmagic::sagan/sagan_woReLUinplace_lr2e-4-ndisc5-1xb64_cifar10-32x32.py'
    ),
    Family(
        'sngan_proj',
        'SNGAN-Proj',
        'mmagic::sngan_proj/sngan-proj_woReLUinplace_lr2e-4-ndisc5-1xb64_cifar10-32x32.py',
    ),
    Family(
        'biggan_cifar10',
        'BigGAN (CIFAR-10)',
        'mmagic::biggan/biggan_2xb25-500kiters_cifar10-32x32.py',
    ),
    Family(
        'biggan_ajbrock',
        'BigGAN (ajbrock)',
        'mmagic::biggan/biggan_ajbrock-sn_8xb32-1500kiters_imagenet1k-128x128.py',
    ),
    Family(
        'mspie_stylegan2',
        'MSPIE-StyleGAN2',
        'mmagic::positional_encoding_in_gans/mspie-stylegan2-config-h_c2_8xb3-1100kiters_ffhq-256-512.py',
    ),
    Family('singan', 'SinGAN', 'mmagic::singan/singan_balloons.py'),
    Family('pe_singan', 'PESinGAN', 'mmagic::positional_encoding_in_gans/singan-csg_bohemian.py'),
    Family(
        'cyclegan', 'CycleGAN', 'mmagic::cyclegan/cyclegan_lsgan-resnet-in_1xb1-80kiters_facades.py'
    ),
    Family(
        'pix2pix', 'Pix2Pix', 'mmagic::pix2pix/pix2pix_vanilla-unet-bn_1xb1-80kiters_facades.py'
    ),
    Family(
        'eg3d',
        'EG3D',
        'mmagic::eg3d/eg3d_cvt-official-rgb_shapenet-128x128.py',
        reason='its configs have no training part, and it does not build with a discriminator',
    ),
)
FAMILIES = {family.key: family for family in _ALL}
