"""What a network is called with, found from its attributes and its forward."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError

# Of forward: makes the same image of the same latent.
_FIXED = {'randomize_noise': False}
_SIZE = 256
# Where networks that take images say their size.
_SIZES = ('input_scale', 'in_size', 'in_scale')
# Where networks that make images say theirs.
_MADE = ('output_scale', 'out_size', 'out_scale')


class Images(nn.Module):
    """A network as a function of tensors: of latents or images, and of labels.

    Args:
        network: A generator of latents, one that translates images, or a discriminator.
        state: What a growing generator is called with, by name of forward's argument.
            Default: none.
        size: Height and width of the images that it takes, where it does not say it itself.
            Default: 256.

    Attributes:
        names: Names of the inputs.
        latents: Numbers in a latent; None where images are translated.

    Raises:
        ConfigError: It is called with something else.
    """

    def __init__(
        self, network: nn.Module, state: Mapping[str, object] | None = None, size: int = _SIZE
    ) -> None:
        super().__init__()
        self.network = network
        parameters = inspect.signature(network.forward).parameters
        given = {**_FIXED, **(state or {})}
        self.fixed = {name: value for name, value in given.items() if name in parameters}
        first, *others = parameters.values()
        more = [
            p.name for p in others if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        if more:
            raise ConfigError(
                f'{type(network).__name__} is called with {first.name}, {", ".join(more)}, which '
                'is no function of latents or of an image'
            )
        self.latents = getattr(network, 'noise_size', getattr(network, 'style_channels', None))
        self.names = ['image' if self.latents is None else 'noise']
        if 'label' in parameters and getattr(network, 'num_classes', 0):
            self.names.append('label')
        own = (getattr(network, name, None) for name in _SIZES)
        self.size = self.fixed.get('curr_scale') or next(filter(None, own), size)

    def forward(self, first: Tensor, label: Tensor | None = None) -> Tensor:
        """What the network makes of them."""
        labels = {} if label is None else {'label': label}
        return self.network(first, **labels, **self.fixed)

    def example(self, count: int, seed: int = 0) -> list[Tensor]:
        """Inputs of as many samples."""
        random = torch.Generator().manual_seed(seed)
        if self.latents is None:
            shape = (count, self._channels(), self.size, self.size)
            inputs = [torch.rand(shape, generator=random) * 2 - 1]
        else:
            inputs = [torch.randn(count, self.latents, generator=random)]
        if 'label' in self.names:
            classes = self.network.num_classes
            inputs.append(torch.randint(classes, (count,), generator=random))
        return inputs

    @torch.no_grad()
    def sample(self, count: int, seed: int = 0) -> Tensor:
        """What the network makes of :meth:`example`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self(*self.example(count, seed))

    def _channels(self) -> int:
        convolutions = (m for m in self.modules() if isinstance(m, nn.Conv2d))
        first = next(convolutions, None)
        if first is None:
            raise ConfigError(f'{type(self.network).__name__}: it takes neither latents nor images')
        return first.in_channels


def image_size(model: nn.Module) -> int | None:
    """Height and width of the images that a model makes; None where no network says it."""
    for network in model.modules():
        for name in _MADE:
            if isinstance(getattr(network, name, None), int):
                return getattr(network, name)
    return None
