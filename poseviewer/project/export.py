"""Reading a whole project in pages, so that an export of any size neither fills memory nor holds up the window."""

from __future__ import annotations

import sqlite3

from poseviewer.core.errors import CallError
from poseviewer.core.skeleton import Skeleton
from poseviewer.project.people import read_people
from poseviewer.project.rows import CORRECTED, EMPTY, ExportRow, Include

PAGE = 64
"""Frames in one page."""

_LOWEST = {"corrections": CORRECTED, "predictions": EMPTY, "all": EMPTY}
_STATE = {"corrections": "corrected", "predictions": "predicted"}


def check_include(include: str) -> None:
    """Check a choice of what to export.

    Raises:
        CallError: if there is no such choice.
    """
    if include not in _LOWEST:
        raise CallError(f"There is no choice {include!r} of what to export: corrections, predictions or all.")


def page(
    db: sqlite3.Connection, skeleton: Skeleton, include: Include, media: int, after: int, fps: float
) -> list[ExportRow]:
    """Return the next frames of a media after frame ``after``, at most PAGE; fewer means that these are the last."""
    condition = "state = ?" if include == "corrections" else "state >= ?"
    rows = db.execute(
        f"SELECT frame, timestamp FROM frame WHERE media = ? AND {condition} AND frame > ? ORDER BY frame LIMIT ?",
        (media, _LOWEST[include], after, PAGE),
    ).fetchall()
    wanted = _STATE.get(include)
    found = []
    for frame, timestamp in rows:
        people = tuple(
            person
            for person in (entry.person() for entry in read_people(db, skeleton, media, frame).shown)
            if wanted in (None, person.state)
        )
        if timestamp is None and fps > 0:
            timestamp = frame / fps
        found.append(ExportRow(media, frame, timestamp, people))
    return found
