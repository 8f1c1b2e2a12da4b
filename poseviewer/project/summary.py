"""The per-frame summary: the row of table ``frame`` and its cell in the lanes, always written together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import Array, Pose
from poseviewer.project.lanes import Cell, write_cells
from poseviewer.project.people import FramePeople, read_people
from poseviewer.project.rows import CORRECTED, EMPTY, NONE, PREDICTED, FrameRow
from poseviewer.project.tracks import Owner, write_presence

_COLUMNS = "media, frame, timestamp, fingerprint, run, state, people, conf_min, conf_mean, conf_max"


def read_frame(db: sqlite3.Connection, media: int, frame: int) -> FrameRow | None:
    """Return the summary of a frame, or None if nothing is known about it."""
    row = db.execute(f"SELECT {_COLUMNS} FROM frame WHERE media = ? AND frame = ?", (media, frame)).fetchone()
    return FrameRow(*row) if row else None


def refresh(db: sqlite3.Connection, skeleton: Skeleton, media: int, frames: Iterable[int]) -> None:
    """Work out the summaries of ``frames`` again after their corrections or tracks changed."""
    cells: dict[int, Cell] = {}
    present: dict[int, set[Owner]] = {}
    for frame in frames:
        people = read_people(db, skeleton, media, frame)
        present[frame] = owners_of(people)
        cell = summarise(people, skeleton.count)
        held = read_frame(db, media, frame)
        if cell.state == NONE:
            db.execute("DELETE FROM frame WHERE media = ? AND frame = ?", (media, frame))
        elif held is not None and held.run is not None:
            write_frame(db, media, frame, held.timestamp_s, held.fingerprint, held.run, cell)
        else:
            told = people.corrections[0]
            write_frame(db, media, frame, told.timestamp_s, told.fingerprint, None, cell)
        cells[frame] = cell
    write_cells(db, media, cells)
    write_presence(db, media, present)


def owners_of(people: FramePeople) -> set[Owner]:
    """Return the owners of the tracks that a frame shows."""
    found: set[Owner] = set()
    for entry in people.shown:
        if entry.correction is not None and entry.correction.pose.track is not None:
            found.add((0, entry.correction.pose.track))
        elif entry.correction is None and entry.prediction is not None and entry.prediction.track is not None:
            found.add((entry.prediction.run, entry.prediction.track))
    return found


def write_frame(
    db: sqlite3.Connection,
    media: int,
    frame: int,
    timestamp: float | None,
    fingerprint: str,
    run: int | None,
    cell: Cell,
) -> None:
    """Write the row of table ``frame``; the lanes are written by ``write_cells``."""
    confidence = cell.confidence or (None, None, None)
    db.execute(
        f"INSERT OR REPLACE INTO frame ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (media, frame, timestamp, fingerprint, run, cell.state, cell.people, *confidence),
    )


def summarise(people: FramePeople, joints: int) -> Cell:
    """Return the cell of a frame; ``joints`` is K."""
    if people.corrections:
        state = CORRECTED
    elif people.run is None:
        state = NONE
    else:
        state = PREDICTED if people.shown else EMPTY
    return cell_of(state, len(people.shown), [entry.pose for entry in people.shown], joints)


def cell_of(state: int, people: int, poses: Sequence[Pose], joints: int) -> Cell:
    """Return the cell of a frame that shows ``poses``; people without any score (added by hand) do not count."""
    scored = [np.nan_to_num(pose.scores) for pose in poses if np.any(pose.scores > 0)]
    if not scored:
        return Cell(state, people, None, np.full(joints, np.nan, dtype=np.float32))
    table: Array = np.stack(scored)
    means = table.mean(axis=1)
    confidence = (float(means.min()), float(means.mean()), float(means.max()))
    return Cell(state, people, confidence, table.min(axis=0))
