"""The Kalman filter of boxes that SORT-like trackers use: constant velocity, noise in proportion to the height.

A state is ``(8,)``: centre x, centre y, aspect a = width / height, height h, and their velocities in pixels a frame.
All functions take any number of states at once, N of them, in float64.
Facts: reference/alphapose.md section 12.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Metric = Literal["mahalanobis", "euclidean"]

GATE_2, GATE_4 = 5.9915, 9.4877
"""Squared Mahalanobis distances below which 95 % of true measurements lie, for 2 and 4 degrees of freedom."""
PLACE = 1 / 20
VELOCITY = 1 / 160
"""Standard deviations of places and velocities, as shares of the height."""
ASPECT, ASPECT_VELOCITY, ASPECT_MEASURED = 1e-2, 1e-5, 1e-1
MOTION = np.eye(8) + np.eye(8, k=4)
"""One frame on: every quantity plus its velocity."""


def measurements(boxes: npt.NDArray[np.floating]) -> Float:
    """Centre, aspect and height ``(N, 4)`` of boxes ``(N, 4)`` xyxy pixels; sizes are taken in the boxes' own type."""
    boxes = np.asarray(boxes).reshape(-1, 4)
    (width, height), (left, top) = (boxes[:, 2:] - boxes[:, :2]).T.astype(float), boxes[:, :2].T.astype(float)
    # A box without height has no aspect; no person is that flat.
    height = np.maximum(height, 1e-6)
    return np.stack([left + width / 2, top + height / 2, width / height, height], axis=1)


def state_boxes(means: Float) -> Float:
    """Boxes ``(N, 4)`` xyxy pixels of states ``(N, 8)``."""
    x, y, aspect, height = np.asarray(means).reshape(-1, 8)[:, :4].T
    width = aspect * height
    left, top = x - width / 2, y - height / 2
    return np.stack([left, top, left + width, top + height], axis=1)


def begin(measured: Float) -> tuple[Float, Float]:
    """States of boxes seen for the first time: at rest, and far from sure of it.

    Args:
        measured: ``(N, 4)`` of :func:`measurements`.

    Returns:
        means ``(N, 8)`` and covariances ``(N, 8, 8)``.
    """
    height = measured[:, 3]
    spread = _diagonal(_deviations(height, 2 * PLACE, 10 * VELOCITY))
    return np.concatenate([measured, np.zeros_like(measured)], axis=1), spread


def predict(means: Float, covariances: Float) -> tuple[Float, Float]:
    """States one frame on; shapes as :func:`begin` returns them."""
    moved = MOTION @ covariances @ MOTION.T + _diagonal(_deviations(means[:, 3], PLACE, VELOCITY))
    return means @ MOTION.T, moved


def expected(means: Float, covariances: Float) -> tuple[Float, Float]:
    """What a measurement of each state should be, ``(N, 4)``, and its covariance ``(N, 4, 4)``."""
    place = PLACE * means[:, 3]
    noise = _diagonal(np.stack([place, place, np.full_like(place, ASPECT_MEASURED), place], axis=1))
    return means[:, :4], covariances[:, :4, :4] + noise


def update(means: Float, covariances: Float, measured: Float) -> tuple[Float, Float]:
    """States after each one's measurement ``(N, 4)``."""
    centre, spread = expected(means, covariances)
    # The gain K solves K S = P H^T; S is symmetric.
    gain = np.swapaxes(np.linalg.solve(spread, np.swapaxes(covariances[:, :, :4], 1, 2)), 1, 2)
    after = means + (gain @ (measured - centre)[..., None])[..., 0]
    return after, covariances - gain @ spread @ np.swapaxes(gain, 1, 2)


def gating_distances(
    means: Float,
    covariances: Float,
    measured: Float,
    *,
    places_only: bool = False,
    metric: Metric = "mahalanobis",
) -> Float:
    """Squared distance of every measurement (column) from every state (row).

    Args:
        means, covariances: N states.
        measured: ``(M, 4)``.
        places_only: compare the centres, not aspect and height.
        metric: "mahalanobis", or "euclidean" for plain squared distance.

    Returns:
        ``(N, M)``.
    """
    centre, spread = expected(means, covariances)
    if places_only:
        centre, spread, measured = centre[:, :2], spread[:, :2, :2], measured[:, :2]
    apart = measured[None] - centre[:, None]
    if metric == "euclidean":
        plain: Float = (apart**2).sum(axis=2)
        return plain
    scaled = np.linalg.solve(np.linalg.cholesky(spread), np.swapaxes(apart, 1, 2))
    squared: Float = (scaled**2).sum(axis=1)
    return squared


def _deviations(height: Float, place: float, velocity: float) -> Float:
    """Standard deviations ``(N, 8)`` for heights ``(N,)``; ``place`` and ``velocity`` are shares of the height."""
    at, moving = place * height, velocity * height
    aspect, turning = np.full_like(height, ASPECT), np.full_like(height, ASPECT_VELOCITY)
    return np.stack([at, at, aspect, at, moving, moving, turning, moving], axis=1)


def _diagonal(deviation: Float) -> Float:
    """Covariances ``(N, n, n)`` of independent quantities with the standard deviations ``(N, n)``."""
    squared: Float = deviation[:, :, None] ** 2 * np.eye(deviation.shape[1])
    return squared
