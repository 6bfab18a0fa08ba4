"""The thresholds' own optimiser, driven by the network's."""

import math

import pytest
import torch
from torch import nn
from torch.optim import Adam

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer

LAM = 1e-3
SETTINGS = {'lr': 0.01, 'betas': (0.0, 0.9), 'eps': 1e-8}


def setup(mode='published', lam=LAM, scale=None):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    main = Adam(network.parameters(), **SETTINGS)
    sparse = SparseNetwork(network, mode)
    own = ThresholdOptimizer(sparse, lam, **SETTINGS)
    own.follow(main, scale)
    return network, sparse, main, own


def step(network, main, seed=0, scale=1.0):
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(seed))
    (network(x).square().sum() * scale).backward()
    main.step()
    main.zero_grad()


def thresholds_of(sparse):
    return torch.cat([t.detach().flatten() for t in sparse.thresholds.values()])


def test_first_step_is_lr_times_lam_over_lam_plus_eps():
    for lam in (1e-13, 1e-9, 1.0):
        network, sparse, main, _ = setup(lam=lam)
        step(network, main)
        expected = SETTINGS['lr'] * lam / (lam + SETTINGS['eps'])
        assert thresholds_of(sparse).mean().item() == pytest.approx(expected, rel=1e-3)


def test_one_optimiser_for_both_does_the_same():
    network, _, main, _ = setup('ste')
    for i in range(5):
        step(network, main, i)
    joint, joint_sparse, _, _ = setup('ste')
    both = Adam(joint.parameters(), **SETTINGS)
    for i in range(5):
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(i))
        loss = joint(x).square().sum()
        loss = loss + LAM * sum(torch.exp(-t).sum() for t in joint_sparse.thresholds.values())
        both.zero_grad()
        loss.backward()
        both.step()
    for ours, theirs in zip(network.parameters(), joint.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_dense_phase_leaves_thresholds_alone():
    network, sparse, main, own = setup('ste')
    step(network, main)
    before = thresholds_of(sparse)
    state = own.state_dict()['state'][0]['step'].item()
    sparse.set_phase(False)
    step(network, main, 1)
    assert torch.equal(thresholds_of(sparse), before)
    assert own.state_dict()['state'][0]['step'].item() == state


def test_accumulated_backwards_make_one_step_and_one_regulariser():
    network, sparse, main, own = setup()
    network(torch.randn(5, 4)).sum().backward()
    network(torch.randn(5, 4)).sum().backward()
    assert all(t.grad is None for t in sparse.thresholds.values())
    main.step()
    assert own.state_dict()['state'][0]['step'].item() == 1


def test_skipped_step_moves_nothing_and_leaves_nothing_behind():
    """A GradScaler that finds inf does not step; MMEngine then zeroes gradients."""
    network, sparse, main, _ = setup('ste')
    (network(torch.randn(5, 4)).sum() * math.inf).backward()
    main.zero_grad()
    assert (thresholds_of(sparse) == 0).all()
    step(network, main)
    assert torch.isfinite(thresholds_of(sparse)).all()


def test_loss_scale_is_taken_out_of_task_gradients():
    plain, scaled = setup('ste'), setup('ste', scale=lambda: torch.tensor(1024.0))
    gradients = []
    for (network, sparse, main, own), scale in ((plain, 1.0), (scaled, 1024.0)):
        own.adam.register_step_pre_hook(
            lambda *_, s=sparse: gradients.append(
                torch.cat([t.grad for t in s.thresholds.values()])
            )
        )
        step(network, main, scale=scale)
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-5)


def test_state_comes_back_but_settings_stay():
    network, sparse, main, own = setup()
    step(network, main)
    other = ThresholdOptimizer(sparse, LAM, lr=0.5)
    other.load_state_dict(own.state_dict())
    assert other.adam.param_groups[0]['lr'] == 0.5
    assert other.state_dict()['state'][0]['step'].item() == 1


def test_unfollow_leaves_the_optimiser_as_it_was():
    network, sparse, main, own = setup()
    own.unfollow()
    step(network, main)
    assert (thresholds_of(sparse) == 0).all()
    assert main.zero_grad.__func__ is Adam.zero_grad
    assert not main._optimizer_step_pre_hooks
    assert not main._optimizer_step_post_hooks


@pytest.mark.parametrize('lam', [-1e-9, math.nan, math.inf, '1e-9', None, True])
def test_bad_lambda_is_refused(lam):
    with pytest.raises(ConfigError, match='lam='):
        setup(lam=lam)


