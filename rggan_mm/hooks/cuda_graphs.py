"""Training steps as CUDA graphs, masks and phases inside."""

from collections.abc import Callable, Hashable

from mmengine.model import ExponentialMovingAverage, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import ThresholdOptimizer
from rggan_mm.training.hook_base import CheckedHook, is_on_gpu
from rggan_mm.training.step_graphs import StepGraphs, forms_of, make_portable, make_recordable

from .balance_ratio import BalanceRatioHook
from .discovery import sparse_networks
from .dynamic_pruning import DynamicPruningHook
from .dynamic_sparse import DynamicSparseHook
from .regan import ReGANHook

# Unconditional GANs of MMagic whose step has no branch but those that a recording knows.
_KNOWN = ('DCGAN', 'GGAN', 'LSGAN')
# What they do in Python differs from step to step.
_ACTING = (BalanceRatioHook, DynamicSparseHook, ReGANHook)


@HOOKS.register_module()
class CudaGraphHook(CheckedHook):
    """Replays training steps as CUDA graphs: a GPU that waits for Python waits no more.

    The first steps of each kind are taken as they are, then one is recorded. Kinds are: with
    and without a generator step, each in sparse and in dense phases. Random numbers,
    arithmetic, checkpoints and resume are those of the same run without the hook; Adam takes
    its fused form, which rounds otherwise.

    On a CPU it does nothing. It leaves a run alone, and says why in one line, with several
    processes, a model other than MMagic's unconditional DCGAN, LSGAN or GGAN, another
    optimiser than Adam or AdamW, a loss scale, clipped gradients, accumulated gradients, a
    schedule of learning rates, or an average that is not MMEngine's ExponentialMovingAverage
    of each step.

    Raises:
        ConfigError: The config has this hook twice.
    """

    # After hooks that place data or weights before the training.
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.graphs: StepGraphs | None = None
        self._forms: dict[str, dict] = {}

    def before_train(self, runner: Runner) -> None:
        """Lets steps be recorded, where they can be."""
        self.after_train(runner)  # a run that goes back to a checkpoint begins anew
        if sum(isinstance(hook, CudaGraphHook) for hook in runner.hooks) > 1:
            raise ConfigError('CudaGraphHook: the config has it twice; leave one out')
        if not is_on_gpu(runner.model):
            return
        reason = _why_not(runner)
        if reason:
            runner.logger.info(f'CudaGraphHook: steps are not recorded: {reason}')
            return
        wrappers = runner.optim_wrapper.items()
        self._forms = {name: forms_of(wrapper.optimizer) for name, wrapper in wrappers}
        for optimizer in _optimizers(runner):
            make_recordable(optimizer)
        for optimizer in _of_thresholds(runner):
            optimizer.keep_lam_on_device()
        average = getattr(runner.model, 'generator_ema', None)
        if average is not None:  # read at each step
            average.steps = average.steps.cpu()
        self.graphs = StepGraphs(
            runner.model,
            kind=lambda: _kind(runner),
            remember=lambda: _remember(runner),
            failed=lambda error: runner.logger.warning(_failed(error)),
        )

    def after_train(self, runner: Runner) -> None:
        """Gives the model its own step back."""
        if self.graphs is not None:
            self.graphs.close()
            self.graphs = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keeps what is for a GPU alone out of checkpoints."""
        for name, forms in self._forms.items() if 'optimizer' in checkpoint else ():
            make_portable(checkpoint['optimizer'][name], forms)


def _failed(error: RuntimeError) -> str:
    first = str(error).partition('\n')[0]
    return f'CudaGraphHook: steps are not recorded: recording one failed: {first}'


def _why_not(runner: Runner) -> str:
    """Why steps cannot be recorded; empty where they can be."""
    model = runner.model
    average = getattr(model, 'generator_ema', None)
    if is_model_wrapper(model):
        return 'several processes train'
    if type(model).__name__ not in _KNOWN or not type(model).__module__.startswith('mmagic.'):
        return f'the model is {type(model).__name__}, not one of {", ".join(_KNOWN)}'
    acting = [hook for hook in runner.hooks if isinstance(hook, _ACTING)]
    if acting:
        return f'{type(acting[0]).__name__} makes some steps differ'
    if runner.param_schedulers:
        return 'param_scheduler changes the learning rate'
    if average is not None and not _plain(average):
        return f'the average is {type(average).__name__} with settings of its own'
    reasons = (_why_no_optimizer(name, w) for name, w in runner.optim_wrapper.items())
    return next(filter(None, reasons), '')


def _why_no_optimizer(name: str, wrapper: OptimWrapper) -> str:
    scaler = getattr(wrapper, 'loss_scaler', None)
    if not isinstance(wrapper.optimizer, (Adam, AdamW)):
        return f'optim_wrapper.{name} is {type(wrapper.optimizer).__name__}, not Adam'
    if scaler is not None and scaler.is_enabled():
        return f'optim_wrapper.{name} has a loss scale; bfloat16 needs none'
    if wrapper.clip_grad_kwargs or wrapper._accumulative_counts != 1:
        return f'optim_wrapper.{name} clips or accumulates gradients'
    return ''


def _plain(average: nn.Module) -> bool:
    named = type(average).__name__ == ExponentialMovingAverage.__name__
    return named and average.interval == 1 and not average.update_buffers


def _of_thresholds(runner: Runner) -> list[ThresholdOptimizer]:
    hooks = [hook for hook in runner.hooks if isinstance(hook, DynamicPruningHook)]
    return [optimizer for hook in hooks for optimizer in hook.optimizers.values()]


def _optimizers(runner: Runner) -> list[Optimizer]:
    """All optimisers of the run, those of thresholds too."""
    own = [wrapper.optimizer for wrapper in runner.optim_wrapper.values()]
    return own + [optimizer.adam for optimizer in _of_thresholds(runner)]


def _kind(runner: Runner) -> tuple[Hashable, Hashable]:
    """What the coming step's course depends on, and the numbers in it."""
    phases = (network.sparse for network in sparse_networks(runner.model).values())
    rates = (group['lr'] for o in _optimizers(runner) for group in o.param_groups)
    return (*_updates(runner), *phases), tuple(rates)


def _updates(runner: Runner) -> tuple[bool, bool]:
    """Whether the coming step trains the generator, and whether it averages it then."""
    model, number = runner.model, runner.iter + 1
    trains = number % model.discriminator_steps == 0
    averages = number >= getattr(model, 'ema_start', 0) * model.discriminator_steps
    return trains, trains and averages and hasattr(model, 'generator_ema')


def _remember(runner: Runner) -> Callable[[], None]:
    """Brings back what the last step left in Python."""
    networks = sparse_networks(runner.model).values()
    kept = [(c, c.kept, c.fired) for network in networks for c in network.layers.values()]
    averages, first = _updates(runner)[1], True

    def bring_back() -> None:
        nonlocal first
        for layer, mask, fired in kept:
            layer.kept, layer.fired = mask, fired
        if averages and not first:  # recording has counted the first one
            runner.model.generator_ema.steps += 1
        first = False

    return bring_back
