"""Trains a config.

python tools/train.py configs/rg_sngan_digits_10pct.py
python tools/train.py CONFIG --resume            # from the newest checkpoint
python tools/train.py CONFIG --resume FILE.pth
python tools/train.py CONFIG --data_ratio 0.2 --diffaug    # options of the published scripts
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.runner import Runner

from rggan_mm.command_line import add_cfg_options, parse_with_launcher, run
from rggan_mm.errors import ConfigError
from rggan_mm.inspection.configs import merge_changes, read_config
from rggan_mm.published_options import add_options, apply_options, counts_anew
from rggan_mm.schedule import train_schedule


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
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    add_cfg_options(parser, 'train_cfg.max_iters=2000')
    add_options(parser)
    return parse_with_launcher(parser)


def load_config(args: argparse.Namespace) -> Config:
    """Builds the config that the command line asks for."""
    config = read_config(str(args.config))
    config.launcher = args.launcher
    apply_options(config, vars(args))
    merge_options(config, args.cfg_options or {})
    if args.work_dir:
        config.work_dir = args.work_dir
    config.setdefault('work_dir', str(Path('work_dirs') / args.config.stem))
    if args.amp:
        if get_device() == 'cpu':
            raise ConfigError('--amp: mixed precision needs a GPU, this machine has none')
        use_mixed_precision(config.optim_wrapper)
    if args.resume is not None:
        config.resume = True
        config.load_from = None if args.resume == 'auto' else args.resume
    return config


def merge_options(config: Config, changes: dict) -> None:
    """Applies ``--cfg-options``, which have the last word."""
    merge_changes(config, changes)
    if counts_anew(changes):
        config.train_cfg.update(train_schedule(config))
        config.merge_from_dict(changes)


def use_mixed_precision(optim_wrapper: ConfigDict) -> None:
    """Gives every optimiser of a config automatic mixed precision.

    An entry need not name a type; one that is mixed already keeps its loss scale.
    """
    several = [value for value in optim_wrapper.values() if isinstance(value, dict)]
    for wrapper in [v for v in several if 'optimizer' in v] or [optim_wrapper]:
        kind = wrapper.get('type', 'OptimWrapper')
        if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise ConfigError(
                f'--amp: an optimizer is wrapped in {kind}, which --amp cannot change; '
                "take OptimWrapper, or set the wrapper's own precision and leave --amp out"
            )
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')


def train() -> None:
    """Trains; a folder of images that is not there is bad input."""
    try:
        Runner.from_cfg(load_config(parse_args())).train()
    except FileNotFoundError as error:
        if error.filename is None:
            raise
        raise ConfigError(f'there is no {error.filename}; --dataroot names the images') from error


def main() -> int:
    """Trains; 1 with one line when the input is bad."""
    return run(train)


if __name__ == '__main__':
    sys.exit(main())
