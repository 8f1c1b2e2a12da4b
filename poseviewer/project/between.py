"""Between two corrections of one person: finding both ends, and the poses on the way from one to the other.

A person with a track is the same under the same number. Without one, a correction's neighbour is looked for frame by
frame: who resembles whom (OKS, or else box IoU, as for copied poses), or else the nearest one, if both are each
other's nearest. A person whom a frame does not show may come back a few frames later.

Symbols: K joints.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, Pose
from poseviewer.project.people import Entry, predicted_visibility, read_people, same_person

REACH = 300
"""Frames: corrections that lie farther apart are two places, not the ends of one movement."""

NEAR = 1.0
"""In lengths of the box's diagonal: how far the middle of a person's box may have moved to be the nearest one."""


class Gap(msgspec.Struct, frozen=True):
    """The frames between two neighbouring corrections of one person.

    Attributes:
        first, last: the corrected frames at both ends; what is filled lies between them.
        start, end: the person's keys there.
    """

    first: int
    last: int
    start: str
    end: str


def find_gaps(
    db: sqlite3.Connection, skeleton: Skeleton, media: int, frame: int, person: str | None
) -> tuple[Gap, ...]:
    """Return what :class:`~poseviewer.project.edits.Interpolate` would fill; () where an end is missing.

    Args:
        db: connection.
        skeleton: of the project.
        media: id.
        frame: at a correction or between two; at one, what follows is filled, and what is before if nothing follows.
        person: key in that frame, or None for everybody who is corrected in the nearest corrected frame.
    """
    if person is not None:
        entry = read_people(db, skeleton, media, frame).entry(person)
        found = _gap_of(db, skeleton, media, frame, entry) if entry is not None else None
        return () if found is None or found.last - found.first < 2 else (found,)
    for step in (1, -1):
        row = db.execute(_NEAREST[step], (media, frame)).fetchone()
        if row is None:
            continue
        gaps = []
        for entry in read_people(db, skeleton, media, row[0]).shown:
            gap = _reached(db, skeleton, media, row[0], entry, step) if entry.correction is not None else None
            if gap is not None and gap.last - gap.first > 1 and gap.first <= frame <= gap.last:
                gaps.append(gap)
        if gaps:
            return tuple(gaps)
    return ()


_NEAREST = {
    1: "SELECT frame FROM correction WHERE media = ? AND frame <= ? AND deleted = 0 ORDER BY frame DESC LIMIT 1",
    -1: "SELECT frame FROM correction WHERE media = ? AND frame >= ? AND deleted = 0 ORDER BY frame LIMIT 1",
}
"""Direction of the walk -> the corrected frame to begin at."""


def _gap_of(db: sqlite3.Connection, skeleton: Skeleton, media: int, frame: int, entry: Entry) -> Gap | None:
    """Return the gap that a person of ``frame`` is in or at the end of, or None."""
    if entry.correction is not None:
        after = _reached(db, skeleton, media, frame, entry, 1)
        if after is not None and after.last - after.first > 1:
            return after
        return _reached(db, skeleton, media, frame, entry, -1)
    start = _walk(db, skeleton, media, frame, entry, -1)
    end = _walk(db, skeleton, media, frame, entry, 1)
    return None if start is None or end is None else Gap(start[0], end[0], start[1].key, end[1].key)


def _reached(db: sqlite3.Connection, skeleton: Skeleton, media: int, frame: int, entry: Entry, step: int) -> Gap | None:
    """Return the gap from a corrected person to the next correction in the direction of ``step``, or None."""
    other = _walk(db, skeleton, media, frame, entry, step)
    if other is None:
        return None
    ends = sorted([(frame, entry.key), (other[0], other[1].key)])
    return Gap(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def _walk(
    db: sqlite3.Connection, skeleton: Skeleton, media: int, frame: int, entry: Entry, step: int
) -> tuple[int, Entry] | None:
    """Follow a person frame by frame to the next correction; return where it is and who, or None."""
    order, sign = ("ASC", ">") if step > 0 else ("DESC", "<")
    begun = read_people(db, skeleton, media, frame).shown
    held = entry
    # Frames of which nothing is known need no look.
    rows = db.execute(
        f"SELECT frame FROM frame WHERE media = ? AND frame {sign} ? AND frame BETWEEN ? AND ? ORDER BY frame {order}",
        (media, frame, frame - REACH, frame + REACH),
    ).fetchall()
    for (here,) in rows:
        shown = read_people(db, skeleton, media, here).shown
        found = follow(skeleton, held, shown) or _nearest(held, begun, [one for one in shown if one.correction])
        if found is None:
            continue
        if found.correction is not None:
            return here, found
        held, begun = found, shown
    return None


def follow(skeleton: Skeleton, held: Entry, others: Sequence[Entry]) -> Entry | None:
    """Return who of another frame is the same person, or None; another track is another person.

    A corrected person is known by the prediction beneath as well: a network errs alike in neighbouring frames.
    """
    free = [entry for entry in others if not _apart(held.pose, entry.pose)]
    poses = [entry.pose for entry in free]
    index = same_person(skeleton, held.pose, held.visibility, poses)
    if index is None and held.correction is not None and held.prediction is not None:
        beneath = held.prediction.pose
        index = same_person(skeleton, beneath, predicted_visibility(beneath), poses)
    return None if index is None else free[index]


def _apart(one: Pose, other: Pose) -> bool:
    return one.track is not None and other.track is not None and one.track != other.track


def _nearest(held: Entry, begun: Sequence[Entry], others: Sequence[Entry]) -> Entry | None:
    """Return who of ``others`` is nearest, if ``held`` is also nearest to them of all who were there."""
    free = [other for other in others if not _apart(held.pose, other.pose)]
    if not free:
        return None
    best = min(free, key=lambda other: _shift(held.pose, other.pose))
    back = min(begun, key=lambda one: _shift(one.pose, best.pose), default=held)
    return best if back.key == held.key and _shift(held.pose, best.pose) <= NEAR else None


def _shift(one: Pose, other: Pose) -> float:
    """Return how far the middle of the box moved, in lengths of its diagonal."""
    size = max(float(np.hypot(*(one.box[2:] - one.box[:2]))), 1.0)
    return float(np.hypot(*((other.box[:2] + other.box[2:]) - (one.box[:2] + one.box[2:])) / 2)) / size


def blend(start: Entry, end: Entry, share: float) -> tuple[Pose, npt.NDArray[np.uint8]]:
    """Return the pose at ``share`` (0..1) of the way, with scores 0, and its ``(K,)`` visibility.

    Joints and box move on straight lines. Occluded or visible holds from the start until the end; a joint that is
    absent at either end is absent between, because nobody said where it is.
    """
    a, b = start.pose, end.pose
    keypoints = (1 - share) * np.nan_to_num(a.keypoints) + share * np.nan_to_num(b.keypoints)
    box = (1 - share) * a.box + share * b.box
    present = (start.visibility > ABSENT) & (end.visibility > ABSENT)
    visibility = np.where(present, start.visibility, ABSENT).astype(np.uint8)
    track = a.track if a.track is not None else b.track
    scores = np.zeros(len(keypoints), dtype=np.float32)
    return Pose(keypoints.astype(np.float32), scores, box.astype(np.float32), 0.0, track), visibility
