"""Training steps of a GAN recorded as CUDA graphs."""

import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

# Where Adam counts its steps and which kernels it takes; none changes what it computes.
_FORMS = {'capturable': True, 'fused': True, 'foreach': False}


@dataclass
class Recording:
    """One kind of step, recorded.

    Attributes:
        graph: The CUDA graph.
        inputs: Tensors of the batch that it reads.
        noise: Tensors of noise that it reads.
        outputs: What the step returned; its tensors are written anew at each replay.
        after: What a replay must do beside the graph.
    """

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    noise: list[Tensor]
    outputs: dict
    after: Callable[[], object]


class StepGraphs:
    """Stands for ``model.train_step``: replays the kernels of a step without Python.

    Each kind of step (with or without a generator step, sparse or dense) is taken some times
    as it is, then recorded, then replayed. Noise is drawn as MMagic draws it, in the same
    order, so a replayed step computes what the step itself would have.

    Args:
        model: An unconditional GAN of MMagic's, not wrapped.
        kind: Returns what the course of the coming step depends on, and numbers that are part of
            a recording: where they change, all steps are recorded anew.
        remember: Called after a step; returns a function that brings back what the step
            left in Python.
        failed: Called when a step cannot be recorded; then the model has its own step again.
        warm_up: How often each kind of step is taken first. Default: 3.
    """

    def __init__(
        self,
        model: nn.Module,
        kind: Callable[[], tuple[Hashable, Hashable]],
        remember: Callable[[], Callable[[], object]],
        failed: Callable[[RuntimeError], object],
        warm_up: int = 3,
    ) -> None:
        self.model = model
        self.kind = kind
        self.remember = remember
        self.failed = failed
        self.warm_up = warm_up
        self.recordings: dict[Hashable, Recording] = {}
        self._numbers: Hashable = None
        self._taken: Counter = Counter()
        self._sizes: dict[Hashable, list[int]] = {}
        self._noise: Iterator[Tensor] | None = None  # while a step is recorded
        self._drawn: list[int] | None = None  # while a step is taken
        self._stream = torch.cuda.Stream()
        self._step, self._noise_of = model.train_step, model.noise_fn
        self._preprocess = model.data_preprocessor.forward
        self._stood_in: list[tuple[nn.Module, str, Any]] = []
        self._stand_in(model, 'train_step', self)
        self._stand_in(model, 'noise_fn', self._next_noise)
        self._stand_in(model.data_preprocessor, 'forward', self._prepared_already)

    def close(self) -> None:
        """Gives the model its own step back."""
        self._forget()
        while self._stood_in:
            owner, name, before = self._stood_in.pop()
            del vars(owner)[name]
            if before is not None:
                setattr(owner, name, before)

    def __call__(self, data: Any, optim_wrapper: Any) -> dict:
        """A training step; see ``BaseGAN.train_step``."""
        batch = self._preprocess(data, True)
        course, numbers = self.kind()
        if numbers != self._numbers:
            self._numbers = numbers
            self._forget()
        kind = (course, tuple(leaf.shape for leaf in leaves(batch)))
        recording = self.recordings.get(kind)
        if recording is not None:
            self._fill(recording, batch)
        elif self._taken[kind] < self.warm_up:
            self._taken[kind] += 1
            return self._take(kind, batch, optim_wrapper)
        else:
            recording = self._record(kind, batch, optim_wrapper)
        if recording is None:
            return self._step(data, optim_wrapper)
        recording.graph.replay()
        recording.after()
        return dict(recording.outputs)

    def _forget(self) -> None:
        if self.recordings:
            torch.cuda.synchronize()  # replays may not have ended, and lose their memory
            self.recordings.clear()

    def _stand_in(self, owner: nn.Module, name: str, value: Any) -> None:
        self._stood_in.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, value)

    def _take(self, kind: Hashable, batch: dict, optim_wrapper: Any) -> dict:
        """The step itself, on the stream on which it is recorded later."""
        self._drawn = []
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            outputs = self._step(Prepared(batch), optim_wrapper)
        torch.cuda.current_stream().wait_stream(self._stream)
        self._sizes[kind], self._drawn = self._drawn, None
        return outputs

    def _record(self, kind: Hashable, batch: dict, optim_wrapper: Any) -> Recording | None:
        """Records a step without running it; None, and no more of it, where that fails."""
        draws = torch.get_rng_state()
        noise = [self._static_noise(number) for number in self._sizes[kind]]
        self._noise = iter(noise)
        graph, before = torch.cuda.CUDAGraph(), host_streams()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                outputs = self._step(Prepared(batch), optim_wrapper)
            if host_streams() != before:
                raise RuntimeError('it draws random numbers on the host')
        except RuntimeError as error:
            self.close()
            self.failed(error)
            torch.set_rng_state(draws)
            return None
        finally:
            self._noise = None
        recording = Recording(graph, leaves(batch), noise, outputs, self.remember())
        self.recordings[kind] = recording
        return recording

    def _fill(self, recording: Recording, batch: dict) -> None:
        for static, leaf in zip(recording.inputs, leaves(batch), strict=True):
            static.copy_(leaf, non_blocking=True)
        for static in recording.noise:
            self._draw_into(static)

    def _static_noise(self, number: int) -> Tensor:
        static = torch.empty(number, self.model.noise_size, device=self.model.device)
        self._draw_into(static)
        return static

    def _next_noise(self, noise: Any = None, num_batches: int = 1) -> Tensor:
        if self._noise is not None:
            return next(self._noise)
        if self._drawn is not None:
            self._drawn.append(num_batches)
        return self._noise_of(noise, num_batches)

    def _draw_into(self, static: Tensor) -> None:
        # As MMagic draws it, but for the memory, from which a copy does not wait.
        static.copy_(torch.randn(static.shape, pin_memory=static.is_cuda), non_blocking=True)

    def _prepared_already(self, data: Any, training: bool = False) -> Any:
        return data.batch if isinstance(data, Prepared) else self._preprocess(data, training)


