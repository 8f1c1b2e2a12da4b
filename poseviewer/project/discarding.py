"""Discarding a run: its predictions go, in short transactions; what a person did stays.

The run's row stays as well, marked, because corrections and the journal name it. So do its predictions in frames
where somebody corrected one of them, or did and took it back: undo and redo still lead there, and a deleted person
is told from others by those who were beside them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec

from poseviewer.core.changes import Changes, Kind
from poseviewer.core.errors import ProjectError
from poseviewer.core.skeleton import Skeleton
from poseviewer.project import doubts
from poseviewer.project.connection import Database
from poseviewer.project.journal import Image
from poseviewer.project.people import read_people, read_predictions
from poseviewer.project.summary import refresh

DISCARDED = "discarded"
FRAMES_AT_ONCE = 32
"""Frames of one transaction, so that edits slip between."""

_INDEXES = (("doubt_by_prediction", "prediction"), ("doubt_by_other", "other"))
"""Deleting a prediction looks for doubts about it; without these indexes it would read all doubts each time."""


def discard(
    database: Database, skeleton: Skeleton, run: int, emit: Callable[[Changes], object]
) -> Iterator[tuple[int, int]]:
    """Do what ``Project.discard_run`` says, telling ``emit`` of each transaction."""
    begun = time.time()
    with database.write(job=True) as transaction:
        row = transaction.db.execute("SELECT media FROM run WHERE id = ?", (run,)).fetchone()
        if row is None:
            raise ProjectError(f"The project has no run {run}.")
        media, total = int(row[0]), begin(transaction.db, run)
    kept = _edited_before(database, run)
    done, left = 0, True
    while left:
        with database.write(job=True) as transaction:
            db = transaction.db
            # What was edited, and perhaps undone, since this began.
            new = db.execute("SELECT images FROM journal WHERE at >= ?", (begun,)).fetchall()
            frames = step(db, skeleton, run, media, kept | edited_frames(new, run))
            left = bool(frames)
            if not left:
                end(db, run)
        kinds: frozenset[Kind] = frozenset({"predictions", "tracks"} if left else {"runs"})
        emit(Changes(kinds, transaction.revision, "job", media, frozenset(frames)))
        done += len(frames)
        if left:
            yield min(done, total), total


def _edited_before(database: Database, run: int) -> set[int]:
    """Return the frames of a run's predictions that the journal names, read page by page."""
    kept, last = set[int](), 0
    while True:
        with database.read() as db:
            page = db.execute("SELECT id, images FROM journal WHERE id > ? ORDER BY id LIMIT 200", (last,)).fetchall()
        if not page:
            return kept
        kept |= edited_frames([(images,) for _, images in page], run)
        last = page[-1][0]


def begin(db: sqlite3.Connection, run: int) -> int:
    """Mark a run as not complete and return how many frames it has, in the open transaction."""
    db.execute("UPDATE run SET outcome = 'cancelled' WHERE id = ?", (run,))
    for name, column in _INDEXES:
        db.execute(f"CREATE INDEX IF NOT EXISTS {name} ON doubt ({column})")
    (count,) = db.execute("SELECT count(*) FROM run_frame WHERE run = ?", (run,)).fetchone()
    return int(count)


def end(db: sqlite3.Connection, run: int) -> None:
    """Mark a run as discarded, in the open transaction."""
    db.execute("UPDATE run SET outcome = ?, frames = '[]', done = 0 WHERE id = ?", (DISCARDED, run))
    for name, _ in _INDEXES:
        db.execute(f"DROP INDEX IF EXISTS {name}")


def edited_frames(rows: Iterable[tuple[bytes]], run: int) -> set[int]:
    """Return the frames of a run's predictions that edits of the journal changed; ``rows`` are its images."""
    found: set[int] = set()
    for (data,) in rows:
        for image in msgspec.msgpack.decode(data, type=list[Image]):
            for row in (image.before, image.after):
                if image.table == "correction" and row is not None and row.get("run") == run:
                    found.add(int(row["frame"]))
    return found


def step(db: sqlite3.Connection, skeleton: Skeleton, run: int, media: int, kept: Collection[int]) -> list[int]:
    """Take a run out of its next frames, in the open transaction; return them, [] at the end.

    Args:
        db: connection.
        skeleton: of the project.
        run, media: ids.
        kept: frames whose predictions stay in the file, unseen.
    """
    rows = db.execute("SELECT frame FROM run_frame WHERE run = ? ORDER BY frame LIMIT ?", (run, FRAMES_AT_ONCE))
    frames = [frame for (frame,) in rows.fetchall()]
    shown_anew = [frame for frame in frames if _leave(db, run, media, frame, kept)]
    refresh(db, skeleton, media, shown_anew)
    trails: dict[int, doubts.Trail] = {}
    for frame in shown_anew:
        _doubt_anew(db, skeleton, media, frame, trails)
    db.execute("UPDATE run SET done = max(done - ?, 0) WHERE id = ?", (len(frames), run))
    return frames


def _leave(db: sqlite3.Connection, run: int, media: int, frame: int, kept: Collection[int]) -> bool:
    """Take a run out of one frame; return whether the frame showed it."""
    place = (media, frame)
    db.execute("DELETE FROM run_frame WHERE run = ? AND frame = ?", (run, frame))
    showed = db.execute("SELECT 1 FROM frame WHERE media = ? AND frame = ? AND run = ?", (*place, run)).fetchone()
    if showed:
        db.execute("DELETE FROM doubt WHERE media = ? AND frame = ?", place)
        (older,) = db.execute(
            "SELECT max(run.id) FROM run JOIN run_frame ON run_frame.run = run.id AND run_frame.frame = ?"
            " WHERE run.media = ?",
            (frame, media),
        ).fetchone()
        db.execute("UPDATE frame SET run = ? WHERE media = ? AND frame = ?", (older, *place))
    named = db.execute("SELECT 1 FROM correction WHERE media = ? AND frame = ? AND run = ?", (*place, run)).fetchone()
    if not named and frame not in kept:
        db.execute("DELETE FROM prediction WHERE media = ? AND frame = ? AND run = ?", (*place, run))
    return bool(showed)


def _doubt_anew(
    db: sqlite3.Connection, skeleton: Skeleton, media: int, frame: int, trails: dict[int, doubts.Trail]
) -> None:
    """Find what is worth a look in a frame that shows an older run now."""
    people = read_people(db, skeleton, media, frame)
    if people.run is None:
        return
    shown = {entry.prediction.id for entry in people.shown if entry.prediction and not entry.correction}
    found = read_predictions(db, skeleton, media, frame, people.run)
    ids = [row.id if row.id in shown else None for row in found]
    trail = trails.setdefault(people.run, doubts.Trail(db, skeleton, media, people.run))
    doubts.store(db, skeleton, media, frame, ids, [row.pose for row in found], trail)
