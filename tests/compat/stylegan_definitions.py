"""What StyleGAN's operators mean, written without a look at mmcv's."""

import itertools

import torch


def insert_zeros(x, up_x, up_y):
    out = x.new_zeros(*x.shape[:2], x.shape[2] * up_y, x.shape[3] * up_x)
    out[:, :, ::up_y, ::up_x] = x
    return out


def pad_or_crop(x, left, right, top, bottom):
    height, width = x.shape[2] + top + bottom, x.shape[3] + left + right
    out = x.new_zeros(*x.shape[:2], height, width)
    for row, column in itertools.product(range(x.shape[2]), range(x.shape[3])):
        if 0 <= row + top < height and 0 <= column + left < width:
            out[:, :, row + top, column + left] = x[:, :, row, column]
    return out


def correlate(x, kernel):
    height, width = x.shape[2] - kernel.shape[0] + 1, x.shape[3] - kernel.shape[1] + 1
    out = x.new_zeros(*x.shape[:2], height, width)
    for row, column in itertools.product(*map(range, kernel.shape)):
        out = out + kernel[row, column] * x[:, :, row : row + height, column : column + width]
    return out


def as_kernel(taps, flip, x):
    """A filter as the matrix that is correlated; it is convolved unless flipped."""
    taps = taps.to(x)
    if taps.ndim == 1:
        taps = taps[:, None] * taps[None, :]
    return taps if flip else taps.flip(0, 1)


def resample(x, taps, up=(1, 1), down=(1, 1), padding=(0, 0, 0, 0), flip=False, gain=1.0):
    x = pad_or_crop(insert_zeros(x, *up), *padding)
    return (correlate(x, as_kernel(taps, flip, x)) * gain)[:, :, :: down[1], :: down[0]]


def leaky(x, slope):
    return torch.where(x > 0, x, x * slope)


def per_channel(values, x):
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


def convolved(x, weight, padding):
    """One image, one group: every output is a sum over inputs and taps."""
    x = pad_or_crop(x, *[padding] * 4)
    rows = [
        sum(correlate(x[:, [i]], kernel) for i, kernel in enumerate(kernels)) for kernels in weight
    ]
    return torch.cat(rows, dim=1)


def transposed(x, weight, stride):
    """Every input pixel paints the kernel, times its value."""
    size = [(n - 1) * stride + k for n, k in zip(x.shape[2:], weight.shape[2:], strict=True)]
    out = x.new_zeros(x.shape[0], weight.shape[1], *size)
    for row, column in itertools.product(range(x.shape[2]), range(x.shape[3])):
        stamp = torch.einsum('ni,iokl->nokl', x[:, :, row, column], weight)
        top, left = row * stride, column * stride
        out[:, :, top : top + weight.shape[2], left : left + weight.shape[3]] += stamp
    return out
