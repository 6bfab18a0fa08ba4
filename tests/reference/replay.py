"""Replays recordings of the published training step and compares every number.

    python tests/reference/replay.py FILE.npz [...] [--device cuda] [--json OUT.json]

Prints per file the largest |ours - recorded| / max(1, |recorded|) and exits 1
when one is above 1e-6. Everything is in float64, on a GPU too.
"""

import argparse
import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.optim import Adam

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from networks import Discriminator, Generator  # noqa: E402

from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer  # noqa: E402

TOLERANCE = 1e-6
MODES = {'regularizer': 'published', 'ste': 'ste'}
MIN_KEEP = 0.01


class Player:
    """One network with its optimiser, as the published loop steps it."""

    def __init__(self, network: nn.Module, meta: dict, at_step: bool, device: str) -> None:
        self.network = network.double().to(device)
        self.sparse = SparseNetwork(network, MODES[meta['mode']], meta.get('min_keep', MIN_KEEP))
        self.lam = meta['lam']
        self.at_step = at_step
        options = {'lr': meta['lr'], 'betas': tuple(meta['betas'])}
        own = [p for n, p in network.named_parameters() if not n.endswith('threshold')]
        self.optimizer = Adam(own, **options)
        strength = self.lam if at_step else 0.0
        ThresholdOptimizer(self.sparse, strength, **options).follow(self.optimizer)

    def regularize(self) -> float:
        """Adds the regulariser where the published loop back-propagates it.

        That is with the first batch; the product adds it at the step. The two differ
        only when the collapse guard fires in between.
        """
        if self.sparse.sparse and not self.at_step:
            self.sparse.add_regularizer_gradient(self.lam)
        return self.sparse.regularizer(self.lam).item()


class Replay:
    """Runs the recorded iterations on networks that start in the recorded state."""

    def __init__(self, path: Path, at_step: bool = False, device: str = 'cpu') -> None:
        self.device = device
        with np.load(path, allow_pickle=False) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
        self.meta = json.loads(str(self.arrays['meta']))
        meta = self.meta
        self._check_meta()
        how = meta, at_step, device
        self.generator = Player(Generator(meta['z'], meta['channels'], meta['gblocks']), *how)
        self.discriminator = Player(Discriminator(meta['channels']), *how)
        self.players = {'G': self.generator, 'D': self.discriminator}
        self._load('init')
        self.average = copy.deepcopy(self.generator.network)

    def _check_meta(self) -> None:
        meta = self.meta
        if meta['image_size'] != 4 * 2 ** meta['gblocks']:
            raise ValueError(f'image_size={meta["image_size"]} does not fit gblocks')
        if self.arrays['in/0/real'].shape[0] != meta['batch']:
            raise ValueError(f'batch={meta["batch"]} does not fit the recorded inputs')

    def _load(self, stage: str) -> None:
        for key, player in self.players.items():
            prefix = f'{stage}/{key}/'
            state = {
                name.removeprefix(prefix): torch.from_numpy(array)
                for name, array in self.arrays.items()
                if name.startswith(prefix)
            }
            player.network.load_state_dict(state, strict=True)

    def _input(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name]).to(self.device)

    def errors(self) -> Iterator[tuple[str, float]]:
        """Yields the name and the error of every recorded array, in order."""
        for i, phase in enumerate(self.meta['phases']):
            for player in self.players.values():
                if player.sparse.sparse != (phase == 's'):
                    player.sparse.set_phase(phase == 's')
            losses = self._iteration(i)
            yield f'losses/{i}', _error(np.array(losses), self.arrays['losses'][i])
            yield from self._compare_keep(i)
            yield from self._compare(f'after/{i}')
        yield from self._compare('final')
        yield 'eval/ema_images', _error(self._averaged_images(), self.arrays['eval/ema_images'])

    def _iteration(self, i: int) -> tuple[float, float]:
        loss_d = self._step_discriminator(i)
        loss_g = self._step_generator(i) if i % self.meta['critic'] == 0 else float('nan')
        return loss_d, loss_g

    def _step_discriminator(self, i: int) -> float:
        player = self.discriminator
        player.network.zero_grad()
        loss_real = relu(1 - player.network(self._input(f'in/{i}/real'))).mean()
        loss_real.backward()
        penalty = player.regularize()
        fake = self.generator.network(self._input(f'in/{i}/z_d')).detach()
        loss_fake = relu(1 + player.network(fake)).mean()
        loss_fake.backward()
        player.optimizer.step()
        return loss_real.item() + loss_fake.item() + penalty

    def _step_generator(self, i: int) -> float:
        player = self.generator
        player.network.zero_grad()
        loss = -self.discriminator.network(player.network(self._input(f'in/{i}/z_g'))).mean()
        loss.backward()
        penalty = player.regularize()
        player.optimizer.step()
        self._average()
        return loss.item() + penalty

    @torch.no_grad()
    def _average(self) -> None:
        ours, theirs = self.average.parameters(), self.generator.network.parameters()
        for mean, value in zip(ours, theirs, strict=True):
            mean.lerp_(value, 1 - self.meta['ema'])

    @torch.no_grad()
    def _averaged_images(self) -> np.ndarray:
        live = zip(self.average.buffers(), self.generator.network.buffers(), strict=True)
        for ours, theirs in live:
            ours.copy_(theirs)
        SparseNetwork.of(self.average).set_phase(self.meta['phases'][-1] == 's')
        return self.average.eval()(self._input('eval/z')).cpu().numpy()

    def _compare_keep(self, i: int) -> Iterator[tuple[str, float]]:
        ours = {
            f'{key}/{layer}': ratio
            for key, player in self.players.items()
            for layer, ratio in player.sparse.keep_ratios().items()
        }
        recorded = self.meta['keep'][i]
        if ours.keys() != recorded.keys():
            raise ValueError(f'layers differ: {sorted(ours.keys() ^ recorded.keys())}')
        for name, ratio in recorded.items():
            yield f'keep/{i}/{name}', abs(ours[name] - ratio)

    def _compare(self, stage: str) -> Iterator[tuple[str, float]]:
        for key, player in self.players.items():
            prefix = f'{stage}/{key}/'
            state = player.network.state_dict()
            for name in (n for n in self.arrays if n.startswith(prefix)):
                ours = state[name.removeprefix(prefix)].cpu().numpy()
                yield name, _error(ours, self.arrays[name])


