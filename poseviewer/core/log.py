"""The log file: where tracebacks go, so that none reaches the screen."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
from pathlib import Path

from poseviewer.core.resources import state_folder


def log_path() -> Path:
    """Return the path of the log file."""
    return state_folder() / "poseviewer.log"


class _LogFile(logging.handlers.RotatingFileHandler):
    """A log file that stays silent where it cannot be written: a full disk must not put tracebacks on the screen."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the record."""


def start_log(*, level: int = logging.INFO) -> Path:
    """Send the ``poseviewer`` loggers to the rotating log file (1 MB, three kept) and return its path.

    Raises:
        OSError: if it cannot be made; what is logged then goes nowhere, and not to the screen.
    """
    logger = logging.getLogger("poseviewer")
    logger.setLevel(level)
    logger.propagate = False
    for held in list(logger.handlers):
        logger.removeHandler(held)
        with contextlib.suppress(OSError):
            held.close()
    silent = logging.NullHandler()
    logger.addHandler(silent)
    path = log_path()
    handler = _LogFile(path, maxBytes=1_000_000, backupCount=3, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.removeHandler(silent)
    return path
