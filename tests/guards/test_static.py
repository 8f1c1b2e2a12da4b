"""What the whole tree must keep to: style, types, layers, and nobody's Qt but the window's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check", "."],
        ["-m", "ruff", "format", "--check", "."],
        ["-m", "mypy"],
        ["-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c(['--no-cache']))"],
    ],
    ids=["ruff", "format", "mypy", "layers"],
)
def test_the_tree_is_clean(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_packaging_is_not_a_package() -> None:
    assert not (ROOT / "packaging" / "__init__.py").exists()
