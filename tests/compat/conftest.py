"""What several compat tests share."""

import subprocess
import sys
from collections.abc import Callable

import pytest


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess]:
    """Run code in a fresh interpreter, where compat has not been applied."""

    def run(code: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True, timeout=120
        )

    return run
