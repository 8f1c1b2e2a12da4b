"""Who is in a frame: corrections first, predictions of the newest run beneath and beside them.

A correction stands in for the prediction it began as. Predictions of a later run know nothing of it, so they are
matched by likeness: what a correction covers (OKS >= 0.5, or else the best box with IoU >= 0.6) is hidden beneath it,
and what a person deleted stays away. Predictions that were on screen when the correction was made are never hidden
by likeness: two people who embrace stay two.

Symbols: K joints.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import box_iou, keypoints_box, oks
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, VISIBLE, Person, Pose
from poseviewer.project.rows import CorrectionRow, PredictionRow
from poseviewer.project.tracks import renamed

COVER_OKS = 0.5
COVER_IOU = 0.6
AREA_OF_BOX = 0.53
"""Share of a person's box that COCO's segment area has on average; OKS wants an area."""

PRESENT_SCORE = 0.05
"""A predicted joint below this score counts as absent."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One person shown.

    Attributes:
        prediction: what is shown (without correction) or lies beneath, or None.
        correction: or None.
    """

    prediction: PredictionRow | None
    correction: CorrectionRow | None

    @property
    def key(self) -> str:
        """The person's key."""
        if self.correction is not None:
            return self.correction.key
        return f"p{self.prediction.id}" if self.prediction is not None else ""

    @property
    def pose(self) -> Pose:
        """The pose shown."""
        held = self.correction or self.prediction
        if held is None:
            raise ValueError("an entry needs a prediction or a correction")
        return held.pose

    @property
    def visibility(self) -> npt.NDArray[np.uint8]:
        """``(K,)`` the visibility shown."""
        return self.correction.visibility if self.correction is not None else predicted_visibility(self.pose)

    def person(self) -> Person:
        """Return it as the desk gets it."""
        return Person(
            key=self.key,
            state="predicted" if self.correction is None else "corrected",
            pose=self.pose,
            visibility=self.visibility,
            prediction=self.prediction.pose if self.correction is not None and self.prediction is not None else None,
            correction_id=self.correction.id if self.correction is not None else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FramePeople:
    """Everything about the people of one frame.

    Attributes:
        run: the newest run that processed the frame, or None.
        shown: in the order of prediction, then those that have none.
        corrections: all of them, deletions too.
        beneath: correction id -> predictions of the newest run that it hides.
    """

    run: int | None
    shown: tuple[Entry, ...]
    corrections: tuple[CorrectionRow, ...]
    beneath: dict[int, list[PredictionRow]] = field(default_factory=dict)

    def entry(self, key: str) -> Entry | None:
        """Return the shown person called ``key``, or None."""
        return next((entry for entry in self.shown if entry.key == key), None)


def predicted_visibility(pose: Pose) -> npt.NDArray[np.uint8]:
    """Return the ``(K,)`` visibility of a pose that nobody corrected: visible, or absent below PRESENT_SCORE."""
    found = np.isfinite(pose.scores) & (pose.scores >= PRESENT_SCORE) & np.isfinite(pose.keypoints).all(axis=1)
    return np.where(found, VISIBLE, ABSENT).astype(np.uint8)


def read_people(db: sqlite3.Connection, skeleton: Skeleton, media: int, frame: int) -> FramePeople:
    """Read one frame; the cost depends on the people in this frame only."""
    row = db.execute("SELECT run FROM frame WHERE media = ? AND frame = ?", (media, frame)).fetchone()
    run: int | None = row[0] if row is not None else None
    corrections = tuple(
        CorrectionRow.read(found, skeleton.count)
        for found in db.execute(
            f"SELECT {CorrectionRow.COLUMNS} FROM correction WHERE media = ? AND frame = ? ORDER BY id", (media, frame)
        )
    )
    predictions = read_predictions(db, skeleton, media, frame, run) if run is not None else []
    elders: dict[int, PredictionRow] = {}
    for elder in {correction.run for correction in corrections}:
        if elder is not None and elder != run:
            elders.update((found.id, found) for found in read_predictions(db, skeleton, media, frame, elder))
    return compose(skeleton, run, predictions, corrections, elders)


def read_predictions(
    db: sqlite3.Connection, skeleton: Skeleton, media: int, frame: int, run: int
) -> list[PredictionRow]:
    """Return what ``run`` found in a frame, best first, with renamed tracks applied."""
    rows = db.execute(
        f"SELECT {PredictionRow.COLUMNS} FROM prediction WHERE media = ? AND frame = ? AND run = ? ORDER BY rank",
        (media, frame, run),
    )
    found = [PredictionRow.read(row, skeleton.count) for row in rows]
    return renamed(db, media, frame, found)


def compose(
    skeleton: Skeleton,
    run: int | None,
    predictions: Sequence[PredictionRow],
    corrections: Sequence[CorrectionRow],
    elders: dict[int, PredictionRow],
) -> FramePeople:
    """Lay corrections over predictions.

    Args:
        skeleton: for the OKS.
        run: the newest run of the frame.
        predictions: what it found, in order.
        corrections: of the frame, deletions too, oldest first.
        elders: predictions of older runs that corrections refer to, by id.
    """
    origins = {correction.origin: correction for correction in corrections if correction.origin is not None}
    if not corrections:
        return FramePeople(run, tuple(Entry(found, None) for found in predictions), ())
    free = [found for found in predictions if found.id not in origins]
    known = {found.id for found in predictions}
    later = [c for c in corrections if c.run != run and c.origin not in known]
    beneath: dict[int, list[PredictionRow]] = {}
    free = _cover(skeleton, [c for c in later if not c.deleted], free, beneath)
    gone = [c for c in later if c.deleted]
    if gone and free:
        kept = [elder for elder in elders.values() if elder.id not in origins]
        claimed = _claimed(skeleton, kept, free)
        open_to_loss = [found for found in free if found.id not in claimed]
        left = {found.id for found in _cover(skeleton, gone, open_to_loss, beneath)}
        free = [found for found in free if found.id in claimed or found.id in left]
    return FramePeople(run, _ordered(predictions, corrections, elders, free, beneath), tuple(corrections), beneath)


def _ordered(
    predictions: Sequence[PredictionRow],
    corrections: Sequence[CorrectionRow],
    elders: dict[int, PredictionRow],
    free: Sequence[PredictionRow],
    beneath: dict[int, list[PredictionRow]],
) -> tuple[Entry, ...]:
    """Return the shown people: at the place of their prediction, the others after them."""
    place = {found.id: order for order, found in enumerate(predictions)}
    by_id = {found.id: found for found in predictions}
    placed: list[tuple[int, int, Entry]] = [(place[found.id], 0, Entry(found, None)) for found in free]
    for correction in corrections:
        if correction.deleted:
            continue
        under = by_id.get(correction.origin) if correction.origin is not None else None
        if under is None and beneath.get(correction.id):
            under = beneath[correction.id][0]
        order = place[under.id] if under is not None else len(predictions)
        if under is None and correction.origin is not None:
            under = elders.get(correction.origin)
        placed.append((order, correction.id, Entry(under, correction)))
    placed.sort(key=lambda item: item[:2])
    return tuple(entry for _, _, entry in placed)


def _cover(
    skeleton: Skeleton,
    corrections: Sequence[CorrectionRow],
    free: list[PredictionRow],
    beneath: dict[int, list[PredictionRow]],
) -> list[PredictionRow]:
    """Note in ``beneath`` which free predictions the corrections hide and return the others."""
    if not corrections or not free:
        return free
    likeness = np.stack([_oks(skeleton, c.pose, c.visibility, free) for c in corrections])
    owner = likeness.argmax(axis=0)
    hidden = likeness.max(axis=0) >= COVER_OKS
    for column in np.argsort(-likeness.max(axis=0), kind="stable"):
        if hidden[column]:
            beneath.setdefault(corrections[owner[column]].id, []).append(free[column])
    overlap = box_iou(
        np.stack([_box(c.pose, c.visibility) for c in corrections]), np.stack([found.pose.box for found in free])
    )
    for row, correction in enumerate(corrections):
        if correction.id in beneath:
            continue
        column = int(np.where(hidden, -1.0, overlap[row]).argmax())
        if not hidden[column] and overlap[row, column] >= COVER_IOU:
            hidden[column] = True
            beneath[correction.id] = [free[column]]
    return [found for column, found in enumerate(free) if not hidden[column]]


def _claimed(skeleton: Skeleton, kept: Sequence[PredictionRow], free: Sequence[PredictionRow]) -> set[int]:
    """Match old predictions that nobody touched one to one with new ones; return the new ones' ids.

    Those are people whom nobody denied, so no deletion may take them (a deleted double resembles the one that stayed).
    """
    if not kept:
        return set()
    likeness = np.stack([_oks(skeleton, old.pose, predicted_visibility(old.pose), free) for old in kept])
    claimed: set[int] = set()
    for _ in range(min(likeness.shape)):
        row, column = np.unravel_index(int(likeness.argmax()), likeness.shape)
        if likeness[row, column] < COVER_OKS:
            break
        claimed.add(free[int(column)].id)
        likeness[row, :] = -1
        likeness[:, column] = -1
    return claimed


def _oks(
    skeleton: Skeleton, pose: Pose, visibility: npt.NDArray[np.uint8], others: Sequence[PredictionRow]
) -> npt.NDArray[np.float64]:
    return similarity(skeleton, pose, visibility, [other.pose for other in others])


def similarity(
    skeleton: Skeleton, pose: Pose, visibility: npt.NDArray[np.uint8], others: Sequence[Pose]
) -> npt.NDArray[np.float64]:
    """Return the OKS ``(N,)`` of N poses to ``pose``, whose area is taken from its box."""
    box = _box(pose, visibility)
    area = AREA_OF_BOX * float(np.prod(np.clip(box[2:] - box[:2], 1, None)))
    found = oks(
        pose.keypoints, visibility > ABSENT, np.stack([other.keypoints for other in others]), area, skeleton.sigma_array
    )
    return np.nan_to_num(found)


def same_person(
    skeleton: Skeleton, pose: Pose, visibility: npt.NDArray[np.uint8], others: Sequence[Pose]
) -> int | None:
    """Return which of ``others`` is the same person: by track, or else by the most similar pose, or else by box."""
    if pose.track is not None:
        same = next((index for index, other in enumerate(others) if other.track == pose.track), None)
        if same is not None:
            return same
    if not others:
        return None
    likeness = similarity(skeleton, pose, visibility, others)
    if likeness.max() >= COVER_OKS:
        return int(likeness.argmax())
    overlap = box_iou(pose.box, np.stack([other.box for other in others]))[0]
    return int(overlap.argmax()) if overlap.max() >= COVER_IOU else None


def _box(pose: Pose, visibility: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
    if float(np.prod(pose.box[2:] - pose.box[:2])) > 0:
        return np.asarray(pose.box)
    return keypoints_box(pose.keypoints, visibility > ABSENT)
