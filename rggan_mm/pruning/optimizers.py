"""What an optimiser of PyTorch's does to parameters, and what has to be changed in one."""

from collections.abc import Callable, Sequence
from functools import partial, wraps

from torch import Tensor
from torch.optim import Adam, Optimizer

from rggan_mm.errors import ConfigError

from .sparse_layers import SparseLayers


def frozen_parameters(optimizer: Optimizer) -> set[int]:
    """Ids of the parameters whose learning rate is 0 and stays so.

    A scheduler's warm-up may begin at 0; it says what it leads to (``initial_lr``).

    Args:
        optimizer: Any optimiser; rates that are tensors are not read.
    """
    return {
        id(parameter)
        for group in optimizer.param_groups
        if _is_zero(group['lr']) and _is_zero(group.get('initial_lr', 0))
        for parameter in group['params']
    }


def build_adam(
    parameters: Sequence[Tensor], lr: float, betas: tuple[float, float], eps: float
) -> Adam:
    """Builds an Adam, or raises ConfigError with the setting that it refuses."""
    try:
        first, second = (float(beta) for beta in betas)
        options = {'lr': lr, 'betas': (first, second), 'eps': eps}
        return _adam_in_one_call(list(parameters), options)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f'lr={lr!r}, betas={betas!r}, eps={eps!r}: not what Adam takes ({error})'
        ) from None


def discarding_too(optimizer: Optimizer, layers: Sequence[SparseLayers]) -> Callable[[], object]:
    """Lets ``optimizer.zero_grad`` drop threshold gradients as well; returns what undoes it."""
    own, zero_grad = vars(optimizer).get('zero_grad'), optimizer.zero_grad

    @wraps(zero_grad)
    def zero_all(*args: object, **kwargs: object) -> None:
        zero_grad(*args, **kwargs)
        for part in layers:
            part.discard_gradients()

    optimizer.zero_grad = zero_all
    if own is None:
        return partial(vars(optimizer).pop, 'zero_grad', None)
    return partial(setattr, optimizer, 'zero_grad', own)


def moves_without_gradient(optimizer: Optimizer) -> bool:
    """Whether a step moves weights whose gradient is 0: by momentum or weight decay."""
    return any(
        not _is_zero(group.get('weight_decay') or 0)
        or not _is_zero(group.get('momentum') or 0)
        or not _is_zero((group.get('betas') or (0,))[0])
        for group in optimizer.param_groups
    )


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and value == 0


def take_out(optimizer: Optimizer, thresholds: Sequence[Tensor]) -> None:
    """Takes thresholds out of an optimiser that was built after them."""
    own = {id(threshold) for threshold in thresholds}
    for group in optimizer.param_groups:
        group['params'] = [p for p in group['params'] if id(p) not in own]
    for threshold in thresholds:
        optimizer.state.pop(threshold, None)


def _adam_in_one_call(parameters: list[Tensor], options: dict) -> Adam:
    # One kernel for all thresholds, which are many and small. Before PyTorch 2.4 there is
    # none on the CPU.
    try:
        return Adam(parameters, **options, fused=True)
    except RuntimeError:
        return Adam(parameters, **options, foreach=True)
