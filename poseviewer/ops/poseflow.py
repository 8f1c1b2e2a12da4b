"""PoseFlow: persons of a frame get the numbers of the persons before whom they resemble most.

How alike two persons are is a weighted sum of four overlaps: of their boxes and of squares around their joints, once
as areas and once as shares of common point correspondences between the two pictures.
Facts: reference/alphapose.md section 11. Boxes are (left, right, top, bottom) here, as there.

Symbols: N persons before, M persons now, K joints, C correspondences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.ops.munkres import assign

Float = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EPSILON = 1e-5


class PoseFlowConfig(msgspec.Struct, frozen=True):
    """The constants of PoseFlow.

    Attributes:
        link: so many frames back a person is remembered.
        joints: so many of the most similar joints count.
        reach: half the side of the square around a joint, pixels.
        least: a person goes on as another one only if they are more alike than this.
        weights: of correspondence box overlap, box overlap, correspondence pose overlap and pose overlap, for persons
            of the frame just before.
        far_weights: the same for persons last seen earlier, for whom there are no correspondences.
    """

    link: int = 100
    joints: int = 7
    reach: float = 30.0
    least: float = 0.2
    weights: tuple[float, float, float, float] = (1.0, 2.0, 1.0, 2.0)
    far_weights: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Correspondences:
    """Which point of the picture before is which point now.

    Attributes:
        before, after: ``(C, 2)`` pixels.
        size_wh: not None for "nothing moved": every pixel of a picture of that size corresponds to itself, and
            ``before`` and ``after`` are empty.
    """

    before: Float
    after: Float
    size_wh: tuple[int, int] | None = None

    @staticmethod
    def still(width: int, height: int) -> Correspondences:
        """Every pixel to itself: what the reference uses where too few points could be matched."""
        nothing = np.zeros((0, 2))
        return Correspondences(nothing, nothing, (width, height))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A person of an earlier frame.

    Attributes:
        number: of the track.
        keypoints: ``(K, 2)``.
        box: ``(4,)`` left, right, top, bottom.
    """

    number: int
    keypoints: Float
    box: Ints


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What is remembered: the persons of the last frames, newest frame last, and the highest number so far."""

    frames: tuple[tuple[Seen, ...], ...] = ()
    highest: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Linked:
    """Who is who in a frame.

    Attributes:
        numbers: ``(M,)`` of the tracks.
        grades: ``(M,)`` how alike each person is to the one that the assignment offered, also where that was too little
            to continue it; 0 where nobody was offered.
        boxes: ``(M, 4)`` left, right, top, bottom.
    """

    numbers: Ints
    grades: Float
    boxes: Ints


def person_boxes(keypoints: npt.NDArray[np.floating], size_wh: tuple[int, int]) -> Ints:
    """Boxes around all joints, a tenth of their size larger on every side, cut to the picture and to whole pixels.

    Args:
        keypoints: ``(M, K, 2)``; size_wh: of the picture.

    Returns:
        ``(M, 4)`` left, right, top, bottom.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    low, high = points.min(axis=1), points.max(axis=1)
    margin = 0.1 * (high - low)
    low = np.clip(low - margin, 0, size_wh)
    high = np.clip(high + margin, 0, size_wh)
    return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1).astype(np.int64)


def box_overlaps(boxes: npt.NDArray[np.number], others: npt.NDArray[np.number]) -> Float:
    """Overlap of boxes (left, right, top, bottom) with sides of one pixel more than the difference.

    Args:
        boxes, others: ``(..., 4)`` of shapes that go together.

    Returns:
        ``(...)``; 0 where they do not truly overlap.
    """
    a, b = np.asarray(boxes, dtype=np.float64), np.asarray(others, dtype=np.float64)
    left, right = np.maximum(a[..., 0], b[..., 0]), np.minimum(a[..., 1], b[..., 1])
    top, bottom = np.maximum(a[..., 2], b[..., 2]), np.minimum(a[..., 3], b[..., 3])
    shared = (right - left + 1) * (bottom - top + 1)
    union = _area(a) + _area(b) - shared + EPSILON
    ratio: Float = np.where((left < right) & (top < bottom), shared / union, 0.0)
    return ratio


