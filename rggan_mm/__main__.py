"""The command line: ``python -m rggan_mm COMMAND``; a command is imported when it is called."""

import argparse
import sys
from importlib import import_module

from rggan_mm.version import __version__

# By name, which is that of its module in rggan_mm/commands/ with dashes.
COMMANDS = {
    'init': 'a folder of configs to start from',
    'prepare-images': 'a clean folder of PNG files of any folder of images',
    'train': 'train a config',
    'summary': 'sum a run up',
    'report': 'one HTML page of a run, or of several',
    'study': 'run several methods with several seeds, and compare them',
    'test': 'test a checkpoint with the metrics of its config',
    'evaluate': 'FID and more of folders, statistics, configs or checkpoints',
    'generate': 'images of a checkpoint or of an exported file',
    'export': 'a checkpoint as a file that needs no rggan_mm',
    'list-prunable': 'what is pruned in a model, and what is not for which reason',
    'choose-lambda': 'what a lambda does, and which one does what is wanted',
}


def main() -> int:
    """Runs the command that the command line names; its exit status."""
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog='python -m rggan_mm',
        description=f'RG-GAN {__version__}: few images, fewer weights. COMMAND --help says more.',
        epilog='\n'.join(f'  {name:<{width}}  {text}' for name, text in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='one of those below')
    parser.add_argument('rest', nargs=argparse.REMAINDER, metavar='...', help='its arguments')
    args = parser.parse_args()
    sys.argv = [f'{parser.prog} {args.command}', *args.rest]
    return import_module(f'rggan_mm.commands.{args.command.replace("-", "_")}').main()


if __name__ == '__main__':
    sys.exit(main())