@pytest.mark.skipif(not hasattr(torch.amp, 'GradScaler'), reason='CPU GradScaler: torch >= 2.3')
@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_real_grad_scaler_gives_the_steps_of_full_precision(mode):
    """Also after a step that the scaler skipped because of an infinite gradient."""
    results = []
    for scaled in (False, True):
        scaler = torch.amp.GradScaler('cpu', init_scale=1024.0, enabled=scaled)
        network, sparse, main, _ = setup(mode, scale=lambda s=scaler: getattr(s, '_scale', None))
        for i in range(4):
            x = torch.randn(5, 4, generator=torch.Generator().manual_seed(i))
            if scaled and i == 2:
                scaler.scale(network(x * math.inf).square().sum()).backward()
                scaler.step(main)
                scaler.update(1024.0)
                main.zero_grad()
            scaler.scale(network(x).square().sum()).backward()
            scaler.step(main)
            scaler.update()
            main.zero_grad()
        results.append((thresholds_of(sparse), network[0].weight.detach()))
    for plain, with_scaler in zip(*results, strict=True):
        assert torch.isfinite(with_scaler).all()
        assert torch.allclose(plain, with_scaler, atol=1e-6)


def test_fused_optimiser_with_a_loss_scale_is_refused():
    network, _, _, own = setup()
    fused = Adam(list(network.parameters())[:1])
    # As Adam(..., fused=True) leaves it; PyTorch 2.1 has that on a GPU only.
    fused.param_groups[0]['fused'] = True
    with pytest.raises(ConfigError, match='fused=True does not go with loss scaling'):
        own.follow(fused, scale=lambda: torch.tensor(2.0))
    own.follow(fused)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_thresholds_are_refused(dtype):
    network = nn.Linear(4, 8).to(dtype)
    with pytest.raises(ConfigError, match='keep the weights in float32'):
        ThresholdOptimizer(SparseNetwork(network), LAM)


@pytest.mark.parametrize('skipped', [False, True])
def test_gradient_sent_into_a_sibling_is_dropped_also_when_the_step_is_skipped(skipped):
    network, _, main, own = setup('ste')
    sibling = SparseNetwork(nn.Linear(2, 3), 'ste')
    own.unfollow()
    own.follow(main, siblings=[own.network, sibling])
    sibling.network(network(torch.randn(5, 4))).square().sum().backward()
    assert all(t.grad is not None for t in sibling.thresholds.values())
    if not skipped:
        main.step()
    main.zero_grad()
    assert all(t.grad is None for t in sibling.thresholds.values())


def test_task_gradients_are_averaged_once_per_step_before_the_regulariser():
    network, sparse, main, own = setup('ste')
    own.unfollow()
    seen = []
    own.follow(main, average=lambda gradients: seen.append([g.clone() for g in gradients]))
    x = torch.randn(5, 4)
    network(x).square().sum().backward()
    task = [t.grad.clone() for t in sparse.thresholds.values()]
    main.step()
    (averaged,) = seen
    assert all(torch.equal(a, b) for a, b in zip(averaged, task, strict=True))


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_an_optimiser_per_part_moves_the_thresholds_of_its_own_part_only(mode):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    parts = [Adam(network[i].parameters(), **SETTINGS) for i in (0, 2)]
    sparse = SparseNetwork(network, mode)
    own = ThresholdOptimizer(sparse, LAM, **SETTINGS)
    for part in parts:
        own.follow(part)
    first, second = sparse.thresholds.values()
    network(torch.randn(5, 4)).square().sum().backward()
    waiting = None if second.grad is None else second.grad.clone()
    raw = network[2].weight.grad.clone()
    parts[0].step()
    assert (first != 0).all()
    assert (second == 0).all()
    assert torch.equal(network[2].weight.grad, raw)
    if waiting is not None:  # the task gradient that its own optimiser will use
        assert torch.equal(second.grad, waiting)
    parts[1].step()
    assert (second != 0).all()
    assert all(t.grad is None for t in sparse.thresholds.values())


def test_parts_stepped_in_turn_do_what_one_optimiser_does():
    results = []
    for apart in (False, True):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        groups = (
            [network[0].parameters(), network[2].parameters()] if apart else [network.parameters()]
        )
        optimizers = [Adam(group, **SETTINGS) for group in groups]
        sparse = SparseNetwork(network, 'ste')
        own = ThresholdOptimizer(sparse, LAM, **SETTINGS)
        for optimizer in optimizers:
            own.follow(optimizer)
        for i in range(4):
            x = torch.randn(5, 4, generator=torch.Generator().manual_seed(i))
            network(x).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
            for optimizer in optimizers:
                optimizer.zero_grad()
        results.append([p.detach().clone() for p in network.parameters()])
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


