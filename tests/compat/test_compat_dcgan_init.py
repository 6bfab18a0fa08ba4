import pytest
import torch
from mmagic.models.editors.dcgan import DCGANDiscriminator


def _discriminator(**more):
    return DCGANDiscriminator(
        input_scale=16, output_scale=4, out_channels=1, base_channels=4, **more
    )


def test_without_the_repair_a_variable_is_unbound():
    with pytest.raises(UnboundLocalError, match='init_info'):
        DCGANDiscriminator.init_weights.__wrapped__(_discriminator())


def test_the_discriminator_initialises_as_published():
    torch.manual_seed(0)
    model = _discriminator()
    before = model.state_dict()['output_layer.conv.weight'].clone()
    model._params_init_info = _InitInfo(model)
    model.init_weights()
    weight = model.state_dict()['output_layer.conv.weight']
    assert not torch.equal(before, weight)
    assert 0.01 < weight.std() < 0.03


class _InitInfo(dict):
    """The record that MMEngine keeps while it initialises a whole model."""

    def __init__(self, model):
        super().__init__({p: {'tmp_mean_value': p.data.mean()} for p in model.parameters()})
        for module in model.modules():
            if module is not model:
                module._params_init_info = self


def test_pretrained_weights_still_come_from_the_file(tmp_path):
    source = _discriminator()
    torch.save(source.state_dict(), tmp_path / 'd.pth')
    model = _discriminator(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'd.pth')))
    model.init_weights()
    for name, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
