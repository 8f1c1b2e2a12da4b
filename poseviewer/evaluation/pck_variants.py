"""PCK and its relatives as HRNet and MMPose compute them, where published figures come from.

Symbols: N persons, K joints, (h, w) cells. The figures that PoseViewer itself shows are those of
:mod:`poseviewer.evaluation.pck`. Facts: reference/hrnet_ae_mmpose.md section 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
Variant = Literal["hrnet", "mmpose"]
HEAD_SHARE = 0.6
"""MPII's head size is this share of the head box's diagonal."""
NO_NORM = 1e6
"""MMPose divides by it where a person has no size in one direction."""
MPII_GROUPS = {
    "Head": ("head top",),
    "Shoulder": ("left shoulder", "right shoulder"),
    "Elbow": ("left elbow", "right elbow"),
    "Wrist": ("left wrist", "right wrist"),
    "Hip": ("left hip", "right hip"),
    "Knee": ("left knee", "right knee"),
    "Ankle": ("left ankle", "right ankle"),
}
MPII_LEFT_OUT = ("pelvis", "thorax")
"""Joints that no MPII figure counts."""


class Accuracy(NamedTuple):
    """``joints`` ``(K,)`` float64, -1 where a joint never counts; their mean; and how many joints counted."""

    joints: npt.NDArray[np.float64]
    mean: float
    counted: int


def normalised_distances(found: Array, truth: Array, counts: Mask, norm: Array) -> npt.NDArray[np.float64]:
    """Distances ``(N, K)`` in units of ``norm``; -1 where a joint does not count.

    A person whose norm is 0 in x or y does not count; MMPose replaces a negative one by 1e6.

    Args:
        found, truth: ``(N, K, 2)``; counts: ``(N, K)``; norm: ``(N, 2)``, for x and y.
    """
    used = counts & ~(norm == 0).any(axis=1)[:, None]
    size = np.where(norm <= 0, NO_NORM, norm)[:, None]
    distances = np.linalg.norm((found - truth) / size, axis=2)
    return np.where(used, distances, -1.0)


def keypoint_accuracy(distances: Array, threshold: float) -> Accuracy:
    """Share of the distances ``(N, K)`` of each joint that are below the threshold; -1 ones do not count."""
    counts = distances != -1
    number = counts.sum(axis=0)
    right = ((distances < threshold) & counts).sum(axis=0)
    joints = np.where(number > 0, right / np.maximum(number, 1), -1.0)
    valid = joints[joints >= 0]
    return Accuracy(joints, float(valid.mean()) if len(valid) else 0.0, len(valid))


def pck(found: Array, truth: Array, counts: Mask, norm: Array, threshold: float) -> Accuracy:
    """MMPose's PCK; args as :func:`normalised_distances`, and the threshold in units of the norm."""
    return keypoint_accuracy(normalised_distances(found, truth, counts, norm), threshold)


def area_under_curve(found: Array, truth: Array, counts: Mask, *, norm: float = 30.0, steps: int = 20) -> float:
    """Mean PCK over the thresholds 0, 1/steps, ... below 1, of distances in units of ``norm`` pixels."""
    distances = normalised_distances(found, truth, counts, np.full((len(found), 2), norm))
    return float(np.mean([keypoint_accuracy(distances, step / steps).mean for step in range(steps)]))


def mean_error(found: Array, truth: Array, counts: Mask, norm: Array | None = None) -> float:
    """Mean distance over all joints that count: NME in units of ``norm`` ``(N, 2)``, EPE in pixels without one."""
    size = np.ones((len(found), 2)) if norm is None else norm
    distances = normalised_distances(found, truth, counts, size)
    valid = distances[distances != -1]
    return float(valid.mean()) if len(valid) else 0.0


def box_norm(boxes: Array) -> Array:
    """The longer side of boxes ``(N, 4)`` xyxy, for both directions ``(N, 2)``."""
    return np.repeat((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True), 2, axis=1)


def torso_norm(found: Array, truth: Array, joints: tuple[int, int] = (4, 5)) -> Array:
    """The length between two joints, for both directions ``(N, 2)``; the found one where the true is below a pixel.

    MMPose always takes joints 4 and 5: left shoulder and right hip in JHMDB's order, whatever they are in others.
    """
    first, second = joints
    length, other = (np.linalg.norm(pose[:, first] - pose[:, second], axis=1) for pose in (truth, found))
    return np.repeat(np.where(length < 1, other, length)[:, None], 2, axis=1)


