"""Affine maps, boxes and OKS on numpy arrays.

Symbols: N persons, K joints. Coordinates are displayed pixels; the centre of the top-left pixel is (0, 0).
An affine map is a ``(2, 3)`` float64 matrix A with ``y = A[:, :2] @ x + A[:, 2]``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating]
IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def transform(matrix: Float, points: Float) -> npt.NDArray[np.float64]:
    """Apply an affine map to ``(..., 2)`` points."""
    points = np.asarray(points, dtype=np.float64)
    matrix = np.asarray(matrix, dtype=np.float64)
    mapped: npt.NDArray[np.float64] = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped


def compose(outer: Float, inner: Float) -> npt.NDArray[np.float64]:
    """Return the map that applies ``inner`` first and ``outer`` after it."""
    outer = np.asarray(outer, dtype=np.float64)
    inner = np.asarray(inner, dtype=np.float64)
    linear = outer[:, :2] @ inner[:, :2]
    shift = outer[:, :2] @ inner[:, 2] + outer[:, 2]
    return np.concatenate([linear, shift[:, None]], axis=1)


def invert(matrix: Float) -> npt.NDArray[np.float64]:
    """Return the inverse map.

    Raises:
        numpy.linalg.LinAlgError: if the map is singular.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, (-linear @ matrix[:, 2])[:, None]], axis=1)


def keypoints_box(keypoints: Float, present: npt.NDArray[np.bool_], margin: float = 0.1) -> Float:
    """Return the box ``(4,)`` xyxy around the present keypoints, enlarged by ``margin`` of its longer side.

    Returns zeros if no keypoint is present.
    """
    points = np.asarray(keypoints, dtype=np.float64)[np.asarray(present, dtype=bool)]
    if not len(points):
        return np.zeros(4)
    low, high = points.min(axis=0), points.max(axis=0)
    pad = margin * max(float((high - low).max()), 1.0)
    return np.concatenate([low - pad, high + pad])


def box_iou(boxes_a: Float, boxes_b: Float) -> npt.NDArray[np.float64]:
    """Return the ``(A, B)`` intersection over union of ``(A, 4)`` and ``(B, 4)`` xyxy boxes."""
    a = np.asarray(boxes_a, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(boxes_b, dtype=np.float64).reshape(1, -1, 4)
    overlap = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = overlap.prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - shared
    ratio: npt.NDArray[np.float64] = shared / np.maximum(union, 1e-12)
    return ratio


def oks(
    truth: Float, present: npt.NDArray[np.bool_], others: Float, area: float, sigmas: Float
) -> npt.NDArray[np.float64]:
    """Return the object keypoint similarity of ``(N, K, 2)`` poses to one ``(K, 2)`` pose.

    OKS = mean over the present joints of exp(-d^2 / (2 area (2 sigma)^2)), as the COCO evaluation has it.

    Args:
        truth: ``(K, 2)`` pixels.
        present: ``(K,)`` which joints of ``truth`` count.
        others: ``(N, K, 2)`` pixels.
        area: of the person in square pixels.
        sigmas: ``(K,)``.

    Returns:
        ``(N,)``; zeros if no joint counts.
    """
    others = np.asarray(others, dtype=np.float64).reshape(-1, len(sigmas), 2)
    present = np.asarray(present, dtype=bool)
    if not present.any():
        return np.zeros(len(others))
    squared = ((others - np.asarray(truth, dtype=np.float64)) ** 2).sum(axis=-1)
    variance = (2 * np.asarray(sigmas, dtype=np.float64)) ** 2
    exponent = squared / (2 * (area + np.spacing(1)) * variance)
    similarity: npt.NDArray[np.float64] = np.exp(-exponent)[:, present].mean(axis=1)
    return similarity
