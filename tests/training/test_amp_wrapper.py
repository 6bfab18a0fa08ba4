import inspect
from pathlib import Path

import mmagic
import pytest
import torch
from mmagic.models.base_models import BaseConditionalGAN, base_conditional_gan
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from torch import nn

from rggan_mm.compat import amp

STYLEGAN2 = (
    Path(mmagic.__file__).parent
    / '.mim/configs/styleganv2'
    / 'stylegan2_c2-PL_8xb4-fp16-partial-GD-no-scaler-800kiters_ffhq-256x256.py'
)


@pytest.fixture
def amp_on_cpu(monkeypatch):
    """Let AmpOptimWrapper be made where there is no GPU, with a scaler that scales."""
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', _scaler)


def _scaler(**settings):
    if hasattr(torch.amp, 'GradScaler'):
        return torch.amp.GradScaler('cpu', **settings)
    return pytest.skip('this PyTorch has no gradient scaler for the CPU')


class Conditional(BaseConditionalGAN):
    """A conditional GAN that inherits its discriminator step."""

    def __init__(self):
        nn.Module.__init__(self)
        self.discriminator = Discriminator()
        self.seen = []

    def noise_fn(self, num_batches):
        return torch.zeros(num_batches, 2)

    def label_fn(self, num_batches):
        return torch.zeros(num_batches, dtype=torch.long)

    def data_sample_to_label(self, samples):
        return samples

    def generator(self, noise, label, return_noise):
        return noise + 1

    def _get_disc_loss(self, outputs):
        self.seen.append(outputs['loss_scaler'])
        return outputs['disc_pred_real'].mean() - outputs['disc_pred_fake'].mean(), {}


class Discriminator(nn.Linear):
    def __init__(self):
        super().__init__(2, 1)

    def forward(self, images, label):
        return super().forward(images)


def _step(model, **settings):
    optimizer = torch.optim.SGD(model.discriminator.parameters(), lr=0.1)
    wrapper = AmpOptimWrapper(optimizer=optimizer, **settings)
    labels = torch.zeros(4, dtype=torch.long)
    with wrapper.optim_context(model):
        model.train_discriminator({'img': torch.randn(4, 2)}, labels, wrapper)
    return wrapper


@pytest.mark.usefixtures('amp_on_cpu')
def test_without_the_repair_the_scaler_is_lost(monkeypatch):
    monkeypatch.delattr(base_conditional_gan, 'setattr')
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'scale'"):
        _step(Conditional())


@pytest.mark.usefixtures('amp_on_cpu')
def test_the_step_has_the_scaler_and_moves_the_weights():
    model = Conditional()
    before = model.discriminator.weight.detach().clone()
    wrapper = _step(model, loss_scale=8.0)
    assert model.seen == [wrapper.loss_scaler]
    assert wrapper.loss_scaler.get_scale() == 8.0
    assert not torch.equal(model.discriminator.weight, before)


def test_nothing_is_replaced_where_the_scaler_is_read(monkeypatch):
    monkeypatch.delattr(base_conditional_gan, 'setattr')
    monkeypatch.setattr(BaseConditionalGAN, 'train_discriminator', _step)
    assert not amp.keep_loss_scaler().closed
    assert not hasattr(base_conditional_gan, 'setattr')


@pytest.mark.usefixtures('amp_on_cpu')
def test_stock_refuses_an_integer_scale():
    wrapper = AmpOptimWrapper.__new__(AmpOptimWrapper)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1)
    with pytest.raises(TypeError, match='but got 512'):
        inspect.unwrap(AmpOptimWrapper.__init__)(wrapper, loss_scale=512, optimizer=optimizer)


@pytest.mark.usefixtures('amp_on_cpu')
def test_the_fp16_config_of_stylegan2_builds_its_optimisers():
    settings = Config.fromfile(STYLEGAN2).optim_wrapper
    assert settings.generator.loss_scale == 512
    settings.constructor = f'mmagic.{settings.constructor}'
    model = nn.ModuleDict({name: nn.Linear(1, 1) for name in ('generator', 'discriminator')})
    built = build_optim_wrapper(model, settings)
    for name in ('generator', 'discriminator'):
        assert built[name].loss_scaler.get_scale() == 512.0
        assert isinstance(built[name]._scale_update_param, float)


@pytest.mark.usefixtures('amp_on_cpu')
@pytest.mark.parametrize('scale', [None, True, '512'])
def test_what_is_no_number_is_still_refused(scale):
    with pytest.raises(TypeError, match='loss_scale must be'):
        AmpOptimWrapper(loss_scale=scale, optimizer=torch.optim.SGD([torch.zeros(1)], lr=1))


@pytest.mark.usefixtures('amp_on_cpu')
@pytest.mark.parametrize('scale', ['dynamic', 2.0, {'init_scale': 4.0}])
def test_other_scales_pass_through(scale):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1)
    scaler = AmpOptimWrapper(scale, optimizer=optimizer).loss_scaler
    assert scaler.get_scale() == {'dynamic': 65536.0, '2.0': 2.0}.get(str(scale), 4.0)


def test_a_wrapper_that_takes_integers_is_left_alone(monkeypatch):
    class Newer:
        def __init__(self, loss_scale):
            self.loss_scale = loss_scale

    before = Newer.__init__
    monkeypatch.setattr(amp, 'AmpOptimWrapper', Newer)
    assert not amp.accept_integer_loss_scale().closed
    assert Newer.__init__ is before
