"""ONNX files of families: onnxruntime makes PyTorch's images, for any number of samples."""

import pytest
import torch
from exporting import prune_half
from families import family_config
from family_walk import family_params

from rggan_mm.analysis.calling import Images
from rggan_mm.analysis.model_building import build_model
from rggan_mm.errors import ConfigError
from rggan_mm.export.baking import bake
from rggan_mm.export.loading import networks_of
from rggan_mm.export.modulated import convolve_together
from rggan_mm.export.onnx_file import save_onnx
from rggan_mm.pruning import SparseNetwork

WRITTEN = (
    *('dcgan', 'wgan_gp', 'pggan', 'stylegan1', 'stylegan2', 'sagan', 'sngan_proj'),
    *('biggan_cifar10', 'biggan_ajbrock', 'cyclegan', 'pix2pix'),
)
# Modulated convolutions of other classes: a kernel and a group for each sample.
REFUSED = {'mspie_stylegan2': 'MSStyleGANv2Generator', 'stylegan3_t': 'StyleGAN3Generator'}
WARM_UP = 30
GENERATORS = ('generator_ema', 'generators.photo', 'generator')


def sparse_images(name, folder):
    """A family's generator, half pruned, and whether it is sparse still."""
    networks = networks_of(build_model(family_config(name, folder), initialize=True))
    network = next(networks[known] for known in GENERATORS if known in networks).eval()
    prune_half(SparseNetwork(network))
    images = Images(network, size=32)
    network.train()
    for seed in range(WARM_UP):  # or images are black and white: batch norms know nothing yet
        images.sample(8, seed)
    network.eval()
    return images


@pytest.mark.parametrize('name', family_params(WRITTEN, ('dcgan', 'sagan')))
def test_a_baked_network_and_its_onnx_file_make_the_masked_images(tmp_path, name):
    images = sparse_images(name, tmp_path)
    masked = images.sample(3)
    assert (masked[0] - masked[1]).abs().max() > 1e-3
    bake(images.network)
    convolve_together(images.network)
    assert not any('threshold' in key for key in images.network.state_dict())
    torch.testing.assert_close(images.sample(3), masked, rtol=0, atol=1e-5)
    assert save_onnx(tmp_path / 'file.onnx', images, {}) <= 1e-4


@pytest.mark.parametrize('name', family_params(REFUSED, ()))
def test_what_torch_refuses_is_one_line_and_no_file(tmp_path, name):
    images = sparse_images(name, tmp_path)
    bake(images.network)
    with pytest.raises(ConfigError, match=rf'{REFUSED[name]}: torch.onnx refuses it: .*'):
        save_onnx(tmp_path / 'file.onnx', images, {})
    assert not (tmp_path / 'file.onnx').exists()


def test_a_network_of_other_arguments_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='SinGANMultiScaleGenerator is called with'):
        sparse_images('singan', tmp_path)
