"""The balance ratio: how much of the discriminator's lead one generator step makes up for."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork
from rggan_mm.pruning.sparse_training import balance_ratio
from rggan_mm.training.hook_base import StatefulHook, log_interval

from .discovery import children_of, find_optimizers


@HOOKS.register_module()
class BalanceRatioHook(StatefulHook):
    """Logs the mean of (D(G(z)) after a generator step - before) / (D(x) - before).

    D(G(z)) before the step and D(x) are those that training computes; for D(G(z)) after it both
    networks compute once more, with the same z, and are left as they were. It is logged as
    ``balance_ratio`` at the logger's interval.

    Args:
        window: Iterations over which the mean is taken. Defaults to 1000.
        generator: Name of the generator. Defaults to 'generator'.
        discriminator: Name of the discriminator. Defaults to 'discriminator'.

    Raises:
        ConfigError: Unknown argument or value; when training starts: the model has no such
            network.

    Source: Wang et al., Balanced Training for Sparse GANs, NeurIPS 2023.
    """

    def __init__(
        self,
        window: int = 1000,
        generator: str = 'generator',
        discriminator: str = 'discriminator',
    ) -> None:
        if type(window) is not int or window < 1:
            raise ConfigError(f'window={window!r} must be a whole number of iterations >= 1')
        self.window = window
        self.names = (generator, discriminator)
        self.ratios: deque[tuple[int, Tensor]] = deque()
        self._handles: list = []

    def before_train(self, runner: Runner) -> None:
        """Starts to watch both networks and the generator's optimiser."""
        self.after_train(runner)
        children = children_of(runner.model)
        for name in self.names:
            if name not in children or isinstance(children[name], (nn.ModuleDict, nn.ModuleList)):
                raise ConfigError(
                    f'BalanceRatioHook: the model has no network {name!r} of its own; it has '
                    f'{", ".join(children)}'
                )
        self._made = self._real = self._before = None
        self._measuring = False
        generator, discriminator = (children[name] for name in self.names)
        self._networks = generator, discriminator
        self._iteration = runner.iter
        self._handles = [
            generator.register_forward_hook(self._after_generator, with_kwargs=True),
            # Before augmentations, which make other images of those that were generated.
            discriminator.register_forward_pre_hook(
                self._before_discriminator, with_kwargs=True, prepend=True
            ),
            discriminator.register_forward_hook(self._after_discriminator),
        ]
        for wrapper in find_optimizers(runner.optim_wrapper, generator):
            self._handles.append(wrapper.optimizer.register_step_post_hook(self._after_step))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Forgets what left the window."""
        self._iteration = runner.iter
        while self.ratios and self.ratios[0][0] <= runner.iter - self.window:
            self.ratios.popleft()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Logs the mean at the logger's interval."""
        if self.ratios and self.every_n_train_iters(runner, log_interval(runner)):
            runner.message_hub.update_scalar('train/balance_ratio', self.mean())

    def after_train(self, runner: Runner) -> None:
        """Stops watching."""
        while self._handles:
            self._handles.pop().remove()

    def mean(self) -> float:
        """The balance ratio now; waits for the device."""
        return torch.stack([ratio for _, ratio in self.ratios]).mean().item()

    def state_dict(self) -> dict:
        """The ratios in the window, with their iterations."""
        return {'ratios': [(number, ratio.item()) for number, ratio in self.ratios]}

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes them back."""
        device = next(runner.model.parameters()).device
        self.ratios = deque((n, torch.tensor(r, device=device)) for n, r in state['ratios'])

    def _after_generator(
        self, module: nn.Module, args: tuple, kwargs: dict, output: object
    ) -> None:
        if isinstance(output, Tensor) and not self._measuring:
            self._made = args, kwargs, output.detach()

    def _before_discriminator(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        images = args[0] if args else next(iter(kwargs.values()))
        self._seen = images, args, kwargs

    def _after_discriminator(self, module: nn.Module, args: tuple, output: object) -> None:
        if self._measuring or not isinstance(output, Tensor):
            return
        images, args, kwargs = self._seen
        self._seen = None
        if self._made is not None and _same_memory(images, self._made[2]):
            self._before = output.detach().mean(), args, kwargs
        elif not images.requires_grad:
            self._real = output.detach().mean()

    def _after_step(self, *_: object) -> None:
        if self._before is None or self._real is None:
            return
        before, args, kwargs = self._before
        generator, discriminator = self._networks
        self._measuring = True
        with torch.no_grad(), _left_alone(self._networks):
            images = generator(*self._made[0], **self._made[1])
            if args:
                output = discriminator(images, *args[1:], **kwargs)
            else:
                output = discriminator(**{**kwargs, next(iter(kwargs)): images})
        self._measuring = False
        self._made = self._before = None
        ratio = balance_ratio(before, output.mean(), self._real)
        self.ratios.append((self._iteration, ratio.float()))


def _same_memory(images: Tensor, others: Tensor) -> bool:
    return images.untyped_storage().data_ptr() == others.untyped_storage().data_ptr()


@contextmanager
def _left_alone(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Gives networks and random streams back as they were: buffers, masks, draws."""
    buffers = [(buffer, buffer.clone()) for net in networks for buffer in net.buffers()]
    sparse = [SparseNetwork.of(network) for network in networks]
    sparse = [(network, network.min_keep) for network in sparse if network is not None]
    layers = [(c, c.kept, c.fired) for network, _ in sparse for c in network.layers.values()]
    device = next(networks[0].parameters()).device
    for network, _ in sparse:
        network.min_keep = None  # no guard acts
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):
        yield
    for network, limit in sparse:
        network.min_keep = limit
    for layer, kept, fired in layers:
        layer.kept, layer.fired = kept, fired
    for buffer, before in buffers:
        buffer.copy_(before)
