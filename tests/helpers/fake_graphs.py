"""CUDA graphs for machines without a GPU: a replay takes the recorded step again."""

from contextlib import nullcontext

import pytest
import torch

from rggan_mm.hooks import cuda_graphs
from rggan_mm.training.step_graphs import Prepared, StepGraphs


class FakeGraph:
    """Takes a step at each replay but the first: what recorded it has taken that one."""

    def __init__(self) -> None:
        self.step = None
        self.replays = 0

    def replay(self) -> None:
        """Takes the step."""
        self.replays += 1
        if self.replays > 1:
            self.step()


class FakeStream:
    """A stream that does nothing."""

    def wait_stream(self, stream: object) -> None:
        """Waits for nobody."""


class FakeStepGraphs(StepGraphs):
    """Records on the CPU, each kind of step after one that is taken as it is."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, warm_up=1, **kwargs)

    def _record(self, kind, batch, optim_wrapper):
        recording = super()._record(kind, batch, optim_wrapper)
        average = self.model.generator_ema

        def again():
            counted = average.steps.clone()  # a graph counts nothing in Python
            self._noise = iter(recording.noise)
            outputs = self._step(Prepared(batch), optim_wrapper)
            self._noise = None
            for name, value in outputs.items():
                recording.outputs[name].data.copy_(value.data)
            average.steps.copy_(counted)

        if recording is not None:
            recording.graph.step = again
        return recording


def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets CudaGraphHook work on the CPU."""
    monkeypatch.setattr(torch.cuda, 'CUDAGraph', FakeGraph)
    monkeypatch.setattr(torch.cuda, 'Stream', FakeStream)
    monkeypatch.setattr(torch.cuda, 'current_stream', FakeStream)
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda: None)
    monkeypatch.setattr(torch.cuda, 'stream', lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, 'graph', lambda graph, stream: nullcontext())
    monkeypatch.setattr(cuda_graphs, 'StepGraphs', FakeStepGraphs)
    monkeypatch.setattr(cuda_graphs, 'is_on_gpu', lambda model: True)
