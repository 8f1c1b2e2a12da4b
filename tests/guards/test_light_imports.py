"""Heavy libraries load only when work needs them (the window's own check is in tests/ui/test_imports.py)."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "ultralytics", "scipy", "matplotlib")


def _loaded_after(statement: str, names: tuple[str, ...]) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*[n for n in {names!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_command_line_parses_without_the_heavy_libraries() -> None:
    assert _loaded_after("import poseviewer.cli.main", (*HEAVY, "PySide6", "av", "cv2")) <= {"av", "cv2"}


def test_the_control_is_able_to_fail() -> None:
    assert _loaded_after("import torch", HEAVY) >= {"torch"}
