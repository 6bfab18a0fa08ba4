"""What a run's turn costs beside time: operations, waits for the device, kernels, memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rggan_mm.hooks.discovery import sparse_networks

# They hand a value, or a shape that depends on values, to Python.
_WAITING = ('aten::_local_scalar_dense', 'aten::nonzero', 'aten::equal', 'aten::is_nonzero')
_COPYING = ('aten::_to_copy', 'aten::copy_')


@dataclass(frozen=True)
class Costs:
    """Of one iteration, as a mean over one turn.

    Attributes:
        operations: Operations that PyTorch dispatched.
        waits: Those that hand a value to Python, for which a GPU must be waited for.
        kernels: Kernels that ran on the GPU; None on the CPU.
        kernel_share: Their durations as a share of the time of a turn without the profiler,
            above 1 where kernels run side by side; None on the CPU.
        peak_bytes: Peak memory of the run: what it holds between iterations and the
            most that an iteration adds.
    """

    operations: float
    waits: float
    kernels: float | None
    kernel_share: float | None
    peak_bytes: int


class OperationCounter(TorchDispatchMode):
    """Counts operations while active, those of backward passes too."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.waits = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Counts an operation and runs it."""
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        name = func._schema.name
        self.waits += name in _WAITING or (name in _COPYING and _leaves_device(args, result))
        return result


def costs_of(turn: Callable[[], object], length: int, held: int) -> Costs:
    """Measures turns: one counted, two for kernels (one of them timed), one for memory.

    Args:
        turn: Takes a turn.
        length: Iterations of a turn.
        held: Bytes that the run holds between iterations.
    """
    with OperationCounter() as counter:
        turn()
    kernels = share = None
    if torch.cuda.is_available():
        microseconds = _microseconds(turn)
        durations = _kernels(turn)
        kernels, share = len(durations) / length, sum(durations) / microseconds
        added = _added_on_gpu(turn)
    else:
        _added_on_cpu(turn)  # what was there before the first profile looks like new
        added = _added_on_cpu(turn)
    return Costs(counter.operations / length, counter.waits / length, kernels, share, held + added)


def held_bytes(model: nn.Module, optimizers: Iterable[Optimizer]) -> int:
    """Bytes of a model's tensors, masks and optimisers' state, each storage once.

    Args:
        model: The model; gradients count.
        optimizers: All optimisers of the run.
    """
    tensors = [*model.buffers(), *model.parameters()]
    tensors += [p.grad for p in model.parameters() if p.grad is not None]
    networks = sparse_networks(model).values()
    tensors += [c.kept for n in networks for c in n.layers.values() if c.kept is not None]
    for optimizer in optimizers:
        tensors += [v for v in tree_leaves(dict(optimizer.state)) if isinstance(v, Tensor)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def recorded_bytes(graphs: Iterable[torch.cuda.CUDAGraph]) -> int:
    """Bytes that CUDA graphs keep for themselves, for all that their kernels write."""
    pools = {graph.pool() for graph in graphs}
    segments = torch.cuda.memory_snapshot() if pools else []
    return sum(s['total_size'] for s in segments if tuple(s['segment_pool_id']) in pools)


def _leaves_device(args: tuple, result: object) -> bool:
    from_gpu = any(isinstance(a, Tensor) and a.is_cuda for a in args)
    return from_gpu and isinstance(result, Tensor) and not result.is_cuda


def _microseconds(turn: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    turn()
    end.record()
    end.synchronize()
    return 1000 * begin.elapsed_time(end)


def _kernels(turn: Callable[[], object]) -> list[float]:
    """Microseconds of each kernel."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as record:
        turn()
        torch.cuda.synchronize()
    device = torch.autograd.DeviceType.CUDA
    return [
        event.time_range.elapsed_us()
        for event in record.events()
        if event.device_type == device
        and not event.name.startswith(('Memcpy', 'Memset'))
        and not getattr(event, 'is_user_annotation', False)  # spans of several kernels
    ]


def _added_on_gpu(turn: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    turn()
    return torch.cuda.max_memory_allocated() - before


def _added_on_cpu(turn: Callable[[], object]) -> int:
    """Highest sum of what the allocator gave since the start of the turn."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        turn()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == '[memory]']
    level = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        level += event.nbytes()
        peak = max(peak, level)
    return peak
