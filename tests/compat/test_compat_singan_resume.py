import cv2
import numpy as np
import pytest
import torch
from mmagic.models.editors.singan import SinGAN
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint

from rggan_mm.compat import progress
from rggan_mm.errors import ConfigError

SCALES = 2  # counted from zero
DISCRIMINATOR_STEPS = 2
PER_SCALE = 3
PER_STAGE = PER_SCALE * DISCRIMINATOR_STEPS
ITERATIONS = PER_STAGE * (SCALES + 1)
BLOCKS = dict(in_channels=3, num_scales=SCALES, base_channels=4, min_feat_channels=4)
MODEL = dict(
    type='SinGAN',
    data_preprocessor=dict(type='DataPreprocessor', non_image_keys=['input_sample']),
    generator=dict(type='SinGANMultiScaleGenerator', out_channels=3, **BLOCKS),
    discriminator=dict(type='SinGANMultiScaleDiscriminator', **BLOCKS),
    lr_scheduler_args=dict(milestones=[1, 2], gamma=0.1),
    generator_steps=1,
    discriminator_steps=DISCRIMINATOR_STEPS,
    iters_per_scale=PER_SCALE,
    num_scales=SCALES,
)
ADAM = dict(optimizer=dict(type='Adam', lr=0.01, betas=(0.5, 0.999)))
PATCHED = ('_save_to_state_dict', '_load_from_state_dict', 'train_step', 'construct_fixed_noises')


