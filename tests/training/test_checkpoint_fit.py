import pytest
import torch
from distributed_gan import make_runner
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.runner import load_state_dict as mmengine_load
from tiny import Records, tiny_runner
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.training.runner import load_weights


def load(model, state, strict=False):
    load_weights(model, {'state_dict': state}, strict)


class Gan(BaseModel):
    def __init__(self, width=2):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
        self.discriminator = nn.Linear(width, 1)

    def forward(self, inputs):
        raise NotImplementedError


def _renamed(state, old, new):
    return {name.replace(old, new): value for name, value in state.items()}


def test_stock_goes_on_when_nothing_fits():
    model = Gan()
    before = model.generator[0].weight.clone()
    mmengine_load(model, _renamed(Gan().state_dict(), 'generator', 'netG'))
    assert torch.equal(model.generator[0].weight, before)


def test_what_fits_loads():
    model, source = Gan(), Gan()
    load(model, source.state_dict())
    for name, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


FOREIGN = {
    'no prefix': lambda: Gan().generator.state_dict(),
    'other names': lambda: {f'net.{name}': v for name, v in Gan().state_dict().items()},
    'empty': dict,
    'no tensors': lambda: {'params': dict(Gan().state_dict()), 'epoch': 3},
    'one below': lambda: {'params_ema': Gan().state_dict()},
}


@pytest.mark.parametrize('state', FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_checkpoint_is_refused_in_one_line(state):
    with pytest.raises(ConfigError, match='nothing in it fits the Gan: it has') as caught:
        load(Gan(), state())
    assert '\n' not in str(caught.value)
    assert 'the model has generator.0.weight (2, 2)' in str(caught.value)


def test_a_network_under_other_names_is_refused_even_if_the_rest_fits():
    state = _renamed(Gan().state_dict(), 'generator.', 'generator.net.')
    with pytest.raises(ConfigError, match=r"fits 'generator': it has generator\.net\.0\.weight"):
        load(Gan(), state)


def test_a_network_of_another_size_is_refused():
    with pytest.raises(
        ConfigError, match=r"fits 'generator': it has generator\.0\.weight \(5, 2\)"
    ):
        load(Gan(), Gan(width=5).state_dict())


def test_a_network_that_the_checkpoint_lacks_is_a_warning():
    model, source = Gan(), Gan()
    logger = MMLogger.get_instance('foreign_weights')
    records = Records(type('Runner', (), {'logger': logger}))
    state = {n: v for n, v in source.state_dict().items() if n.startswith('generator')}
    load(model, state)
    assert torch.equal(model.generator[0].weight, source.generator[0].weight)
    assert records.having('it has no discriminator, which keeps the weights it has')


def test_a_part_of_a_network_may_be_new():
    model, source = Gan(), Gan()
    state = source.state_dict()
    state['generator.0.weight'] = torch.zeros(7, 2)
    state['generator.0.bias'] = torch.zeros(7)
    del state['generator.1.weight']
    load(model, state)
    assert torch.equal(model.discriminator.weight, source.discriminator.weight)


def test_parts_of_a_lone_network_may_be_exchanged():
    network = nn.ModuleDict({'body': nn.Linear(2, 2), 'head': nn.Linear(2, 1)})
    source = nn.ModuleDict({'body': nn.Linear(2, 2), 'head': nn.Linear(2, 9)})
    load(network, source.state_dict())
    assert torch.equal(network['body'].weight, source['body'].weight)
    with pytest.raises(ConfigError, match='fits the ModuleDict'):
        load(network, {'other.weight': torch.zeros(1)})


def test_a_strict_load_fails_as_before():
    with pytest.raises(RuntimeError, match='do not match exactly'):
        load(Gan(), {}, strict=True)


def test_a_module_that_renames_old_weights_is_not_foreign():
    class Renames(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *rest):
            for name in [name for name in state_dict if name.startswith(f'{prefix}old_')]:
                state_dict[name.replace('old_', '')] = state_dict.pop(name)
            super()._load_from_state_dict(state_dict, prefix, *rest)

    model, source = Gan(), nn.Linear(2, 1)
    model.discriminator = Renames(2, 1)
    state = {n: v for n, v in model.state_dict().items() if n.startswith('generator')}
    state |= {f'discriminator.old_{name}': value for name, value in source.state_dict().items()}
    load(model, state)
    assert torch.equal(model.discriminator.weight, source.weight)


def test_no_hook_stays_on_the_model():
    model = Gan()
    load(model, Gan().state_dict())
    with pytest.raises(ConfigError):
        load(model, {})
    assert not model._load_state_dict_post_hooks
    assert not model._load_state_dict_pre_hooks


@pytest.mark.parametrize('resume', [False, True])
def test_a_runner_refuses_a_foreign_file(tmp_path, resume):
    make_runner(tmp_path, 'first').train()
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    checkpoint['state_dict'] = _renamed(checkpoint['state_dict'], 'generator.', 'generator.net.')
    torch.save(checkpoint, tmp_path / 'foreign.pth')
    runner = make_runner(tmp_path, 'second', load_from=str(tmp_path / 'foreign.pth'), resume=resume)
    with pytest.raises(ConfigError, match="fits 'generator'"):
        runner.train()


def test_an_rg_run_starts_from_dense_weights(tmp_path):
    changes = {'train_cfg.max_iters': 1, 'default_hooks.checkpoint.interval': 1}
    dense = tiny_runner(tmp_path / 'dense', **changes)
    dense.train()
    checkpoint = torch.load(tmp_path / 'dense' / 'iter_1.pth', weights_only=False)
    state = checkpoint['state_dict']
    kept = {name: value for name, value in state.items() if not name.endswith('.threshold')}
    assert len(kept) < len(state)
    torch.save({'state_dict': kept}, tmp_path / 'dense.pth')
    sparse = tiny_runner(tmp_path / 'sparse', load_from=str(tmp_path / 'dense.pth'), **changes)
    sparse.train()
    assert sparse.iter == 1


@pytest.mark.parametrize('resume', [False, True])
@pytest.mark.parametrize('change', ['names of one network', 'all names', 'sizes'])
def test_an_rg_run_refuses_a_foreign_file_though_its_thresholds_may_be_missing(
    tmp_path, change, resume
):
    changes = {'train_cfg.max_iters': 1, 'default_hooks.checkpoint.interval': 1}
    tiny_runner(tmp_path / 'first', **changes).train()
    checkpoint = torch.load(tmp_path / 'first' / 'iter_1.pth', weights_only=False)
    state = {k: v for k, v in checkpoint['state_dict'].items() if not k.endswith('.threshold')}
    checkpoint['state_dict'] = {
        'names of one network': lambda: _renamed(state, 'generator.', 'generator.net.'),
        'all names': lambda: {f'net.{name}': value for name, value in state.items()},
        'sizes': lambda: {
            name: torch.cat([value] * 2) if value.dim() else value for name, value in state.items()
        },
    }[change]()
    torch.save(checkpoint, tmp_path / 'foreign.pth')
    changes = {**changes, 'load_from': str(tmp_path / 'foreign.pth'), 'resume': resume}
    with pytest.raises(ConfigError, match=r'checkpoint: nothing .*fits|resume: '):
        tiny_runner(tmp_path / 'second', **changes).train()
