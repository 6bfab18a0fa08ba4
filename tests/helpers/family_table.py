"""The families of dev/families.py: what makes each tiny, and its data."""

from collections.abc import Callable
from dataclasses import dataclass, field

import family_data
from family_data import SINGAN_SCALES, everywhere

from dev import families as stock


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        name: Its key in :data:`dev.families.FAMILIES`, which has its stock config.
        overrides: What makes it tiny; dots in keys.
        data: Returns the overrides that lead to a data set on this machine.
        metric: Full name of the metric that validation produces; lower is better.
        threshold_lr: Learning rate of thresholds, with lam=1, at which layers are neither
            full nor collapsed after a few steps from the family's initial weights.
    """

    name: str
    overrides: dict = field(default_factory=dict)
    data: Callable[[], dict] = dict
    metric: str = 'digits/fid'
    threshold_lr: float = 0.05

    @property
    def config(self):
        """Its stock config, below MMagic's ``configs``."""
        return stock.FAMILIES[self.name].config.removeprefix('mmagic::')

    @property
    def reason(self):
        """Why stock MMagic cannot train it; '' when it can."""
        return stock.FAMILIES[self.name].reason

    @property
    def trainable(self):
        """True when stock MMagic can train it."""
        return not self.reason


def _channels(generator, discriminator=None):
    return {
        'model.generator.base_channels': generator,
        'model.discriminator.base_channels': discriminator or generator,
    }


_DCGAN = {
    'model.noise_size': 8,
    'model.generator.output_scale': 16,
    'model.discriminator.input_scale': 16,
    **_channels(8, 4),
    **everywhere(dataset__pipeline__1__scale=(16, 16)),
}
# Weights of a few families start at N(0, 0.02).
_SMALL_WEIGHTS = 0.004
_THIN = {'model.generator.noise_size': 8}
_STYLE = {
    'model.generator.style_channels': 8,
    'model.generator.num_mlps': 2,
}
_STYLEGAN2 = {
    **_STYLE,
    'model.generator.type': 'ThinStyleGANv2Generator',
    'model.generator.out_size': 16,
    'model.discriminator.type': 'ThinStyleGAN2Discriminator',
    'model.discriminator.in_size': 16,
    # Lazy regularisation acts within six iterations, and not at each.
    'model.loss_config.r1_interval': 2,
    'model.loss_config.g_reg_interval': 3,
}
_STYLEGAN3 = {
    'model.generator.noise_size': 8,
    'model.generator.style_channels': 8,
    'model.generator.out_size': 16,
    'model.generator.synthesis_cfg.channel_max': 8,
    'model.generator.synthesis_cfg.channel_base': 128,
    'model.generator.synthesis_cfg.num_layers': 4,
    'model.generator.synthesis_cfg.margin_size': 2,
    'model.discriminator.type': 'ThinStyleGAN2Discriminator',
    'model.discriminator.in_size': 16,
    'model.loss_config.r1_interval': 2,
    'model.loss_config.g_reg_interval': 3,
}
_ADA = {
    'load_from': None,
    'model.discriminator.type': 'ThinADAStyleGAN2Discriminator',
    # At probability 0, where it starts by itself, it augments nothing.
    'model.discriminator.data_aug.augment_initial_p': 0.5,
    'model.discriminator.data_aug.ada_kimg': 0.1,
    'model.discriminator.data_aug.update_interval': 2,
}
_SINGAN = {
    'model.num_scales': SINGAN_SCALES,
    'model.generator.num_scales': SINGAN_SCALES,
    'model.discriminator.num_scales': SINGAN_SCALES,
    'model.iters_per_scale': 3,
    'model.generator_steps': 1,
    'model.discriminator_steps': 1,
    'model.lr_scheduler_args.milestones': [2],
    **{f'model.{net}.base_channels': 4 for net in ('generator', 'discriminator')},
    **{f'model.{net}.min_feat_channels': 4 for net in ('generator', 'discriminator')},
}
_TRANSLATION = {
    'model.generator.base_channels': 4,
    'model.discriminator.base_channels': 4,
    'model.discriminator.num_conv': 1,
}

