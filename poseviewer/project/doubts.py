"""What is worth a look: found while a run is stored, from one frame and the few before it, never by a scan.

low_score  a person whose mean joint score is low
jump       one joint that leaps while the rest of the body does not
sides      left and right fit the frame before much better when exchanged
lost       a person who is gone for fewer than ten frames and comes back
doubled    two poses on one person

Symbols: K joints, P flip pairs.
"""

from __future__ import annotations

import bisect
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import box_iou
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import LOW_SCORE, Pose
from poseviewer.core.words import counted
from poseviewer.project.people import predicted_visibility, similarity
from poseviewer.project.rows import Doubt, PredictionRow

JUMP = 0.35
"""In lengths of the box's longer side."""
SWAP_RATIO = 0.5
SWAP_SHIFT = 0.1
"""In lengths of the box's longer side: below it, exchanged sides are lost in the noise."""
SURE = 0.2
"""Joints below this score say nothing about jumps and sides."""
REACH = 10
READ_AHEAD = 4
"""So many rows are read for each one that may be listed."""
APART = 12
"""Frames: doubts of one kind that lie closer are one thing to look at, shown where it is worst."""
DOUBLED_OKS = 0.5
SAME_IOU = 0.3


@dataclass(frozen=True, slots=True)
class Found:
    """One doubt before it is stored: index of the pose (None: nobody), the other pose, frames back, and the rest."""

    kind: str
    figure: float
    weight: float
    pose: int | None = None
    other: int | None = None
    joint: int | None = None
    back: int = 0


class Trail:
    """The poses of one run in the frames just before the one that is being stored, read when first needed.

    The pictures of a folder do not follow each other in time, so only a video has frames before.
    """

    def __init__(self, db: sqlite3.Connection, skeleton: Skeleton, media: int, run: int) -> None:
        self._db = db
        self._joints = skeleton.count
        self._media = media
        self._run = run
        self._frames: dict[int, Sequence[Pose]] = {}
        self._moving = _moving(db, media)

    def add(self, frame: int, poses: Sequence[Pose]) -> None:
        """Remember a frame that was just stored, and forget what lies too far back."""
        self._frames[frame] = poses
        self._frames.pop(frame - REACH - 1, None)

    def before(self, frame: int) -> list[Sequence[Pose]]:
        """Return the poses of frame-1, frame-2, ... as far as the run did them without a gap, ten at most."""
        if not self._moving:
            return []
        if frame - 1 not in self._frames:
            self._read(frame)
        found = []
        for back in range(1, REACH + 1):
            poses = self._frames.get(frame - back)
            if poses is None:
                break
            found.append(poses)
        return found

    def _read(self, frame: int) -> None:
        reach = (frame - REACH, frame - 1)
        done = self._db.execute(
            "SELECT frame FROM run_frame WHERE run = ? AND frame BETWEEN ? AND ?", (self._run, *reach)
        )
        frames: dict[int, list[Pose]] = {held: [] for (held,) in done}
        if frames:
            rows = self._db.execute(
                f"SELECT frame, {PredictionRow.COLUMNS} FROM prediction"
                " WHERE media = ? AND frame BETWEEN ? AND ? AND run = ? ORDER BY frame, rank",
                (self._media, *reach, self._run),
            )
            for row in rows:
                frames[row[0]].append(PredictionRow.read(row[1:], self._joints).pose)
        self._frames.update(frames)


def store(
    db: sqlite3.Connection,
    skeleton: Skeleton,
    media: int,
    frame: int,
    ids: Sequence[int | None],
    poses: Sequence[Pose],
    trail: Trail,
) -> None:
    """Replace the doubts of a frame by those of its newest predictions.

    Args:
        db: connection, in a transaction.
        skeleton: of the project.
        media, frame: which.
        ids: prediction ids of ``poses``; None for those that a correction hides, about whom nothing is in doubt.
        poses: what the run found.
        trail: the frames before; gets this one.
    """
    db.execute("DELETE FROM doubt WHERE media = ? AND frame = ?", (media, frame))
    for found in find(skeleton, poses, trail.before(frame)):
        if any(index is not None and ids[index] is None for index in (found.pose, found.other)):
            continue
        db.execute(
            "INSERT INTO doubt (media, frame, prediction, other, joint, kind, figure, weight)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                media,
                frame - found.back,
                None if found.pose is None else ids[found.pose],
                None if found.other is None else ids[found.other],
                found.joint,
                found.kind,
                found.figure,
                found.weight,
            ),
        )
    trail.add(frame, poses)


