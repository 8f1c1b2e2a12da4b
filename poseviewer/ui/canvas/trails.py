"""Where the selected joint was in the frames around, following the person from frame to frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from poseviewer.core.values import ABSENT, Person
from poseviewer.ui.hand import nearest_person

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

REACH = 15
"""Frames before and after."""


def trail_of(desk: Desk, person: Person, joint: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the joint's places ``(n, 2)`` in the frames before (oldest first, ending here) and ``(m, 2)`` after."""
    before = _walk(desk, person, joint, -1)
    after = _walk(desk, person, joint, 1)
    return np.array(before[::-1], dtype=np.float64).reshape(-1, 2), np.array(after, dtype=np.float64).reshape(-1, 2)


def _walk(desk: Desk, person: Person, joint: int, step: int) -> list[list[float]]:
    places = [person.pose.keypoints[joint].tolist()]
    if desk.project is None or desk.media_id is None or desk.info is None:
        return places
    now = person
    for offset in range(1, REACH + 1):
        frame = desk.selection.frame + step * offset
        if not 0 <= frame < desk.info.frame_count:
            break
        found = _same(now, tuple(desk.project.people(desk.media_id, frame)))
        if found is None:
            if now.pose.track is not None:
                # A track may be away for some frames and come back.
                continue
            break
        now = found
        if found.visibility[joint] != ABSENT:
            places.append(found.pose.keypoints[joint].tolist())
    return places


def _same(now: Person, others: tuple[Person, ...]) -> Person | None:
    """Who of ``others`` is the same: whoever has the track, nobody of another one; without tracks the nearest."""
    track = now.pose.track
    if track is None:
        return nearest_person(now, others)
    with_track = next((other for other in others if other.pose.track == track), None)
    return with_track or nearest_person(now, tuple(other for other in others if other.pose.track is None))
