"""Point correspondences between two frames by sparse optical flow (pyramidal Lucas-Kanade, there and back).

PoseFlow's reference matches ORB features with an approximate search that differs from run to run; flow of corners is
repeatable, faster between neighbouring frames, and finds points on plain clothes too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from poseviewer.core.values import Pixels
from poseviewer.ops.poseflow import Correspondences

LONG_SIDE = 640
"""Larger pictures are scaled down to this."""
MOST_POINTS = 1500
APART = 4
"""Least distance of two corners in pixels."""
QUALITY = 0.002
WINDOW = (11, 11)
LEVELS = 3
RETURN = 1.0
"""A point that does not come back to within so many pixels was lost."""
LEAST_POINTS = 50
"""With fewer, every pixel is taken to stay where it is."""


def correspondences(before: Pixels, after: Pixels) -> Correspondences:
    """Follow corners of one frame into the next.

    Args:
        before, after: ``(H, W, 3)`` uint8 RGB of one size.
    """
    height, width = before.shape[:2]
    scale = min(1.0, LONG_SIDE / max(height, width))
    found = _follow(_grey(before, scale), _grey(after, scale))
    if found is None:
        return Correspondences.still(width, height)
    return Correspondences(found[0] / scale, found[1] / scale)


def _follow(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    import cv2

    corners = cv2.goodFeaturesToTrack(before, MOST_POINTS, QUALITY, APART)
    if corners is None or len(corners) < LEAST_POINTS:
        return None
    options: dict[str, Any] = {"winSize": WINDOW, "maxLevel": LEVELS}
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None, **options)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **options)
    start, end, home = (np.asarray(points, dtype=np.float64).reshape(-1, 2) for points in (corners, there, back))
    good = (found.reshape(-1) > 0) & (returned.reshape(-1) > 0) & (np.abs(start - home).max(axis=1) < RETURN)
    return (start[good], end[good]) if int(good.sum()) >= LEAST_POINTS else None


def _grey(pixels: Pixels, scale: float) -> npt.NDArray[np.uint8]:
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, dtype=np.uint8)
