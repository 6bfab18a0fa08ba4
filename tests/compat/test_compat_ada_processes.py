from functools import partial

import pytest
import torch
from mmagic.models.editors.stylegan2 import StyleGAN2
from mmagic.models.editors.stylegan2.stylegan2_discriminator import ADAAug
from mmagic.models.editors.stylegan3 import StyleGAN3
from mmagic.structures import DataSample
from mmengine.logging import MessageHub
from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from processes import run_together
from torch import nn

WORLD = 2
BATCH = 4
STEPS = 6
INTERVAL = 2
IMAGES_TO_ONE = 1000  # so many images move the probability from 0 to 1


class Generator(nn.Module):
    style_channels = noise_size = 4

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3 * 8 * 8)

    def forward(self, noise, **options):
        return self.linear(noise).reshape(-1, 3, 8, 8)


class Discriminator(nn.Module):
    """What StyleGAN2 asks of a discriminator with ADA; the augmentation is mmagic's."""

    with_ada = True

    def __init__(self):
        super().__init__()
        self.ada_aug = ADAAug(
            dict(xflip=1), update_interval=INTERVAL, ada_target=0.1, ada_kimg=IMAGES_TO_ONE / 1000
        )
        self.linear = nn.Linear(3 * 8 * 8, 1)

    def forward(self, images):
        return self.linear(self.ada_aug.aug_pipeline(images).flatten(1))


def train(kind, wrap, brightness):
    """Log what became of the probability in each step."""
    torch.manual_seed(0)
    model = kind(
        Generator(), Discriminator(), loss_config=dict(r1_interval=100, g_reg_interval=100)
    )
    nn.init.constant_(model.discriminator.linear.weight, 1e-3)
    wrapper = OptimWrapperDict(
        **{
            name: OptimWrapper(torch.optim.SGD(getattr(model, name).parameters(), lr=0))
            for name in ('generator', 'discriminator')
        }
    )
    if wrap:
        MMSeparateDistributedDataParallel(model)
    seen = []
    for iteration in range(1, STEPS + 1):  # at 0 the losses have penalties
        MessageHub.get_current_instance().update_info('iter', iteration)
        images = torch.full((BATCH, 3, 8, 8), float(brightness))
        samples = DataSample.stack([DataSample(gt_img=image) for image in images])
        logs = model.train_step(dict(inputs=images, data_samples=samples), wrapper)
        seen.append(logs.get('augment', torch.tensor(-1.0)).item())
    return torch.tensor(seen)


def one_process(rank, folder, kind=StyleGAN2, brightness=(1, 1)):
    torch.save(train(kind, True, brightness[rank]), folder / f'{rank}.pth')


def together(folder, **options):
    run_together(partial(one_process, **options), folder, WORLD)
    return [torch.load(folder / f'{rank}.pth', weights_only=True) for rank in range(WORLD)]


def test_without_the_repair_the_probability_stands_still(tmp_path, monkeypatch):
    monkeypatch.setattr(StyleGAN2, 'train_step', StyleGAN2.train_step.__wrapped__)
    assert all((seen == -1).all() for seen in together(tmp_path))


@pytest.mark.parametrize('kind', [StyleGAN2, StyleGAN3])
def test_the_probability_moves_and_is_one_for_all(kind, tmp_path):
    first, second = together(tmp_path, kind=kind)
    assert torch.equal(first, second)
    step = WORLD * BATCH * INTERVAL / IMAGES_TO_ONE
    wanted = torch.tensor([1, 1, 2, 2, 3, 3]) * step
    torch.testing.assert_close(first, wanted)


def test_processes_that_disagree_are_counted_together(tmp_path):
    # One sees only images that look real, the other only fakes: the mean is below the target.
    first, second = together(tmp_path, brightness=(1, -1))
    assert torch.equal(first, second)
    assert first.max() == 0


def test_one_process_moves_as_before(monkeypatch):
    ours = train(StyleGAN2, False, 1)
    monkeypatch.setattr(StyleGAN2, 'train_step', StyleGAN2.train_step.__wrapped__)
    assert torch.equal(ours, train(StyleGAN2, False, 1))
    assert ours[-1] == pytest.approx(3 * BATCH * INTERVAL / IMAGES_TO_ONE)
