"""The exceptions that users of this package are meant to see, each one line."""


class ConfigError(ValueError):
    """Bad input: a wrong setting, file or combination, found before training.

    The message is one line that names the field, the value and what would be
    right. ``tools/train.py`` prints it without a traceback.
    """


class DivergedError(RuntimeError):
    """Training has diverged: a loss or a weight is NaN or infinite.

    All processes raise it together.

    Args:
        what: What is not finite, and since when.
        advice: The last good checkpoint and what to try.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f'{what}; {advice}')
        self.what = what