class Reseed(Hook):
    """The same random numbers in an iteration, whatever came before; MMEngine keeps no state."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        torch.manual_seed(runner.iter)


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp('singan') / 'image.png'
    pixels = np.random.default_rng(0).integers(0, 256, (20, 22, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)
    return path


def make_runner(work_dir, image, iterations=ITERATIONS, **more):
    keys = [f'real_scale{scale}' for scale in range(SCALES + 1)]
    dataset = dict(
        type='SinGANDataset',
        data_root=str(image),
        min_size=12,
        max_size=22,
        scale_factor_init=0.75,
        pipeline=[dict(type='PackInputs', keys=[*keys, 'input_sample'])],
    )
    config = Config(
        dict(
            default_scope='mmagic',
            experiment_name=f'{work_dir.parent.name}_{work_dir.name}',
            work_dir=str(work_dir),
            model=MODEL,
            train_dataloader=dict(batch_size=1, num_workers=0, dataset=dataset, sampler=None),
            train_cfg=dict(by_epoch=False, max_iters=iterations),
            optim_wrapper=dict(
                constructor='SinGANOptimWrapperConstructor', generator=ADAM, discriminator=ADAM
            ),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False)),
            log_level='WARNING',
            **more,
        )
    )
    object.__setattr__(config, '_format_python_code', False)
    runner = Runner.from_cfg(config)
    runner.register_hook(Reseed())
    return runner


@pytest.fixture(scope='module')
def whole(tmp_path_factory, image):
    """A run that was not stopped, with a checkpoint of every iteration."""
    runner = make_runner(tmp_path_factory.mktemp('whole') / 'run', image)
    runner.train()
    return runner


def checkpoint(whole, iteration):
    return f'{whole.work_dir}/iter_{iteration}.pth'


def resumed(whole, folder, iteration):
    image = whole.cfg.train_dataloader.dataset.data_root
    return make_runner(
        folder / 'resumed', image, load_from=checkpoint(whole, iteration), resume=True
    )


@pytest.fixture
def without_the_repair(monkeypatch):
    for name in PATCHED:
        monkeypatch.setattr(SinGAN, name, getattr(SinGAN, name).__wrapped__)


@pytest.mark.usefixtures('without_the_repair')
def test_without_the_repair_the_optimiser_of_no_stage_is_asked_for(whole, tmp_path):
    with pytest.raises(AssertionError, match='Cannot find generator_-1'):
        resumed(whole, tmp_path, PER_STAGE + 1).train()


@pytest.mark.usefixtures('without_the_repair')
def test_without_the_repair_a_new_stage_is_the_first_again(whole, tmp_path):
    runner = resumed(whole, tmp_path, PER_STAGE)
    runner.train()
    assert runner.model.curr_stage == SCALES - 1
    assert runner.model.noise_weights != whole.model.noise_weights


# In the first stage, at a boundary, before and after a generator's step, in the last stage.
@pytest.mark.parametrize('iteration', [1, PER_STAGE, PER_STAGE + 1, PER_STAGE + 4, ITERATIONS - 2])
def test_a_resumed_run_ends_where_the_whole_one_did(iteration, whole, tmp_path):
    runner = resumed(whole, tmp_path, iteration)
    runner.train()
    ours, theirs = runner.model, whole.model
    assert ours.curr_stage == theirs.curr_stage == SCALES
    assert ours.noise_weights == theirs.noise_weights
    assert len(ours.noise_weights) == SCALES + 1
    assert len(ours.fixed_noises) == len(theirs.fixed_noises) == SCALES + 1
    states = ours.state_dict(), theirs.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    same_optimisers(runner.optim_wrapper.state_dict(), whole.optim_wrapper.state_dict())
    for name in ('gen_scheduler', 'disc_scheduler'):
        assert getattr(ours, name).last_epoch == getattr(theirs, name).last_epoch


def same_optimisers(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, mine in ours.items():
        assert mine['param_groups'] == theirs[name]['param_groups'], name
        for index, slots in mine['state'].items():
            for slot, value in slots.items():
                assert torch.equal(value, theirs[name]['state'][index][slot]), (name, slot)


def test_the_rates_fell_in_every_stage(whole):
    rates = [
        wrapper['param_groups'][0]['lr'] for wrapper in whole.optim_wrapper.state_dict().values()
    ]
    assert rates == pytest.approx([0.01 * 0.1**2] * 2 * (SCALES + 1))


def test_what_is_loaded_is_what_was_saved(whole, tmp_path):
    runner = resumed(whole, tmp_path, PER_STAGE + 1)
    runner.load_or_resume()
    saved = CheckpointLoader.load_checkpoint(checkpoint(whole, PER_STAGE + 1))['state_dict']
    assert saved.keys() == runner.model.state_dict().keys()
    assert runner.model.curr_stage == 1
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, saved[name]), name


def test_a_loaded_model_generates_without_a_pickle_file(whole, image, tmp_path):
    model = make_runner(tmp_path / 'other', image).model
    load_checkpoint(model, checkpoint(whole, ITERATIONS), strict=True)
    for each in (model, whole.model):
        each.eval()
    with torch.no_grad():
        ours, theirs = (each(dict(mode='recon'))[0].fake_img for each in (model, whole.model))
    assert torch.equal(ours, theirs)


def test_weights_to_start_from_start_at_the_first_stage(whole, image, tmp_path):
    start = dict(load_from=checkpoint(whole, ITERATIONS))
    runner = make_runner(tmp_path / 'again', image, iterations=1, **start)
    runner.train()
    assert runner.model.curr_stage == 0
    assert runner.model.noise_weights == [1]
    assert len(runner.model.fixed_noises) == SCALES + 1


def test_a_checkpoint_without_the_stage_is_refused_in_one_line(whole, image, tmp_path):
    content = CheckpointLoader.load_checkpoint(checkpoint(whole, PER_STAGE + 1))
    content['state_dict'] = {
        name: value
        for name, value in content['state_dict'].items()
        if not name.startswith('progress.')
    }
    torch.save(content, tmp_path / 'old.pth')
    old = dict(load_from=str(tmp_path / 'old.pth'), resume=True)
    runner = make_runner(tmp_path / 'run', image, **old)
    with pytest.raises(ConfigError, match=f'resume: .* iteration {PER_STAGE + 1} ') as caught:
        runner.train()
    assert '\n' not in str(caught.value)


def test_an_untrained_model_has_the_weights_of_a_stock_one(image, tmp_path):
    model = make_runner(tmp_path / 'new', image).model
    names = [name for name in model.state_dict() if not name.startswith(('gen', 'disc'))]
    assert names == []


def test_a_singan_that_saves_its_progress_needs_nothing():
    assert not progress.singan_forgets()  # repaired here


@pytest.mark.parametrize('iteration', [PER_STAGE, 3 * PER_STAGE])
def test_an_iteration_count_alone_is_no_resume(iteration, image, tmp_path):
    runner = make_runner(tmp_path / 'run', image)
    model, batch = runner.model, next(iter(runner.train_dataloader))
    wrappers = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.message_hub.update_info('iter', iteration)
    assert model.train_step(batch, wrappers)['curr_stage'] == 0
    runner.message_hub.update_info('iter', iteration + 1)
    assert model.train_step(batch, wrappers)['curr_stage'] == 0
