"""The small networks behind the reference recordings; names are the arrays' names."""

import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm


class Block(nn.Module):
    """Residual block: residual + shortcut."""

    def __init__(self, residual: list[nn.Module], shortcut: list[nn.Module]) -> None:
        super().__init__()
        self.residual = nn.Sequential(*residual)
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


def _generator_block(channels: int) -> Block:
    residual = [
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
    ]
    return Block(residual, [nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 1)])


class Generator(nn.Module):
    """z (N, Z) -> images (N, 3, 4 * 2**blocks, same) in [-1, 1]."""

    def __init__(self, z: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.channels = channels
        self.linear = nn.Linear(z, 16 * channels)
        self.blocks = nn.Sequential(*(_generator_block(channels) for _ in range(blocks)))
        self.output = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 3, 3, padding=1), nn.Tanh()
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.output(self.blocks(self.linear(z).view(-1, self.channels, 4, 4)))


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2))


def _discriminator_block(channels: int, down: bool) -> Block:
    residual = [nn.ReLU(), _conv(channels, channels, 3), nn.ReLU(), _conv(channels, channels, 3)]
    if not down:
        return Block(residual, [nn.Identity()])
    return Block([*residual, nn.AvgPool2d(2)], [_conv(channels, channels, 1), nn.AvgPool2d(2)])


class Discriminator(nn.Module):
    """Images (N, 3, H, W) -> scores (N, 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first = Block(
            [_conv(3, channels, 3), nn.ReLU(), _conv(channels, channels, 3), nn.AvgPool2d(2)],
            [nn.AvgPool2d(2), _conv(3, channels, 1)],
        )
        self.model = nn.Sequential(
            first,
            _discriminator_block(channels, down=True),
            _discriminator_block(channels, down=False),
            nn.ReLU(),
        )
        self.linear = spectral_norm(nn.Linear(channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.sum(self.model(x), dim=(2, 3)))
