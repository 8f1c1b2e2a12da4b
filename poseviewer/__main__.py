"""Entry point: a subcommand runs without a window; paths alone open the window."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Run ``poseviewer`` with ``argv`` (``sys.argv[1:]`` by default) and return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    from poseviewer.cli.main import is_command

    if is_command(arguments):
        from poseviewer.cli.main import run_command

        return run_command(arguments)
    from poseviewer.ui.app import run_window

    return run_window(arguments)


if __name__ == "__main__":
    sys.exit(main())