def find(skeleton: Skeleton, poses: Sequence[Pose], before: Sequence[Sequence[Pose]]) -> list[Found]:
    """Return the doubts of a frame, given the poses of the frames before it, the nearest first."""
    found: list[Found] = []
    for index, pose in enumerate(poses):
        mean = float(np.nan_to_num(pose.scores).mean())
        if mean < LOW_SCORE:
            found.append(Found("low_score", mean, 1 - mean / LOW_SCORE, index))
        if not before:
            continue
        old = match(skeleton, pose, before[0])
        if old is not None:
            found.extend(_moved(skeleton, index, pose, before[0][old]))
        else:
            found.extend(_lost(skeleton, pose, before))
    found.extend(_doubled(skeleton, poses))
    return found


def match(skeleton: Skeleton, pose: Pose, others: Sequence[Pose]) -> int | None:
    """Return the index of the same person among ``others``: by track, or else by box and pose; None if nobody is."""
    if not others:
        return None
    if pose.track is not None and all(other.track is not None for other in others):
        return next((index for index, other in enumerate(others) if other.track == pose.track), None)
    overlap = box_iou(pose.box, np.stack([other.box for other in others]))[0]
    if overlap.max() < SAME_IOU:
        return None
    likeness = similarity(skeleton, pose, predicted_visibility(pose), others)
    return int(np.where(overlap >= SAME_IOU, overlap + likeness, -1).argmax())


def _moved(skeleton: Skeleton, index: int, pose: Pose, old: Pose) -> list[Found]:
    """Return jumps and exchanged sides of one person against the frame before."""
    size = max(float((pose.box[2:] - pose.box[:2]).max()), 1.0)
    sure = (np.nan_to_num(pose.scores) >= SURE) & (np.nan_to_num(old.scores) >= SURE)
    ratio = _exchanged(skeleton, pose, old, sure, size)
    if ratio is not None:
        return [Found("sides", ratio, 0.8, index)]
    if sure.sum() < 3:
        return []
    shift = pose.keypoints - old.keypoints
    own = np.linalg.norm(shift - np.median(shift[sure], axis=0), axis=1)
    own[~sure] = 0
    joint = int(own.argmax())
    if own[joint] <= JUMP * size:
        return []
    pixels = float(np.linalg.norm(shift[joint]))
    return [Found("jump", pixels, min(float(own[joint]) / size, 1.0), index, joint=joint)]


def _exchanged(skeleton: Skeleton, pose: Pose, old: Pose, sure: npt.NDArray[np.bool_], size: float) -> float | None:
    """Return how many times farther the joints are from the old ones as they are than exchanged, if that is a lot."""
    flip = np.array(skeleton.flip)
    joints = np.flatnonzero((flip != np.arange(len(flip))) & sure & sure[flip])
    if len(joints) < 4:
        return None
    same = float(np.linalg.norm(pose.keypoints[joints] - old.keypoints[joints], axis=1).mean())
    other = float(np.linalg.norm(pose.keypoints[joints] - old.keypoints[flip[joints]], axis=1).mean())
    if same <= SWAP_SHIFT * size or other >= SWAP_RATIO * same:
        return None
    return same / max(other, 1e-3)


def _lost(skeleton: Skeleton, pose: Pose, before: Sequence[Sequence[Pose]]) -> list[Found]:
    """Return the gap of a person who is not in the frame before but a few frames farther back."""
    for back in range(2, len(before) + 1):
        if match(skeleton, pose, before[back - 1]) is not None:
            return [Found("lost", float(back - 1), 0.7, back=back - 1)]
    return []