def grouped(values: Array, names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Mean of the joints of each group, by the joints' names."""
    return {group: float(np.mean([values[names.index(name)] for name in members])) for group, members in groups.items()}


@dataclass(frozen=True, slots=True)
class MpiiScore:
    """PCKh of MPII in percent: by group of joints, over all joints, and over all at a threshold of 0.1."""

    groups: dict[str, float]
    mean: float
    at_tenth: float


def head_sizes(head_boxes: Array) -> Array:
    """MPII's head size ``(N,)`` of head boxes ``(N, 4)`` xyxy: 0.6 of the diagonal."""
    return np.asarray(HEAD_SHARE * np.linalg.norm(head_boxes[:, 2:] - head_boxes[:, :2], axis=1))


def mpii_pckh(
    found: Array,
    truth: Array,
    counts: Mask,
    heads: Array,
    names: Sequence[str],
    *,
    threshold: float = 0.5,
    variant: Variant = "hrnet",
) -> MpiiScore:
    """PCKh on MPII.

    Args:
        found, truth: ``(N, K, 2)`` in the same coordinates: MPII's annotations count pixels from 1, so both published
            evaluations add 1 to what was found.
        counts: ``(N, K)``; heads: ``(N,)`` head sizes in pixels; names: K joint names.
        threshold: in head sizes.
        variant: HRNet counts an error equal to the threshold as right, and its figure "at 0.1" is the one at 0.11;
            MMPose asks for less than the threshold and takes 0.1.

    Pelvis and thorax never count. Joints weigh as often as they are labelled.
    """
    error = np.linalg.norm(found - truth, axis=2) / heads[:, None]
    labelled = counts.sum(axis=0)
    kept = np.array([name not in MPII_LEFT_OUT for name in names])
    weights = labelled * kept / max(int((labelled * kept).sum()), 1)
    within = np.less_equal if variant == "hrnet" else np.less

    def share(limit: float) -> npt.NDArray[np.float64]:
        right = (within(error, limit) & counts).sum(axis=0)
        found_share: npt.NDArray[np.float64] = 100.0 * right / np.maximum(labelled, 1)
        return found_share

    tenth = np.arange(0, threshold + 0.01, 0.01)[11 if variant == "hrnet" else 10]
    at = share(threshold)
    return MpiiScore(
        grouped(at, names, MPII_GROUPS), float((at * weights).sum()), float((share(float(tenth)) * weights).sum())
    )


def first_maxima(maps: Array) -> tuple[Array, Array]:
    """First maximum of each map ``(N, K, h, w)``: cells ``(N, K, 2)`` x, y and values ``(N, K)``."""
    flat = maps.reshape(*maps.shape[:2], -1)
    index = flat.argmax(axis=2)
    cells = np.stack((index % maps.shape[3], index // maps.shape[3]), axis=2).astype(np.float32)
    return cells, np.take_along_axis(flat, index[..., None], axis=2)[..., 0]


def heatmap_accuracy(found: Array, truth: Array) -> Accuracy:
    """HRNet's training accuracy: peaks within half of a tenth of the map's size.

    As published, x is divided by a tenth of the *height* and y by a tenth of the width, the threshold is always 0.5,
    and joints whose true peak lies in the first two rows or columns do not count.

    Args:
        found, truth: ``(N, K, h, w)`` heatmaps.
    """
    peaks, wanted = (np.where(value[..., None] > 0, cells, 0.0) for cells, value in map(first_maxima, (found, truth)))
    size = np.array([found.shape[2], found.shape[3]], dtype=np.float64) / 10
    distances = np.linalg.norm((peaks - wanted) / size, axis=2)
    return keypoint_accuracy(np.where((wanted > 1).all(axis=2), distances, -1.0), 0.5)


def pose_accuracy(found: Array, truth: Array, counts: Mask, threshold: float = 0.05) -> Accuracy:
    """MMPose's accuracy of heatmaps ``(N, K, h, w)``: peaks within the threshold times the map's size.

    As published, x is divided by the *height* and y by the width; a map without anything above 0 has its peak at -1.
    """
    peaks, wanted = (np.where(value[..., None] > 0, cells, -1.0) for cells, value in map(first_maxima, (found, truth)))
    norm = np.tile(np.array([[found.shape[2], found.shape[3]]], dtype=np.float64), (len(found), 1))
    return pck(peaks, wanted, counts, norm, threshold)
