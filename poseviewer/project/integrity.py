"""Looking for damage, and working the derived tables out again."""

from __future__ import annotations

import sqlite3

from poseviewer.core.errors import ProjectError
from poseviewer.core.skeleton import Skeleton
from poseviewer.project.summary import refresh
from poseviewer.project.tracks import BLOCK


def problems(db: sqlite3.Connection, skeleton: Skeleton) -> tuple[str, ...]:
    """Return one sentence for each kind of damage; () if the file is sound. Reads everything: not for every start."""
    count = skeleton.count
    found = [f"SQLite reports: {text}." for (text,) in db.execute("PRAGMA integrity_check(5)") if text != "ok"]
    found += [f"A row of {row[0]} names something that is not there." for row in _orphans(db)]
    for table, columns in (
        ("prediction", (("box", 16), ("keypoints", 8 * count), ("scores", 4 * count))),
        ("correction", (("box", 16), ("keypoints", 8 * count), ("scores", 4 * count), ("visibility", count))),
    ):
        wrong = " OR ".join(f"length({column}) != {size}" for column, size in columns)
        (bad,) = db.execute(f"SELECT count(*) FROM {table} WHERE {wrong}").fetchone()
        if bad:
            found.append(f"{bad} rows of {table} hold numbers for another skeleton.")
    (lost,) = db.execute(
        "SELECT count(*) FROM correction WHERE NOT EXISTS (SELECT 1 FROM frame"
        " WHERE frame.media = correction.media AND frame.frame = correction.frame AND frame.state = 3)"
    ).fetchone()
    if lost:
        found.append(f"{lost} corrections are missing from the timeline.")
    return tuple(found)


def _orphans(db: sqlite3.Connection) -> list[tuple[str]]:
    return list({(row[0],) for row in db.execute("PRAGMA foreign_key_check")})


def rebuild(db: sqlite3.Connection, skeleton: Skeleton, media: int, first: int) -> int | None:
    """Work out the summaries of the next block of frames from ``first`` on; return where to go on, None at the end.

    Raises:
        ProjectError: if a row cannot be read.
    """
    rows = db.execute(
        "SELECT frame FROM frame WHERE media = ?1 AND frame >= ?2 UNION SELECT frame FROM correction"
        " WHERE media = ?1 AND frame >= ?2 ORDER BY frame LIMIT ?3",
        (media, first, BLOCK),
    ).fetchall()
    if not rows:
        return None
    try:
        refresh(db, skeleton, media, [frame for (frame,) in rows])
    except ValueError as error:
        raise ProjectError("The project file is damaged: a frame cannot be summed up.") from error
    return int(rows[-1][0]) + 1
