"""Runs of PGGAN and StyleGAN1 whose images come from several folders, one a size."""

import copy

import numpy as np
import torch
from families import family_config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

ITERATIONS = 9
# Thousands of images at the smaller scales, and images an iteration at each.
GROWTH = {
    'pggan': ({'4': 0.006, '8': 0.010}, {'4': 4, '8': 2, '16': 4}),
    'stylegan1': ({'8': 0.010}, {'8': 4, '16': 2}),
}


class Watch(Hook):
    """Keeps what each iteration got and logged; the same random numbers whatever came before."""

    def __init__(self):
        self.batches, self.logs = [], []

    def before_train(self, runner):
        self.first = runner.iter

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.batches.append([sample.gt_img for sample in data_batch['data_samples']])
        torch.manual_seed(runner.iter)  # MMEngine keeps no state of it

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.logs.append({k: torch.as_tensor(value).item() for k, value in outputs.items()})

    def of(self, name):
        """One logged quantity, by iteration."""
        return {i: log[name] for i, log in enumerate(self.logs, self.first)}


def write_images(folder, sizes):
    """Twelve images of each size, in folders of that name."""
    draw = np.random.default_rng(0)
    for size in sizes:
        (folder / str(size)).mkdir(parents=True)
        for i in range(12):
            pixels = draw.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / str(size) / f'{i:02}.png')
    return folder


def growing_config(name, work_dir, images, iterations=ITERATIONS, **overrides):
    """A config that grows to the last scale within ``ITERATIONS``, without validation."""
    nkimgs, sizes = GROWTH[name]
    config = family_config(
        name,
        work_dir,
        model__nkimgs_per_scale={'_delete_': True, **nkimgs, '16': 1},
        model__transition_kimgs=0.008,
        train_cfg__max_iters=iterations,
        default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=-1,
        default_hooks__checkpoint__save_best=None,
        randomness__seed=0,
        log_level='WARNING',
        **{f'val_{part}': None for part in ('cfg', 'dataloader', 'evaluator')},
        **overrides,
    )
    data = config.train_dataloader.dataset
    data.data_roots = {str(size): str(images / str(size)) for size in (8, 16)}
    data.gpu_samples_per_scale = sizes
    # Flips are drawn when a batch is fetched, from a stream that MMEngine does not keep.
    data.pipeline = [step for step in data.pipeline if step.type not in ('Resize', 'Flip')]
    return config


def grow(name, work_dir, images, **overrides):
    """One training; returns its runner and its :class:`Watch`."""
    runner = Runner.from_cfg(growing_config(name, work_dir, images, **overrides))
    watch = Watch()
    runner.register_hook(watch)
    runner.train()
    return runner, watch


def state_of(runner):
    """Weights and optimisers."""
    return copy.deepcopy([dict(runner.model.state_dict()), runner.optim_wrapper.state_dict()])
