"""ADA's sampling, differentiated twice."""

from dataclasses import replace
from importlib import import_module

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import grid_sample

from rggan_mm.compat import library_changes
from rggan_mm.compat import repair as engine
from rggan_mm.compat.library_changes import sample

AUGMENT = import_module('mmagic.models.editors.stylegan2.ada.augment')
(REPAIR,) = (r for r in library_changes.REPAIRS if r.name == 'ada-grid-sample')


@pytest.fixture
def images():
    return torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def grid():
    # Partly outside, where zeros are read.
    return 2.4 * torch.rand(2, 3, 5, 2, dtype=torch.float64) - 1.2


def test_it_samples_as_pytorch_does(images, grid):
    theirs = grid_sample(images, grid, align_corners=False)
    assert torch.equal(sample(images, grid), theirs)


def test_first_and_second_derivatives(images, grid):
    assert gradcheck(lambda x: sample(x, grid), images)
    # The square makes the second derivative other than zero.
    assert gradgradcheck(lambda x: sample(x, grid).square(), images)


def test_gradient_by_the_grid_is_pytorchs_and_stays_first_order(images, grid):
    grid.requires_grad_()
    (ours,) = torch.autograd.grad(sample(images, grid).square().sum(), grid, create_graph=True)
    theirs = torch.autograd.grad(
        grid_sample(images, grid, align_corners=False).square().sum(), grid
    )[0]
    assert torch.allclose(ours, theirs)
    with pytest.raises(NotImplementedError, match='by its grid'):
        ours.sum().backward()


def test_it_takes_mmagics_place_where_pytorch_cannot(monkeypatch):
    monkeypatch.setattr(engine, '_originals', {})
    monkeypatch.setattr(AUGMENT.grid_sample_gradfix, 'grid_sample', stock := object())
    engine.apply([replace(REPAIR, needed=lambda: True)])
    # The augmentation looks it up in the module each time.
    assert AUGMENT.grid_sample_gradfix.grid_sample is sample
    engine.undo()
    assert AUGMENT.grid_sample_gradfix.grid_sample is stock


def test_the_probe_says_what_pytorch_does(images, grid):
    (first,) = torch.autograd.grad(
        grid_sample(images, grid, align_corners=False).square().sum(), images, create_graph=True
    )
    if library_changes.differentiates_twice():
        first.sum().backward()
        assert images.grad is not None
    else:
        with pytest.raises(RuntimeError, match='grid_sampler_2d_backward'):
            first.sum().backward()
