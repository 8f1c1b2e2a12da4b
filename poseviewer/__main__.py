"""Entry point: a command runs without a window; paths alone open the window, where there is a display."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(argv: list[str] | None = None) -> int:
    """Run ``poseviewer`` with ``argv`` (``sys.argv[1:]`` by default) and return the exit status."""
    # OpenMP workers that wait by spinning fight with the window and with each other for the cores; on a busy machine
    # with two cores a run took two to five times as long. It is read when torch loads, so it is set before that.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:] if argv is None else argv
    from poseviewer.cli.main import is_command, run_command

    in_window = wants_demo_window(arguments) and has_display()
    if is_command(arguments) and not in_window:
        return run_command(arguments)
    if not has_display():
        return _without_display(arguments)
    from poseviewer.ui.app import run_window

    return run_window(["--demo"] if in_window else arguments)


def has_display() -> bool:
    """Return whether a window can be shown: some display is named, or the system always has one."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def wants_demo_window(arguments: Sequence[str]) -> bool:
    """Return whether this is the bare ``poseviewer demo``: with any option it makes files instead."""
    return list(arguments) == ["demo"]


def _without_display(arguments: Sequence[str]) -> int:
    """Say that no window can open; without arguments do the main job on the demo instead."""
    from poseviewer.cli.commands import run_headless_demo
    from poseviewer.cli.main import guarded

    say = "There is no display (DISPLAY, WAYLAND_DISPLAY and QT_QPA_PLATFORM are not set), so no window can open"
    if arguments:
        print(f"poseviewer: {say}. Use a command instead, such as: poseviewer predict", *arguments, file=sys.stderr)
        return 1
    print(f"{say}; the demo runs without one.", file=sys.stderr)
    return guarded(run_headless_demo)


if __name__ == "__main__":
    sys.exit(main())