def joint_boxes(keypoints: npt.NDArray[np.floating], reach: float) -> Float:
    """The squares ``(..., 4)`` (left, right, top, bottom) around joints ``(..., 2)``."""
    x, y = np.asarray(keypoints, dtype=np.float64)[..., 0], np.asarray(keypoints, dtype=np.float64)[..., 1]
    return np.stack([x - reach, x + reach, y - reach, y + reach], axis=-1)


def pose_overlaps(
    keypoints: npt.NDArray[np.floating], others: npt.NDArray[np.floating], config: PoseFlowConfig
) -> Float:
    """Mean overlap ``(N, M)`` of the most similar joints' squares of ``(N, K, 2)`` and ``(M, K, 2)`` poses."""
    a, b = joint_boxes(keypoints, config.reach), joint_boxes(others, config.reach)
    return _best_mean(box_overlaps(a[:, None], b[None]), config.joints)


def shared_points(boxes: npt.NDArray[np.number], others: npt.NDArray[np.number], points: Correspondences) -> Float:
    """Share of correspondences that go from one box to the other.

    |A and B| / |A or B|, A the correspondences that start in the first box (its border counts), B those that end in
    the second.

    Args:
        boxes: ``(N, ..., 4)`` before; others: ``(M, ..., 4)`` now, left, right, top, bottom.

    Returns:
        ``(N, M, ...)``.
    """
    a, b = np.asarray(boxes, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if points.size_wh is not None:
        shared, in_a, in_b = _still_counts(a, b, points.size_wh)
    else:
        starts, ends = _inside(a, points.before), _inside(b, points.after)
        by_joint = np.moveaxis(starts, 0, -2) @ np.moveaxis(ends, 0, -1)
        shared = np.moveaxis(by_joint, (-2, -1), (0, 1)).astype(np.float64)
        in_a, in_b = starts.sum(axis=-1)[:, None], ends.sum(axis=-1)[None]
    ratio: Float = shared / (in_a + in_b - shared + EPSILON)
    return ratio


def pose_shared_points(
    keypoints: npt.NDArray[np.floating],
    others: npt.NDArray[np.floating],
    points: Correspondences,
    config: PoseFlowConfig,
) -> Float:
    """Mean share ``(N, M)`` of correspondences between the most similar joints' squares."""
    a, b = joint_boxes(keypoints, config.reach), joint_boxes(others, config.reach)
    return _best_mean(shared_points(a, b, points), config.joints)


def link(
    history: History,
    keypoints: npt.NDArray[np.floating],
    points: Correspondences,
    size_wh: tuple[int, int],
    config: PoseFlowConfig,
) -> tuple[History, Linked]:
    """Number the persons of the next frame.

    A frame without persons gives an empty answer and counts as a frame.

    Args:
        history: of the frames before.
        keypoints: ``(M, K, 2)`` pixels, in the order in which new persons get their numbers.
        points: between the frame before and this one.
        size_wh: of the picture.
        config: the constants.

    Returns:
        the history with this frame, and who is who.
    """
    poses = np.asarray(keypoints, dtype=np.float64)
    boxes = person_boxes(poses, size_wh) if len(poses) else np.zeros((0, 4), dtype=np.int64)
    highest = max(history.highest, len(history.frames[-1])) if history.frames else history.highest
    known, recent = _candidates(history, highest, config.link)
    numbers, grades = np.zeros(len(poses), dtype=np.int64), np.zeros(len(poses))
    if known and len(poses):
        table = _grades(known, recent, poses, boxes, points, config)
        for row, column in assign(-table):
            grades[column] = table[row, column]
            if table[row, column] > config.least:
                numbers[column] = known[row].number
    for column in np.flatnonzero(numbers == 0).tolist():
        highest += 1
        numbers[column] = highest
    after = told(History(history.frames, highest), poses, numbers.tolist(), size_wh, config)
    return after, Linked(numbers, grades, boxes)


def told(
    history: History,
    keypoints: npt.NDArray[np.floating],
    numbers: Sequence[int],
    size_wh: tuple[int, int],
    config: PoseFlowConfig,
) -> History:
    """Take note of a frame whose persons ``(M, K, 2)`` have their numbers (M) already."""
    poses = np.asarray(keypoints, dtype=np.float64)
    boxes = person_boxes(poses, size_wh) if len(poses) else np.zeros((0, 4), dtype=np.int64)
    here = tuple(Seen(number, pose, box) for number, pose, box in zip(numbers, poses, boxes, strict=True))
    return History((*history.frames, here)[-config.link :], max(history.highest, *numbers, 0))


def _candidates(history: History, highest: int, reach: int) -> tuple[list[Seen], npt.NDArray[np.bool_]]:
    """The last record of every person that is remembered, and which are of the frame just before."""
    found: dict[int, tuple[Seen, bool]] = {}
    for back, persons in enumerate(history.frames[: -reach - 1 : -1]):
        for person in persons:
            if person.number not in found and 1 <= person.number <= highest:
                found[person.number] = (person, back == 0)
    return [person for person, _ in found.values()], np.array([recent for _, recent in found.values()], dtype=bool)


def _grades(
    known: list[Seen],
    recent: npt.NDArray[np.bool_],
    poses: Float,
    boxes: Ints,
    points: Correspondences,
    config: PoseFlowConfig,
) -> Float:
    """How alike every known person (row) and every person of this frame (column) are."""
    before, before_boxes = np.stack([seen.keypoints for seen in known]), np.stack([seen.box for seen in known])
    by_area = [box_overlaps(before_boxes[:, None], boxes[None]), pose_overlaps(before, poses, config)]
    _, box_weight, _, pose_weight = config.far_weights
    table = box_weight * by_area[0] + pose_weight * by_area[1]
    if recent.any():
        by_points = [
            shared_points(before_boxes[recent], boxes, points),
            pose_shared_points(before[recent], poses, points, config),
        ]
        parts = (by_points[0], by_area[0][recent], by_points[1], by_area[1][recent])
        weighted = [weight * part for weight, part in zip(config.weights, parts, strict=True)]
        table[recent] = np.sum(weighted, axis=0)
    return table


def _area(box: Float) -> Float:
    area: Float = (box[..., 1] - box[..., 0] + 1) * (box[..., 3] - box[..., 2] + 1)
    return area


def _best_mean(overlaps: Float, joints: int) -> Float:
    """Mean of the ``joints`` largest of the last axis."""
    best: Float = np.sort(overlaps, axis=-1)[..., -joints:].mean(axis=-1)
    return best


def _inside(boxes: Float, places: Float) -> npt.NDArray[np.float32]:
    """1 where a point ``(C, 2)`` lies in a box ``(..., 4)``, border included; ``(..., C)``."""
    x, y = places[:, 0], places[:, 1]
    across = (boxes[..., 0, None] <= x) & (x <= boxes[..., 1, None])
    down = (boxes[..., 2, None] <= y) & (y <= boxes[..., 3, None])
    return (across & down).astype(np.float32)


def _still_counts(a: Float, b: Float, size_wh: tuple[int, int]) -> tuple[Float, Float, Float]:
    """Counts of whole pixels in both boxes, in the first and in the second, where nothing moved."""

    def counts(boxes: Float) -> Float:
        """Whole pixels of the picture in boxes (..., 4)."""
        sides = []
        for first, last, size in ((0, 1, size_wh[0]), (2, 3, size_wh[1])):
            low = np.maximum(np.ceil(boxes[..., first]), 0)
            high = np.minimum(np.floor(boxes[..., last]), size - 1)
            sides.append(np.maximum(high - low + 1, 0))
        number: Float = sides[0] * sides[1]
        return number

    both = [
        (np.maximum if side % 2 == 0 else np.minimum)(a[:, None, ..., side], b[None, ..., side]) for side in range(4)
    ]
    return counts(np.stack(both, axis=-1)), counts(a)[:, None], counts(b)[None]
