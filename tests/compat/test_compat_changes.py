"""Everything in other libraries that importing the plugin changes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rggan_mm import compat

MMENGINE = ['mmengine.runner.runner.Runner.from_cfg']
MMAGIC = [
    'mmagic.engine.hooks.pggan_fetch_data_hook.PGGANFetchDataHook.after_train_iter',
    'mmagic.engine.hooks.pggan_fetch_data_hook.PGGANFetchDataHook.before_train',
    'mmagic.models.archs.patch_disc.generation_init_weights',
    'mmagic.models.archs.smpatch_disc.generation_init_weights',
    'mmagic.models.editors.cyclegan.cyclegan.CycleGAN.train_step',
    'mmagic.models.editors.cyclegan.cyclegan_generator.generation_init_weights',
    'mmagic.models.editors.dcgan.dcgan_discriminator.DCGANDiscriminator.init_weights',
    'mmagic.models.editors.mspie.pe_singan.PESinGAN.construct_fixed_noises',
    'mmagic.models.editors.pggan.pggan.ProgressiveGrowingGAN._load_from_state_dict',
    'mmagic.models.editors.pggan.pggan.ProgressiveGrowingGAN._save_to_state_dict',
    'mmagic.models.editors.pggan.pggan.ProgressiveGrowingGAN.train_step',
    'mmagic.models.editors.pix2pix.pix2pix.Pix2Pix.train_step',
    'mmagic.models.editors.pix2pix.pix2pix_generator.generation_init_weights',
    'mmagic.models.editors.singan.singan.SinGAN._load_from_state_dict',
    'mmagic.models.editors.singan.singan.SinGAN._save_to_state_dict',
    'mmagic.models.editors.singan.singan.SinGAN.construct_fixed_noises',
    'mmagic.models.editors.singan.singan.SinGAN.train_step',
    'mmagic.models.editors.stylegan2.stylegan2.StyleGAN2.train_step',
    'mmagic.models.utils.generation_init_weights',
    'mmagic.models.utils.model_utils.generation_init_weights',
]
# By repair: only where the installed libraries need it.
SOMETIMES = {
    'stylegan-ops': [
        'mmcv.ops.bias_act._bias_act_cuda',
        'mmcv.ops.conv2d_gradfix.enabled',
        'mmcv.ops.filtered_lrelu._filtered_lrelu_cuda',
        'mmcv.ops.fused_bias_leakyrelu.FusedBiasLeakyReLUFunction',
        'mmcv.ops.upfirdn2d._upfirdn2d_cuda',
        'mmcv.ops.upfirdn2d._upfirdn2d_ref',
    ],
    'ada-grid-sample': ['mmagic.models.editors.stylegan2.ada.grid_sample_gradfix.grid_sample'],
    'find-loader': ['mmengine.utils.dl_utils.misc.pkgutil'],
    'sqrtm-disp': ['mmagic.evaluation.metrics.fid.linalg'],
}
TORCH = ['torch._weights_only_unpickler._marked_safe_globals_set']  # MMEngine's types in it


CHANGING_NOTHING = ('rggan_mm.pruning', 'rggan_mm.compat.shims', 'rggan_mm.datasets')


@pytest.mark.slow
def test_importing_the_plugin_changes_these_attributes_and_no_other():
    script = Path(__file__).with_name('changed_attributes.py')
    command = [sys.executable, script, *CHANGING_NOTHING, 'rggan_mm.plugin']
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    changed = json.loads(done.stdout)
    assert [changed[module] for module in CHANGING_NOTHING] == [[], [], []]
    applied = {outcome.name for outcome in compat.apply() if outcome.state == 'applied'}
    wanted = MMENGINE + MMAGIC
    wanted += [name for repair in applied for name in SOMETIMES.get(repair, [])]
    if hasattr(torch.serialization, 'add_safe_globals'):
        wanted += TORCH
    assert changed['rggan_mm.plugin'] == sorted(wanted)
