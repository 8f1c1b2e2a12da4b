"""What the command lines of the training modules share: quiet threads, and known errors as one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable

import cv2
import torch

from poseviewer.core.errors import KnownError


def run_command(work: Callable[[], object], threads: int = 1) -> int:
    """Do the work and return the exit status; a known error is told on stderr.

    Args:
        work: takes nothing; what it returns does not matter.
        threads: of torch; OpenCV gets one, because batches are made beside the network.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    try:
        work()
    except KnownError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0
