"""What the families need to be tiny and MMagic does not have: thin networks, metrics."""

import types

import torch
from mmagic.evaluation.metrics.base_gen_metric import GenMetric
from mmagic.registry import METRICS, MODELS
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import MessageHub

CHANNELS = 8
# How 512 stands among the constants of a function: alone, or as two arguments.
_THINNER = {512: CHANNELS, (512, 512): (CHANNELS, CHANNELS)}


def _thin(init):
    """The same function with ``CHANNELS`` where it says 512."""
    code = init.__code__
    constants = tuple(_THINNER.get(value, value) for value in code.co_consts)
    thin = types.FunctionType(
        code.replace(co_consts=constants),
        init.__globals__,
        init.__name__,
        init.__defaults__,
        init.__closure__,
    )
    thin.__kwdefaults__ = init.__kwdefaults__
    return thin


def _register(kind, *bases, **attributes):
    stock = MODELS.get(kind)
    thin = type(f'Thin{kind}', (stock, *bases), {'__init__': _thin(stock.__init__), **attributes})
    MODELS.register_module(module=thin)
    return thin


# The number of channels of these networks is written in their constructors. Everything
# but that number is MMagic's.
for _kind in (
    'StyleGANv1Generator',
    'StyleGAN1Discriminator',
    'StyleGANv2Generator',
    'MSStyleGANv2Generator',
    'MSStyleGAN2Discriminator',
):
    _register(_kind)
_register('ADAStyleGAN2Discriminator', _register('StyleGAN2Discriminator'))
for _kind in ('WGANGPGenerator', 'WGANGPDiscriminator'):
    _sizes = MODELS.get(_kind)._default_channels_per_scale
    _register(_kind, _default_channels_per_scale=dict.fromkeys(_sizes, CHANNELS))


class _MeanMetric(GenMetric):
    """Mean over images of one number each; nothing is downloaded."""

    def __init__(self, prefix, fake_key='fake_img'):
        super().__init__(fake_nums=0, fake_key=fake_key, sample_model='orig', prefix=prefix)

    def evaluate(self):
        """The mean over what this process saw, from the main process."""
        value = [torch.stack(self.fake_results).mean().item() if is_main_process() else None]
        broadcast_object_list(value)
        self.fake_results.clear()
        return {f'{self.prefix}/distance': value[0]}


@METRICS.register_module()
class TranslationDistance(_MeanMetric):
    """How far translated images are from those of the target domain; lower is better."""

    def __init__(self, domain):
        super().__init__('translation', f'fake_{domain}')
        self.domain = domain
        self.real_nums = -1

    def process(self, data_batch, data_samples):
        """Takes in one batch of the validation set."""
        reals = data_batch['inputs'][f'img_{self.domain}']
        for sample, real in zip(data_samples, reals, strict=True):
            self.fake_results.append((sample[self.fake_key] - real.float()).abs().mean())


@METRICS.register_module()
class SingleImageDistance(_MeanMetric):
    """How far images of SinGAN are from grey; it cannot be sampled as other GANs are."""

    SAMPLER_MODE = 'SinGAN'

    def __init__(self, fake_nums=3):
        super().__init__('single')
        self.fake_nums = fake_nums

    def get_metric_sampler(self, model, dataloader, metrics):
        """Asks for one image at a time."""
        return [dict(inputs=dict(num_batches=1, sample_model='orig'))] * self.fake_nums

    def process(self, data_batch, data_samples):
        """Takes in one image."""
        self.fake_results += [(sample['fake_img'] - 127.5).abs().mean() for sample in data_samples]


@METRICS.register_module()
class IterationMetric(GenMetric):
    """Reports the iteration as ``rising/iteration``: a metric that only gets worse."""

    def __init__(self):
        super().__init__(fake_nums=0, sample_model='orig', prefix='rising')

    def get_metric_sampler(self, model, dataloader, metrics):
        """Asks for no image."""
        return []

    def process(self, data_batch, data_samples):
        """Is never called."""

    def evaluate(self):
        """The number of iterations so far."""
        return {'rising/iteration': float(MessageHub.get_current_instance().get_info('iter') + 1)}
