"""Short questions about the whole project, each answered from an index."""

from __future__ import annotations

import sqlite3
from typing import Literal

from poseviewer.project.lanes import state_counts
from poseviewer.project.rows import CORRECTED, EMPTY, PREDICTED, Counts

StateKind = Literal["corrected", "predicted", "empty"]
NextKind = StateKind | Literal["doubt"]

_STATES = {"corrected": CORRECTED, "predicted": PREDICTED, "empty": EMPTY}


def next_sql(kind: StateKind, *, forward: bool) -> str:
    """Return the query behind :func:`next_of`."""
    sign, order = (">", "ASC") if forward else ("<", "DESC")
    state = _STATES[kind]
    return (
        f"SELECT frame FROM frame WHERE media = ? AND state = {state} AND frame {sign} ? ORDER BY frame {order} LIMIT 1"
    )


def next_of(db: sqlite3.Connection, media: int, frame: int, kind: StateKind, *, forward: bool) -> int | None:
    """Return the nearest frame in a state after or before ``frame``, or None (doubts: ``doubts.next_frame``).

    Raises:
        ValueError: if there is no such kind.
    """
    if kind not in _STATES:
        raise ValueError(f"there is no kind {kind!r} of frame")
    row = db.execute(next_sql(kind, forward=forward), (media, frame)).fetchone()
    return int(row[0]) if row else None


def corrected_frames(db: sqlite3.Connection, media: int) -> tuple[int, ...]:
    """Return the corrected frames of a media in order."""
    rows = db.execute("SELECT frame FROM frame WHERE media = ? AND state = ? ORDER BY frame", (media, CORRECTED))
    return tuple(frame for (frame,) in rows)


def counts(db: sqlite3.Connection) -> Counts:
    """Return how much there is, from the packed lanes and short tables."""
    _, empty, predicted, corrected = state_counts(db)
    return Counts(
        media=_one(db, "SELECT count(*) FROM media"),
        frames=empty + predicted + corrected,
        predicted=predicted,
        empty=empty,
        corrected=corrected,
        corrected_people=_one(db, "SELECT count(*) FROM correction WHERE deleted = 0"),
        runs=_one(db, "SELECT count(*) FROM run WHERE outcome != 'discarded'"),
    )


def _one(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])
