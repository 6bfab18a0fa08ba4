"""What the commands in tools/ share: reading configs, options, errors as one line."""

import rggan_mm.plugin  # noqa: F401