def test_thresholds_are_taken_out_of_an_optimiser_that_holds_them():
    network = nn.Linear(4, 8)
    own = ThresholdOptimizer(SparseNetwork(network), LAM, **SETTINGS)
    main = Adam(network.parameters(), **SETTINGS)
    assert own.follow(main) is own
    assert main.param_groups[0]['params'] == [network.weight, network.bias]


@pytest.mark.parametrize('mode', ['published', 'ste'])
@pytest.mark.parametrize('keyword', [False, True])
def test_gradients_made_in_a_closure_count_as_those_made_before(mode, keyword):
    results = []
    for closed in (False, True):
        network, sparse, main, _ = setup(mode)
        for i in range(3):
            x = torch.randn(5, 4, generator=torch.Generator().manual_seed(i))

            def compute(x=x, network=network, main=main):
                main.zero_grad()
                loss = network(x).square().sum()
                loss.backward()
                return loss

            if not closed:
                compute()
                main.step()
            elif keyword:
                main.step(closure=compute)
            else:
                main.step(compute)
        results.append([*(p.detach() for p in network.parameters()), thresholds_of(sparse)])
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def test_detach_leaves_network_and_optimiser_as_they_were():
    network, sparse, main, own = setup()
    step(network, main)
    sparse.detach()
    assert 'zero_grad' not in vars(main)
    assert not main._optimizer_step_pre_hooks
    step(network, main, 1)
    assert [name for name, _ in network.named_parameters()] == [
        '0.weight', '0.bias', '2.weight', '2.bias'
    ]  # fmt: skip
    assert own.network is sparse


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_one_optimiser_of_two_networks_moves_the_thresholds_of_both(mode):
    torch.manual_seed(0)
    networks = [nn.Linear(4, 8), nn.Linear(8, 2)]
    main = Adam([p for network in networks for p in network.parameters()], **SETTINGS)
    sparse = [SparseNetwork(network, mode) for network in networks]
    for network in sparse:
        ThresholdOptimizer(network, LAM, **SETTINGS).follow(main, siblings=sparse)
    step(nn.Sequential(*networks), main)
    for network in sparse:
        assert (thresholds_of(network) != 0).all()
        assert all(t.grad is None for t in network.thresholds.values())


OPTIMIZERS = {
    'Adam, published': lambda p: Adam(p, lr=2e-3, betas=(0.0, 0.9)),
    'Adam, beta1 0.5': lambda p: Adam(p, lr=2e-3, betas=(0.5, 0.999)),
    'Adam, weight decay': lambda p: Adam(p, lr=2e-3, betas=(0.0, 0.9), weight_decay=1e-2),
    'AdamW': lambda p: torch.optim.AdamW(p, lr=2e-3, betas=(0.0, 0.9), weight_decay=0.1),
    'SGD, momentum': lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9),
    'NAdam': lambda p: torch.optim.NAdam(p, lr=2e-3),
    'RMSprop': lambda p: torch.optim.RMSprop(p, lr=1e-3),
}


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_a_pruned_weight_comes_back_with_the_value_it_had(name):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    main = OPTIMIZERS[name](network.parameters())
    sparse = SparseNetwork(network)
    ThresholdOptimizer(sparse, LAM, lr=5e-3).follow(main)
    weight, before, returned = network[0].weight, None, 0
    for i in range(30):
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(i))
        (network(x) - 1).square().sum().backward()
        pruned = ~sparse.layers['0'].mask
        before = weight.detach().clone()
        main.step()
        main.zero_grad()
        assert torch.equal(weight[pruned], before[pruned])
        assert not torch.equal(weight[~pruned], before[~pruned])
        returned += int(pruned.sum())
    assert returned > 30
    sparse.set_phase(False)
    step(network, main, 99)  # every weight is trained again
    assert (weight != before)[pruned].any()


@pytest.mark.parametrize('how', ['requires_grad', 'lr', 'lr of a scheduler'])
def test_thresholds_of_a_layer_that_is_frozen_during_the_run_stand_still(how):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    main = Adam([{'params': layer.parameters()} for layer in (network[0], network[2])], **SETTINGS)
    sparse = SparseNetwork(network)
    ThresholdOptimizer(sparse, LAM, **SETTINGS).follow(main)
    step(network, main)
    before = {name: t.detach().clone() for name, t in sparse.thresholds.items()}
    if how == 'requires_grad':
        network[0].requires_grad_(False)
    else:
        main.param_groups[0]['lr'] = 0.0
    if how == 'lr of a scheduler':
        main.param_groups[0]['initial_lr'] = 0.1  # it warms up
    step(network, main, 1)
    stands = torch.equal(sparse.thresholds['0'], before['0'])
    assert stands == (how != 'lr of a scheduler')
    assert (sparse.thresholds['2'] > before['2']).all()
