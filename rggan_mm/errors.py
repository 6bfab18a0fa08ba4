"""The one exception that users of this package are meant to see."""


class ConfigError(ValueError):
    """Bad input: a wrong setting, file or combination, found before training.

    The message is one line that names the field, the value and what would be
    right. ``tools/train.py`` prints it without a traceback.
    """
