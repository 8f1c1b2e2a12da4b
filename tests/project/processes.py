"""Running a piece of Python in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def environment() -> dict[str, str]:
    """Return the environment in which the package is found without being installed."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run_python(code: str) -> int:
    """Run ``code`` and return its exit status, negative if a signal ended it."""
    return subprocess.run([sys.executable, "-c", code], env=environment(), check=False, timeout=120).returncode
