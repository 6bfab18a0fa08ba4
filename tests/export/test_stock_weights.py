"""Weights that are left are counted layer by layer."""

import torch
from torch import nn

from rggan_mm.export.stock_weights import nonzero_counts


def test_weights_that_are_not_0_are_counted_but_not_those_of_norms():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with torch.no_grad():
        network[0].weight.fill_(1)[0] = 0
        network[2].weight.fill_(1)
    assert nonzero_counts(network) == {'0': (9, 12), '2': (8, 8)}
