"""What the processes of a run tell each other, traced while it trains a few iterations."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rggan_mm.analysis.model_building import quiet
from rggan_mm.training import SafeRunner

START = 'before training'
REST = 'rest of an iteration'
SAVING = 'rest, with a checkpoint'
VALIDATION = 'validation'
STEP = '{} step'

# The operations that take their input second; the first argument is what they fill.
_INPUT_SECOND = (
    'allgather',
    '_allgather',
    'reduce_scatter',
    '_reduce_scatter',
    'gather',
    'alltoall',
)


@dataclass(frozen=True)
class Part:
    """What one process gives to collectives in one part of a run.

    Attributes:
        times: How often the part came.
        calls: Number of calls, the last time.
        bytes: Bytes that these calls took from this process. How many of them pass the
            network depends on the backend's algorithm and the number of processes.
    """

    times: int
    calls: int
    bytes: int


class CollectiveCalls(TorchDispatchMode):
    """Counts the collectives of torch.distributed while active.

    Those count, too, that DistributedDataParallel issues during a backward pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open: list[int] = []  # bytes of each call
        self._parts: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Runs an operation; notes it when it is a collective."""
        if func.namespace == 'c10d':
            self._open.append(_input_bytes(func._schema.name.removeprefix('c10d::'), args))
        return func(*args, **(kwargs or {}))

    def end(self, part: str) -> None:
        """Puts all calls since the last end down to one part of the run."""
        self._parts[part].append((len(self._open), sum(self._open)))
        self._open = []

    def parts(self) -> dict[str, Part]:
        """What was counted, by part."""
        return {name: Part(len(seen), *seen[-1]) for name, seen in self._parts.items()}


class PartsHook(Hook):
    """Tells the counter where one part of a run ends and the next begins.

    An optimiser step ends with the step itself, so that gradients count for the network
    that they update. DistributedDataParallel arranges its messages anew in the first
    steps, so what comes last is what stays.

    Args:
        calls: The counter, active.
    """

    priority = 'LOWEST'

    def __init__(self, calls: CollectiveCalls) -> None:
        self.calls = calls
        self._saved = False

    def before_train(self, runner: Runner) -> None:
        """Ends the start; steps are told apart by optimiser from now on."""
        self.calls.end(START)
        for key, wrapper in _optimizers(runner.optim_wrapper).items():
            name = STEP.format(key)
            wrapper.optimizer.register_step_post_hook(lambda *_, name=name: self.calls.end(name))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Notes that this iteration saves; only the main process gets here."""
        self._saved = True

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Ends what hooks did after the last step."""
        self.calls.end(SAVING if self._saved else REST)
        self._saved = False

    def after_val(self, runner: Runner) -> None:
        """Ends a validation."""
        self.calls.end(VALIDATION)


def _optimizers(wrapper: OptimWrapper | OptimWrapperDict) -> dict[str, OptimWrapper]:
    """Each optimiser once, by its first key."""
    if not isinstance(wrapper, OptimWrapperDict):
        return {'optimizer': wrapper}
    first: dict[int, tuple[str, OptimWrapper]] = {}
    for key, value in wrapper.items():
        first.setdefault(id(value.optimizer), (key, value))
    return dict(first.values())


def _input_bytes(operation: str, args: tuple) -> int:
    if operation == 'barrier':
        return 0
    given = args[1] if operation.startswith(_INPUT_SECOND) else args[0]
    tensors = [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def trace(config: Any) -> dict[str, Part]:
    """Trains a config in this process, one of several, and counts.

    Args:
        config: A config whose run is short; as :func:`.traced_runs.trace_modes` makes it.

    Returns:
        What this process gave, by part of the run.
    """
    with quiet(), CollectiveCalls() as calls:
        # Not MMEngine's, with which several processes need a GPU each.
        runner = SafeRunner.from_cfg(config)
        runner.register_hook(PartsHook(calls))
        runner.train()
    return calls.parts()
