"""Costs between tracks and detections, and who goes with whom.

Symbols: N tracks, M detections, K joints. Facts: reference/alphapose.md section 12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.ops.munkres import assign

Float = npt.NDArray[np.float64]
BEYOND = 1e-4
"""Pairs above the limit count as this much more than the limit, so that none of them is preferred to another."""
LEAST_JOINTS = 3
"""Fewer joints in common say nothing about who somebody is."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Who goes with whom.

    Attributes:
        pairs: (row, column), by row.
        rows, columns: those that are left, ascending.
    """

    pairs: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]


def limited_assignment(cost: npt.NDArray[np.floating], limit: float) -> Matches:
    """Assign rows to columns at the least total cost, no pair above ``limit``.

    Args:
        cost: ``(N, M)``; infinite where a pair is impossible.
        limit: largest cost of a pair.
    """
    rows, columns = cost.shape
    capped = np.where(cost <= limit, cost, limit + BEYOND).astype(np.float64)
    pairs = tuple((row, column) for row, column in assign(capped) if cost[row, column] <= limit)
    with_row, with_column = {row for row, _ in pairs}, {column for _, column in pairs}
    return Matches(
        pairs,
        tuple(row for row in range(rows) if row not in with_row),
        tuple(column for column in range(columns) if column not in with_column),
    )


def cosine_distances(features: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> Float:
    """1 - cosine of the angle between ``(N, D)`` and ``(M, D)`` features, never below 0; ``(N, M)``."""
    a, b = np.asarray(features, dtype=np.float64), np.asarray(others, dtype=np.float64)
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
    distance: Float = np.maximum(0.0, 1.0 - a @ b.T / np.maximum(lengths, 1e-12))
    return distance


def pixel_iou(boxes: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> Float:
    """Overlap of ``(N, 4)`` and ``(M, 4)`` xyxy boxes with sides of x2 - x1 + 1 pixels; ``(N, M)``."""
    a = np.asarray(boxes, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(others, dtype=np.float64).reshape(1, -1, 4)
    shared = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1, 0, None).prod(axis=2)
    area_a, area_b = (a[..., 2:] - a[..., :2] + 1).prod(axis=2), (b[..., 2:] - b[..., :2] + 1).prod(axis=2)
    ratio: Float = shared / (area_a + area_b - shared)
    return ratio


def pose_likeness(
    keypoints: npt.NDArray[np.floating],
    seen: npt.NDArray[np.bool_],
    areas: npt.NDArray[np.floating],
    others: npt.NDArray[np.floating],
    others_seen: npt.NDArray[np.bool_],
    other_areas: npt.NDArray[np.floating],
    sigmas: npt.NDArray[np.floating],
) -> Float:
    """Object keypoint similarity of poses of two frames, over the joints that are seen in both.

    OKS = mean over those joints of exp(-d^2 / (2 (2 sigma)^2 a)), a the mean of both areas; 0 where fewer than three
    joints are seen in both.

    Args:
        keypoints: ``(N, K, 2)`` pixels; seen: ``(N, K)``; areas: ``(N,)`` square pixels.
        others, others_seen, other_areas: the same of M poses.
        sigmas: ``(K,)``.

    Returns:
        ``(N, M)``.
    """
    a, b = np.asarray(keypoints, dtype=np.float64)[:, None], np.asarray(others, dtype=np.float64)[None]
    area = (np.asarray(areas, dtype=np.float64)[:, None] + np.asarray(other_areas, dtype=np.float64)[None]) / 2
    spread = 2 * (2 * np.asarray(sigmas, dtype=np.float64)) ** 2 * np.maximum(area, 1.0)[..., None]
    near = np.exp(-((a - b) ** 2).sum(axis=-1) / spread)
    counts = seen[:, None] & others_seen[None]
    number = counts.sum(axis=-1)
    likeness: Float = np.where(number >= LEAST_JOINTS, (near * counts).sum(axis=-1) / np.maximum(number, 1), 0.0)
    return likeness
