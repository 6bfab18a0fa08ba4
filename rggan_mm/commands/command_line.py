"""What the commands have in common."""

import errno
import os
import sys
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable

from mmengine.config import DictAction
from mmengine.dist import barrier, is_distributed
from rich.console import Console
from torch.distributed import destroy_process_group

from rggan_mm.errors import ConfigError, DivergedError

WIDE = 10_000  # characters: more than a line of a table has
LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def add_cfg_options(parser: ArgumentParser, example: str) -> None:
    """Adds ``--cfg-options``; None when it is not given.

    Args:
        parser: The command line.
        example: An override, for the help text.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help=f'overrides of config fields, such as {example}; the last word',
    )


def positive(text: str) -> int:
    """The type of arguments that are integers of at least 1."""
    value = int(text)
    if value < 1:
        raise ArgumentTypeError(f'{text} must be an integer of at least 1')
    return value


def output_console() -> Console:
    """A console on the standard output.

    It is as wide as the terminal. Where the output goes into a file or a pipe it has no
    end, so that no table is cut.
    """
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    return console


def parse_with_launcher(parser: ArgumentParser) -> Namespace:
    """Adds what launchers of several processes give, parses, and tells MMEngine the rank."""
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def run(command: Callable[[], object]) -> int:
    """Runs a command.

    Returns:
        The exit status: 0, or 1 with one line on the standard error for bad input, a
        training that diverged or a full disk.
    """
    # MMEngine asks pkg_resources where the package of a PACKAGE:: config is.
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
    try:
        command()
    except ConfigError as error:
        return _fail(error)
    except DivergedError as error:  # in all processes
        _leave_together()
        return _fail(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        return _fail(
            f'{error.filename or "a file"} could not be written: {error.strerror}; make room, '
            'then --resume goes on from the last checkpoint'
        )
    except SystemExit as end:  # in all processes too: PreemptionHook has saved the run
        if end.code:
            raise
    _leave_together()
    return 0


def _fail(error: Exception | str) -> int:
    sys.stderr.write(f'error: {error}\n')
    return 1


def _leave_together() -> None:
    """Ends the process group: gloo's threads abort a process that exits with them."""
    if is_distributed():
        barrier()
        destroy_process_group()
