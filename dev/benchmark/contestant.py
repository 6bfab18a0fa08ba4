"""One run, stepped and timed from outside."""

import copy
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from torch.optim import Optimizer

from rggan_mm.hooks import CudaGraphHook, DynamicPruningHook
from rggan_mm.hooks.discovery import children_of, sparse_networks, trained_sparse_networks
from rggan_mm.pruning import SparseNetwork, choose_layers
from rggan_mm.pruning.calibration import threshold_for_keep_ratio
from rggan_mm.pruning.magnitudes import magnitudes
from rggan_mm.training import SafeRunner

from .kinds import Kind
from .naive import make_naive

SAMPLES = 1000
_AT_ONCE = 100


class Contestant:
    """A run that trains when it is told to.

    Args:
        kind: What it is.
        config: Its config.
        work_dir: Scratch folder.
        keep_ratio: Share of the weights that thresholds leave at the start, in (0, 1).
            None (default): thresholds start at 0.
        compiled: Whether to compile the generator. Default: False.

    Attributes:
        starting: Milliseconds of all hooks' ``before_run`` and ``before_train``.
        milliseconds: Those of an iteration, as far as they were timed.
        sampling: Those of 1,000 images.
        length: Iterations of a turn.
    """

    def __init__(
        self,
        kind: Kind,
        config: Config,
        work_dir: Path,
        keep_ratio: float | None = None,
        compiled: bool = False,
    ) -> None:
        self.kind = kind
        config.update(work_dir=str(work_dir), experiment_name=work_dir.name)
        # Not MMEngine's, with which mixed precision needs a GPU.
        self.runner = SafeRunner.from_cfg(config)
        self.batch_size = config.train_dataloader['batch_size']
        self.milliseconds: list[float] = []
        self.sampling: list[float] = []
        self.starting = 0.0
        self._start()
        self.length = getattr(self.runner.model, 'discriminator_steps', 1)
        if keep_ratio is not None:
            for network in self.networks.values():
                prune_to(network, keep_ratio)
        if compiled:
            self._compile()

    @property
    def networks(self) -> dict[str, SparseNetwork]:
        """Sparse networks that are trained, by name."""
        return trained_sparse_networks(self.runner.model) if self.kind.pruned else {}

    @property
    def optimizers(self) -> list[Optimizer]:
        """All optimisers, those of thresholds too."""
        of_networks = [wrapper.optimizer for wrapper in self.runner.optim_wrapper.values()]
        hooks = [hook for hook in self.runner.hooks if isinstance(hook, DynamicPruningHook)]
        return of_networks + [o.adam for hook in hooks for o in hook.optimizers.values()]

    @property
    def graphs(self) -> list[torch.cuda.CUDAGraph]:
        """Recorded steps."""
        hooks = [hook for hook in self.runner.hooks if isinstance(hook, CudaGraphHook)]
        return [r.graph for hook in hooks if hook.graphs for r in hook.graphs.recordings.values()]

    def turn(self) -> None:
        """One generator step with its discriminator steps."""
        for _ in range(self.length):
            self.step()

    def step(self) -> None:
        """One iteration."""
        # MMagic's trainers read the iteration from the newest message hub.
        MessageHub._instance_dict.move_to_end(self.runner.message_hub.instance_name)
        loop = self.runner.train_loop
        loop.run_iter(next(loop.dataloader_iterator))

    def time_step(self) -> None:
        """Takes one iteration and notes its milliseconds."""
        self.milliseconds.append(timed(self.step))

    def time_turn(self) -> None:
        """Takes a turn and notes the milliseconds of one iteration."""
        self.milliseconds.append(timed(self.turn) / self.length)

    def time_sampling(self) -> None:
        """Notes the milliseconds in which the averaged generator makes 1,000 images."""
        model = self.runner.model
        model.eval()
        with torch.no_grad():
            time = timed(lambda: model({'num_batches': _AT_ONCE}))
        model.train()
        self.sampling.append(time * SAMPLES / _AT_ONCE)

    def _start(self) -> None:
        """What ``runner.train()`` does ahead of its loop."""
        runner = self.runner
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        if runner.param_schedulers is not None:
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
        self.starting += timed(lambda: runner.call_hook('before_run'))
        runner._init_model_weights()
        self.starting += timed(lambda: runner.call_hook('before_train'))
        for network in sparse_networks(runner.model).values() if self.kind.pruned else ():
            network.set_phase(self.kind.sparse)
            if self.kind.naive:
                make_naive(network)
        runner.call_hook('before_train_epoch')
        runner.model.train()

    def _compile(self) -> None:
        # Not a discriminator: old-style spectral norms change between its two forwards, and
        # a compiled graph cannot go back through the first one any more.
        children_of(self.runner.model)['generator'].compile()


def prune_to(network: SparseNetwork, keep_ratio: float) -> None:
    """Sets all thresholds of a network so that it keeps a share of its weights.

    Args:
        network: The sparse network.
        keep_ratio: The share, in (0, 1).
    """
    twin = copy.deepcopy(network.network)
    SparseNetwork.of(twin).detach()
    layers = [layer for layer in choose_layers(twin) if layer.name in network.layers]
    threshold = threshold_for_keep_ratio(magnitudes(layers), keep_ratio)
    with torch.no_grad():
        for thresholds in network.thresholds.values():
            thresholds.fill_(threshold)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that something takes, by the device's own clock on a GPU."""
    if not torch.cuda.is_available():
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) * 1000
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)