@dataclass
class Prepared:
    """A batch that went through the data preprocessor."""

    batch: dict


def leaves(item: Any) -> list[Tensor]:
    """All tensors of a batch, in a fixed order."""
    if isinstance(item, Tensor):
        return [item]
    if isinstance(item, BaseDataElement):
        return [leaf for _, value in sorted(item.items()) for leaf in leaves(value)]
    if isinstance(item, dict):
        return [leaf for name in sorted(item) for leaf in leaves(item[name])]
    return []


def make_recordable(optimizer: Optimizer) -> None:
    """Lets an Adam count its steps on the GPU; resumed states are moved there.

    Args:
        optimizer: ``torch.optim.Adam`` or ``AdamW`` of weights on the GPU.
    """
    for group in optimizer.param_groups:
        group.update(_FORMS)
    for parameter, state in optimizer.state.items():
        if 'step' in state:
            state['step'] = torch.as_tensor(state['step'], dtype=torch.float32).to(parameter.device)


def make_portable(saved: dict, group_defaults: dict) -> None:
    """Undoes :func:`make_recordable` in a state that goes into a checkpoint.

    Args:
        saved: State dict of the optimiser, changed in place.
        group_defaults: Values of the groups' fields before.
    """
    saved['param_groups'] = [{**group, **group_defaults} for group in saved['param_groups']]
    saved['state'] = {
        key: {name: value.cpu() if name == 'step' else value for name, value in state.items()}
        for key, state in saved['state'].items()
    }


def forms_of(optimizer: Adam) -> dict:
    """What :func:`make_recordable` changes in an optimiser's groups."""
    return {name: optimizer.defaults[name] for name in _FORMS}


def host_streams() -> tuple:
    """State of the random streams of the CPU."""
    return (
        random.getstate(),
        np.random.get_state()[1].tobytes(),
        np.random.get_state()[2],
        torch.default_generator.get_state().numpy().tobytes(),
    )
