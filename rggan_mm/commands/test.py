"""Tests a checkpoint with the metrics of its config.

python -m rggan_mm test CONFIG work_dirs/rg_sngan_digits_35/iter_7200.pth
"""

import argparse
from pathlib import Path

from mmengine.config import Config

from rggan_mm.commands.command_line import add_cfg_options, parse_with_launcher, run
from rggan_mm.commands.config_errors import errors_of_config
from rggan_mm.commands.configs import read_config
from rggan_mm.training import SafeRunner
from rggan_mm.training.checkpoint_reading import TRUST_HELP, trusted_checkpoints


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='where the log goes')
    parser.add_argument('--trust-checkpoint', action='store_true', help=TRUST_HELP)
    add_cfg_options(parser, 'test_evaluator.metrics.0.fake_nums=5000')
    return parse_with_launcher(parser)


def load_config(args: argparse.Namespace) -> Config:
    """Builds the config that the command line asks for."""
    config = read_config(args.config, args.cfg_options)
    config.launcher = args.launcher
    config.load_from, config.resume = args.checkpoint, False
    config.work_dir = args.work_dir or str(Path('work_dirs') / f'{Path(args.config).stem}_test')
    return config


def test() -> None:
    """Tests."""
    args = parse_args()
    with trusted_checkpoints(args.trust_checkpoint):
        config = load_config(args)
        with errors_of_config(config):
            SafeRunner.from_cfg(config).test()


def main() -> int:
    """Tests; 1 with one line when the input is bad."""
    return run(test)
