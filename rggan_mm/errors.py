"""The exceptions that users of this package are meant to see, each one line."""


class ConfigError(ValueError):
    """Bad input: a wrong setting, file or combination, found before training.

    The message is one line that names the field, the value and what would be
    right. ``tools/train.py`` prints it without a traceback.

    Args:
        message: The line. A DataLoader makes the error of a worker process anew with its
            traceback as text, of which the message is what is kept.
    """

    def __init__(self, message: object = '') -> None:
        text = str(message)
        if 'Original Traceback' in text:
            text = text.strip().splitlines()[-1].partition('ConfigError: ')[2] or text
        super().__init__(text)


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
