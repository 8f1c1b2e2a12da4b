"""Suppression of boxes by overlap, as one-stage networks need it, with the report of who removed whom.

Source: greedy non-maximum suppression as in ultralytics' ``non_max_suppression`` (best score first, a box goes when its
IoU with a kept one exceeds the limit). Symbols: N boxes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import box_iou
from poseviewer.core.values import BELOW_FLOOR, BY_SIMILARITY, KEPT, Suppression

Array = npt.NDArray[np.floating]


def suppress_boxes(boxes: Array, scores: Array, *, limit: float = 1.0, floor: float = 0.0) -> Suppression:
    """Decide who stays.

    Args:
        boxes: ``(N, 4)`` xyxy in any unit (IoU does not depend on it).
        scores: ``(N,)``.
        limit: a box whose IoU with a better kept one exceeds it goes; 1 lets all stay.
        floor: boxes whose score does not exceed it go.

    Returns:
        the report; ``similarity`` is the IoU with ``nearest``: the remover, or for kept ones the earlier kept one with
        the greatest overlap. ``matches`` is 0 throughout. ``kept`` is in order of score.
    """
    count = len(scores)
    outcome = np.full(count, KEPT, dtype=np.int64)
    by, nearest = np.full(count, -1, dtype=np.int64), np.full(count, -1, dtype=np.int64)
    similarity = np.zeros(count, dtype=np.float32)
    low = ~(scores > floor)
    outcome[low] = BELOW_FLOOR
    waiting = [int(i) for i in np.argsort(-scores, kind="stable") if not low[i]]
    left = np.array(waiting, dtype=np.int64)
    kept: list[int] = []
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        overlap = box_iou(boxes[best], boxes[left])[0].astype(np.float32)
        closer = overlap > similarity[left]
        similarity[left[closer]], nearest[left[closer]] = overlap[closer], best
        gone = overlap > limit
        # The remover is the first that exceeded the limit, and its overlap is the figure that decided.
        outcome[left[gone]], by[left[gone]], nearest[left[gone]] = BY_SIMILARITY, best, best
        similarity[left[gone]] = overlap[gone]
        left = left[~gone]
    return Suppression(
        outcome, by, similarity, nearest, np.zeros(count, dtype=np.int64), np.array(kept, dtype=np.int64)
    )
