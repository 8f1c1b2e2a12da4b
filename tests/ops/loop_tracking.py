"""PoseFlow's overlaps and the Kalman filter written plainly, one person, joint and point at a time."""

from __future__ import annotations

import numpy as np

from poseviewer.ops import kalman
from poseviewer.ops.poseflow import Correspondences, PoseFlowConfig


def loop_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two boxes left, right, top, bottom."""
    left, right, top, bottom = max(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), min(a[3], b[3])
    if left >= right or top >= bottom:
        return 0.0
    shared = (right - left + 1) * (bottom - top + 1)
    areas = [(box[1] - box[0] + 1) * (box[3] - box[2] + 1) for box in (a, b)]
    return shared / (sum(areas) - shared + 1e-5)


def loop_shared(a: np.ndarray, b: np.ndarray, points: Correspondences) -> float:
    """Share of correspondences between two boxes."""
    both = either = 0
    for (x1, y1), (x2, y2) in zip(points.before, points.after, strict=True):
        starts = a[0] <= x1 <= a[1] and a[2] <= y1 <= a[3]
        ends = b[0] <= x2 <= b[1] and b[2] <= y2 <= b[3]
        both += starts and ends
        either += starts or ends
    return both / (either + 1e-5)


def loop_poses(poses: np.ndarray, others: np.ndarray, points: Correspondences | None, config: PoseFlowConfig):
    """Both pose overlaps of all pairs: by area, or by correspondences where ``points`` are given."""
    table = np.zeros((len(poses), len(others)))
    for row, pose in enumerate(poses):
        for column, other in enumerate(others):
            found = []
            for (x1, y1), (x2, y2) in zip(pose, other, strict=True):
                reach = config.reach
                a = np.array([x1 - reach, x1 + reach, y1 - reach, y1 + reach])
                b = np.array([x2 - reach, x2 + reach, y2 - reach, y2 + reach])
                found.append(loop_overlap(a, b) if points is None else loop_shared(a, b, points))
            table[row, column] = np.mean(sorted(found)[-config.joints :])
    return table


def loop_kalman(means: np.ndarray, spreads: np.ndarray, measured: np.ndarray):
    """Predict and update N states one by one, with the textbook's inverse."""
    states, covariances = [], []
    for mean, spread, seen in zip(means, spreads, measured, strict=True):
        place, speed = kalman.PLACE * mean[3], kalman.VELOCITY * mean[3]
        noise = np.diag(np.square([place, place, 1e-2, place, speed, speed, 1e-5, speed]))
        mean, spread = kalman.MOTION @ mean, kalman.MOTION @ spread @ kalman.MOTION.T + noise
        look = np.eye(4, 8)
        place = kalman.PLACE * mean[3]
        gap = look @ spread @ look.T + np.diag(np.square([place, place, 1e-1, place]))
        gain = spread @ look.T @ np.linalg.inv(gap)
        states.append(mean + gain @ (seen - look @ mean))
        covariances.append(spread - gain @ gap @ gain.T)
    return np.array(states), np.array(covariances)