def _error(ours: np.ndarray, recorded: np.ndarray) -> float:
    if ours.shape != recorded.shape or not np.array_equal(np.isnan(ours), np.isnan(recorded)):
        return float('inf')
    difference = np.abs(ours - recorded) / np.maximum(1, np.abs(recorded))
    return float(np.nanmax(difference, initial=0.0))


def replay(path: Path, at_step: bool = False, device: str = 'cpu') -> tuple[float, str]:
    """Replays one recording.

    Args:
        path: The recording.
        at_step: Add the regulariser at the optimiser step, as the hooks do, instead
            of with the first backward, as the published loop does.
        device: Where to compute. Default: 'cpu'.

    Returns:
        The largest error and the name of the array that has it.
    """
    return max((error, name) for name, error in Replay(path, at_step, device).errors())


def main() -> int:
    """Replays the files named on the command line; 0 when all agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('files', nargs='+', type=Path, metavar='FILE.npz')
    parser.add_argument('--device', choices=('cpu', 'cuda', 'auto'), default='cpu')
    parser.add_argument('--json', type=Path, metavar='OUT.json', help='writes the errors there')
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = args.device
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    results = {path: replay(path, device=device) for path in args.files}
    for path, (error, name) in results.items():
        verdict = 'ok' if error <= TOLERANCE else f'above {TOLERANCE:g}'
        sys.stdout.write(f'{path.name}: largest error {error:.2e} at {name} ({verdict})\n')
    if args.json:
        errors = {str(p): {'error': e, 'array': name} for p, (e, name) in results.items()}
        args.json.write_text(json.dumps({'device': device, 'errors': errors}), encoding='utf-8')
    return int(any(not error <= TOLERANCE for error, _ in results.values()))


if __name__ == '__main__':
    sys.exit(main())
