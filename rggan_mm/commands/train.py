"""Trains a config.

python -m rggan_mm train configs/rg_sngan_digits_35.py
python -m rggan_mm train CONFIG --resume            # from the newest checkpoint
python -m rggan_mm train CONFIG --resume FILE.pth
python -m rggan_mm train CONFIG --dense             # its dense twin, in work_dirs/CONFIG_dense
python -m rggan_mm train CONFIG --data_ratio 0.2 --diffaug    # options of the published scripts
"""

import argparse
from pathlib import Path

from mmengine.config import Config

from rggan_mm.commands.command_line import add_cfg_options, parse_with_launcher, run
from rggan_mm.commands.configs import merge_changes, read_config
from rggan_mm.commands.published_options import (
    add_options,
    apply_options,
    count_anew,
    refuse_out_of_reach,
)
from rggan_mm.commands.running import train_checked
from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import hooks_of, without_pruning
from rggan_mm.training.checkpoint_reading import TRUST_HELP, trusted_checkpoints
from rggan_mm.training.mixed_precision import DTYPES, use_mixed_precision


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument('--work-dir', help='where logs, samples and checkpoints go')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='FILE',
        help='go on from a checkpoint; without FILE from the newest in the work dir',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=['auto', *DTYPES],
        metavar='PRECISION',
        help='automatic mixed precision, bf16 or fp16; without PRECISION fp16 on a GPU, else bf16',
    )
    parser.add_argument(
        '--held-out',
        type=float,
        metavar='SHARE',
        help="share of a folder of images that only the evaluation sees; default: the config's",
    )
    parser.add_argument(
        '--keep-ratio',
        type=float,
        metavar='SHARE',
        help='share of the weights that RG-GAN is to keep, in place of its lambda',
    )
    parser.add_argument(
        '--dense', action='store_true', help='the dense twin: without hooks that prune'
    )
    parser.add_argument('--trust-checkpoint', action='store_true', help=TRUST_HELP)
    add_cfg_options(parser, 'train_cfg.max_iters=2000')
    add_options(parser)
    return parse_with_launcher(parser)


def dense_twin(config: Config) -> Config:
    """A config without its hooks that prune; refuses one that has none."""
    twin = without_pruning(config)
    if len(hooks_of(twin)) == len(hooks_of(config)):
        raise ConfigError(f'--dense: {config.filename} prunes nothing; leave --dense out')
    return twin


def load_config(args: argparse.Namespace) -> Config:
    """Builds the config that the command line asks for."""
    config = read_config(str(args.config))
    if args.dense:
        config = dense_twin(config)
    config.launcher = args.launcher
    apply_options(config, vars(args))
    changes = args.cfg_options or {}
    merge_changes(config, changes)
    count_anew(config, changes)
    refuse_out_of_reach(config, changes)
    if args.work_dir:
        config.work_dir = args.work_dir
    name = args.config.stem + ('_dense' if args.dense else '')
    config.setdefault('work_dir', str(Path('work_dirs') / name))
    if args.amp:
        use_mixed_precision(config, None if args.amp == 'auto' else args.amp)
    if args.resume is not None:
        config.resume = True
        config.load_from = None if args.resume == 'auto' else args.resume
    return config


def train() -> None:
    """Trains."""
    args = parse_args()
    with trusted_checkpoints(args.trust_checkpoint):
        train_checked(load_config(args))


def main() -> int:
    """Trains; 1 with one line when the input is bad."""
    return run(train)