_ALL = (
    Family(
        'dcgan',
        _DCGAN,
        family_data.folder,
        threshold_lr=_SMALL_WEIGHTS,
    ),
    Family(
        'lsgan',
        _DCGAN,
        family_data.folder,
        threshold_lr=_SMALL_WEIGHTS,
    ),
    Family(
        'ggan',
        _DCGAN,
        family_data.folder,
        threshold_lr=_SMALL_WEIGHTS,
    ),
    Family(
        'wgan_gp',
        {
            'model.generator.type': 'ThinWGANGPGenerator',
            'model.generator.noise_size': 8,
            'model.generator.out_scale': 8,
            'model.discriminator.type': 'ThinWGANGPDiscriminator',
            'model.discriminator.in_scale': 8,
            'model.discriminator_steps': 2,
            **everywhere(dataset__pipeline__1__scale=(8, 8)),
        },
        family_data.folder,
    ),
    Family(
        'pggan',
        {
            'model.noise_size': 8,
            'model.generator.out_scale': 16,
            'model.generator.base_channels': 64,
            'model.generator.max_channels': 8,
            'model.discriminator.in_scale': 16,
            'model.discriminator.base_channels': 64,
            'model.discriminator.max_channels': 8,
            # 4 images an iteration: it grows before the third iteration and before the sixth.
            'model.nkimgs_per_scale': {'_delete_': True, '4': 0.006, '8': 0.012, '16': 1},
            'model.transition_kimgs': 0.008,
            'train_dataloader.dataset.pipeline.1.scale': (16, 16),
            'test_dataloader.dataset.pipeline.1.scale': (16, 16),
        },
        family_data.growing(4, 8, 16),
    ),
    Family(
        'stylegan1',
        {
            **_STYLE,
            'model.style_channels': 8,
            'model.generator.type': 'ThinStyleGANv1Generator',
            'model.generator.out_size': 16,
            'model.discriminator.type': 'ThinStyleGAN1Discriminator',
            'model.discriminator.in_size': 16,
            # It grows before the fourth iteration.
            'model.nkimgs_per_scale': {'_delete_': True, '8': 0.010, '16': 1},
            'model.transition_kimgs': 0.008,
        },
        family_data.growing(8, 16),
    ),
    Family(
        'stylegan2',
        _STYLEGAN2,
        family_data.folder,
    ),
    Family(
        'stylegan3_t',
        {**_STYLEGAN3, **everywhere(dataset__pipeline__1__scale=(16, 16))},
        family_data.folder,
    ),
    Family(
        'stylegan3_t_ada',
        {**_STYLEGAN3, **_ADA},
        family_data.folder,
    ),
    Family(
        'stylegan3_r',
        {**_STYLEGAN3, **_ADA},
        family_data.folder,
    ),
    Family(
        'sagan',
        {**_channels(8), **_THIN, 'model.noise_size': 8, 'model.discriminator_steps': 2},
        family_data.cifar10,
    ),
    Family(
        'sngan_proj',
        {**_channels(4), **_THIN, 'model.noise_size': 8, 'model.discriminator_steps': 2},
        family_data.cifar10,
    ),
    Family(
        'biggan_cifar10',
        {
            **_channels(2),
            **_THIN,
            'model.ema_config.start_iter': 1,
            'model.discriminator_steps': 2,
        },
        family_data.cifar10,
    ),
    Family(
        'biggan_ajbrock',
        {
            **_channels(2),
            'model.num_classes': 3,
            'model.generator.num_classes': 3,
            'model.discriminator.num_classes': 3,
            'model.generator.output_scale': 32,
            'model.discriminator.input_scale': 32,
            'model.generator.noise_size': 8,
            'model.generator.shared_dim': 4,
            'model.ema_config.start_iter': 1,
            'optim_wrapper.generator.accumulative_counts': 2,
            'optim_wrapper.discriminator.accumulative_counts': 2,
        },
        family_data.imagenet,
    ),
    Family(
        'mspie_stylegan2',
        {
            **_STYLEGAN2,
            'model.generator.type': 'ThinMSStyleGANv2Generator',
            'model.discriminator.type': 'ThinMSStyleGAN2Discriminator',
            'model.train_settings.num_upblocks': 2,
            'model.train_settings.multi_input_scales': [0, 2],
            'model.train_settings.multi_scale_probability': [0.5, 0.5],
        },
        family_data.mspie,
    ),
    Family(
        'singan',
        _SINGAN,
        family_data.single_image,
        metric='single/distance',
        threshold_lr=_SMALL_WEIGHTS,
    ),
    Family(
        'pe_singan',
        _SINGAN,
        family_data.single_image,
        metric='single/distance',
        threshold_lr=_SMALL_WEIGHTS,
    ),
    Family(
        'cyclegan',
        {**_TRANSLATION, 'model.generator.num_blocks': 1},
        family_data.unpaired,
        metric='translation/distance',
        threshold_lr=_SMALL_WEIGHTS,
    ),
    Family(
        'pix2pix',
        {
            **_TRANSLATION,
            'model.generator.num_down': 5,
            # Or PyTorch stays deterministic for the rest of the process.
            'randomness.deterministic': False,
        },
        family_data.paired,
        metric='translation/distance',
        threshold_lr=_SMALL_WEIGHTS,
    ),
    Family(
        'eg3d',
        {
            'model.generator.noise_size': 8,
            'model.generator.style_channels': 8,
            'model.generator.triplane_size': 4,
        },
    ),
)
FAMILIES = {family.name: family for family in _ALL}
