"""Print which gaps were closed: ``python -m rggan_mm.compat``."""

from rggan_mm.compat import apply


def main() -> None:
    """Print one line per gap."""
    for outcome in apply():
        state = 'closed' if outcome.closed else 'not needed'
        print(f'{outcome.name:20} {state:10}  {outcome.reason}')


if __name__ == '__main__':
    main()