def _doubled(skeleton: Skeleton, poses: Sequence[Pose]) -> list[Found]:
    found = []
    for index, pose in enumerate(poses[:-1]):
        likeness = similarity(skeleton, pose, predicted_visibility(pose), poses[index + 1 :])
        for offset in np.flatnonzero(likeness > DOUBLED_OKS):
            figure = float(likeness[offset])
            found.append(Found("doubled", figure, figure, index + 1 + int(offset), other=index))
    return found


OPEN = """
NOT EXISTS (SELECT 1 FROM correction WHERE correction.origin IN (doubt.prediction, doubt.other))
AND (doubt.prediction IS NOT NULL
     OR NOT EXISTS (SELECT 1 FROM correction WHERE correction.media = doubt.media AND correction.frame = doubt.frame))
"""
"""Condition: nobody has decided about the people in question yet."""


QUEUE = (
    "SELECT frame, prediction, joint, kind, figure, weight FROM doubt INDEXED BY doubt_by_weight"
    f" WHERE media = ? AND {OPEN} ORDER BY weight DESC, frame LIMIT ?"
)
LIMIT = 500
"""So many places are listed unless told otherwise."""


def worth_a_look(db: sqlite3.Connection, skeleton: Skeleton, media: int, limit: int) -> tuple[Doubt, ...]:
    """Return the open doubts of a media, the weightiest first, one for each place in time.

    A limb that flickers for a second would else fill the queue with itself: of doubts of one kind less than
    ``APART`` frames from a weightier one, only that one is listed. The pictures of a folder are each for itself.
    """
    apart = APART if _moving(db, media) else 1
    rows = db.execute(QUEUE, (media, limit * READ_AHEAD))
    # A joint that leaps away leaps back one frame later, about as far: the first of the two is the wrong one.
    ordered = sorted(rows, key=lambda row: (-round(row[5], 1), row[0]))
    taken: dict[str, list[int]] = {}
    found: list[Doubt] = []
    for frame, prediction, joint, kind, figure, _ in ordered:
        places = taken.setdefault(kind, [])
        at = bisect.bisect_left(places, frame)
        if apart > 1 and any(abs(place - frame) < apart for place in places[max(at - 1, 0) : at + 1]):
            continue
        places.insert(at, frame)
        key = f"p{prediction}" if prediction is not None else ""
        found.append(Doubt(frame, key, joint, kind, figure, _words(skeleton, kind, joint, figure)))
        if len(found) == limit:
            break
    return tuple(found)


def any_in(db: sqlite3.Connection, media: int, frames: Collection[int]) -> bool:
    """Return whether there is a doubt in one of some frames, open or not."""
    query = "SELECT 1 FROM doubt WHERE media = ? AND frame = ? LIMIT 1"
    return any(db.execute(query, (media, frame)).fetchone() for frame in frames)


def next_frame(db: sqlite3.Connection, skeleton: Skeleton, media: int, frame: int, *, forward: bool) -> int | None:
    """Return the nearest listed frame after or before ``frame``, or None."""
    frames = [doubt.frame for doubt in worth_a_look(db, skeleton, media, LIMIT)]
    if forward:
        return min((other for other in frames if other > frame), default=None)
    return max((other for other in frames if other < frame), default=None)


def _moving(db: sqlite3.Connection, media: int) -> bool:
    """Return whether the frames of a media follow each other in time."""
    kind = db.execute("SELECT json_extract(info, '$.kind') FROM media WHERE id = ?", (media,)).fetchone()
    return bool(kind == ("video",))


def _words(skeleton: Skeleton, kind: str, joint: int | None, figure: float) -> str:
    if kind == "low_score":
        return f"The mean joint score of this person is only {figure:.2f}."
    if kind == "jump":
        known = joint is not None and 0 <= joint < skeleton.count
        name = skeleton.joints[joint or 0] if known else "joint"
        return f"The {name} jumps {figure:.0f} px from the frame before."
    if kind == "sides":
        return f"Left and right look exchanged: the frame before fits {figure:.1f} times better the other way round."
    if kind == "lost":
        return f"A person is lost for {counted(round(figure), 'frame')}."
    return f"Two poses lie on one person (OKS {figure:.2f})."
