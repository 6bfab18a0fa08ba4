"""A network whose layers compute with weights that are written out by hand."""

import copy

import torch
from torch import nn
from torch.nn import functional

from rggan_mm.pruning import list_layers


class HandMasked:
    """A copy of a network in which W is a formula of raw weights and thresholds.

    Nothing of the package computes here: the raw weight goes through the layer's
    normalisation and is multiplied with a mask, all as one autograd expression.

    Args:
        network: A network without thresholds, in eval mode.
        mask: From (W, thresholds broadcast to it) to a factor of W.
        thresholds: Thresholds by layer.
    """

    def __init__(self, network, mask, thresholds):
        self.network = copy.deepcopy(network)
        self.infos = [info for info in list_layers(self.network) if info.prunable]
        self.mask = mask
        self.raw = {i.name: i.stored.detach().clone().requires_grad_() for i in self.infos}
        self.thresholds = {
            name: value.clone().requires_grad_() for name, value in thresholds.items()
        }
        self.normalise = {info.name: _normalisation(info) for info in self.infos}
        for info in self.infos:
            _open(info)

    def __call__(self, *args, **kwargs):
        for info in self.infos:
            weight = self.normalise[info.name](self.raw[info.name])
            spread = _spread(info, weight, self.thresholds[info.name])
            _put(info, weight * self.mask(weight, spread))
        return self.network(*args, **kwargs)


def _spread(info, weight, thresholds):
    """Thresholds, one for each output channel, along the weight they belong to."""
    if isinstance(info.module, nn.ConvTranspose2d) and info.module.groups > 1:
        # (in, out / groups, k, k): rows of one group have its thresholds.
        rows = thresholds.view(info.module.groups, -1)
        each = rows.repeat_interleave(len(weight) // len(rows), 0)
        return each[:, :, None, None]
    shape = [1] * weight.ndim
    shape[info.out_dim] = -1
    return thresholds.view(shape)


def _normalisation(info):
    """The formula from a layer's raw weight to the one that it multiplies with."""
    module = info.module
    if info.source == 'parametrization':
        norm = module.parametrizations['weight'][0]
        return _divided_by(norm._u.clone(), norm._v.clone())
    if info.source == 'method':
        return _divided_by_constant(module.u[0].clone())
    if hasattr(module, 'weight_u'):
        return _divided_by(module.weight_u.clone(), module.weight_v.clone())
    if info.parameter == 'weight_orig':
        return _equalised(module)
    return lambda raw: raw


def _divided_by(u, v):
    """Spectral norm: sigma = u W v, through which gradient flows."""
    return lambda raw: raw / (u @ raw.flatten(1) @ v)


def _divided_by_constant(u):
    """MMagic's SNConv2d: half a power iteration, and sigma is a number."""

    def normalise(raw):
        with torch.no_grad():
            matrix = raw.flatten(1)
            v = functional.normalize(u @ matrix)
            sigma = (functional.normalize(v @ matrix.T) @ matrix @ v.T).squeeze()
        return raw / sigma

    return normalise


def _equalised(module):
    raw = module.weight_orig
    fan_in = raw[0].numel() if raw.ndim < 5 else raw[0, 0].numel()
    (norm, *fusing) = module._forward_pre_hooks.values()
    scale = norm.gain * fan_in**-0.5 * norm.lr_mul
    return lambda raw: _fused(raw * scale) if fusing else raw * scale


def _fused(weight):
    """Nearest upsampling and a 3x3 kernel in one: the kernel summed over a 2x2 window."""
    return sum(functional.pad(weight, (b, 1 - b, a, 1 - a)) for a in (0, 1) for b in (0, 1))


def _open(info):
    """Takes away whatever sets the layer's weight."""
    module = info.module
    if info.source == 'parametrization':
        # The class with the property is that of the original as well; the plain one is its base.
        del module.parametrizations
        module.__class__ = type(module).__base__
    if info.parameter == 'weight_orig':
        module._forward_pre_hooks.clear()
    if info.source != 'method':
        module._parameters.pop('weight', None)


def _put(info, weight):
    if info.source == 'method':
        info.module.sn_weight = lambda: weight
    else:
        info.module.weight = weight
