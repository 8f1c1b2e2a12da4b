"""Runs: their rows, and storing what they find.

Symbols: K joints.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from poseviewer.core.errors import ProjectError
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import FrameResult, Pose
from poseviewer.project import doubts
from poseviewer.project.blobs import pack
from poseviewer.project.discarding import DISCARDED
from poseviewer.project.lanes import Cell, write_cells
from poseviewer.project.people import read_people
from poseviewer.project.rows import EMPTY, PREDICTED, Outcome, RunRow, count_of, frames_of, spans_of
from poseviewer.project.summary import cell_of, owners_of, summarise, write_frame
from poseviewer.project.tracks import Owner, write_presence


def start(
    db: sqlite3.Connection, media: int, config: dict[str, Any], networks: dict[str, Any], frames: Sequence[int]
) -> int:
    """Insert a run and return its id.

    Raises:
        ProjectError: if there is no such media.
    """
    if db.execute("SELECT 1 FROM media WHERE id = ?", (media,)).fetchone() is None:
        raise ProjectError(f"The project has no media {media}.")
    cursor = db.execute(
        "INSERT INTO run (media, started, config, networks, frames) VALUES (?, ?, ?, ?, ?)",
        (
            media,
            time.time(),
            msgspec.json.encode(config).decode(),
            msgspec.json.encode(networks).decode(),
            msgspec.json.encode(spans_of(frames)).decode(),
        ),
    )
    return int(cursor.lastrowid or 0)


def finish(db: sqlite3.Connection, run: int, outcome: Outcome, note: str) -> None:
    """Write how a run ended."""
    db.execute("UPDATE run SET finished = ?, outcome = ?, note = ? WHERE id = ?", (time.time(), outcome, note, run))


def media_of(db: sqlite3.Connection, run: int) -> int:
    """Return the media of a run.

    Raises:
        ProjectError: if there is no such run.
    """
    row = db.execute("SELECT media FROM run WHERE id = ?", (run,)).fetchone()
    if row is None:
        raise ProjectError(f"The project has no run {run}.")
    return int(row[0])


def frames(db: sqlite3.Connection, run: int) -> tuple[int, ...]:
    """Return the frames that a run was asked for, in its order.

    Raises:
        ProjectError: if there is no such run.
    """
    row = db.execute("SELECT frames FROM run WHERE id = ?", (run,)).fetchone()
    if row is None:
        raise ProjectError(f"The project has no run {run}.")
    return tuple(frames_of(_asked(row[0])))


def unfinished(db: sqlite3.Connection, run: int) -> tuple[int, ...]:
    """Return the frames that a run was asked for and has not finished, in its order. Raises as :func:`frames`."""
    done = {frame for (frame,) in db.execute("SELECT frame FROM run_frame WHERE run = ?", (run,))}
    return tuple(frame for frame in frames(db, run) if frame not in done)


def listed(db: sqlite3.Connection, media: int | None) -> tuple[RunRow, ...]:
    """Return the runs of a media (None: of all) that were not discarded, oldest first."""
    columns = "id, media, started, finished, outcome, note, config, networks, frames, done"
    where, values = ("", ()) if media is None else ("AND media = ?", (media,))
    rows = db.execute(
        f"SELECT {columns} FROM run WHERE outcome != ? {where} ORDER BY id", (DISCARDED, *values)
    ).fetchall()
    return tuple(
        RunRow(
            id=row[0],
            media=row[1],
            started=row[2],
            finished=row[3],
            outcome=row[4],
            note=row[5],
            config=msgspec.json.decode(row[6], type=dict[str, Any]),
            networks=msgspec.json.decode(row[7], type=dict[str, Any]),
            frame_count=count_of(_asked(row[8])),
            done_count=row[9],
        )
        for row in rows
    )


def _asked(text: str) -> list[tuple[int, int, int]]:
    try:
        return msgspec.json.decode(text, type=list[tuple[int, int, int]])
    except msgspec.DecodeError as error:
        raise ProjectError("The project file is damaged: a run's frames cannot be read.") from error


def check_results(results: Sequence[FrameResult], skeleton: Skeleton) -> None:
    """Check that poses fit the project's skeleton.

    Raises:
        ProjectError: if a pose has another number of joints.
    """
    for result in results:
        for pose in result.poses:
            if pose.keypoints.shape != (skeleton.count, 2) or pose.scores.shape != (skeleton.count,):
                raise ProjectError(
                    f"The run found poses of {len(pose.keypoints)} joints, but this project's skeleton"
                    f" {skeleton.title} has {skeleton.count}.",
                    remedy="Choose an estimator for that skeleton or make a new project.",
                )


def store(
    db: sqlite3.Connection,
    skeleton: Skeleton,
    run: int,
    media: int,
    results: Sequence[FrameResult],
    *,
    until: float,
) -> tuple[int, list[int]]:
    """Store results in the open transaction until the clock reads ``until``, at least one.

    Args:
        db: connection.
        skeleton: K joints.
        run, media: row ids.
        results: taken one by one.
        until: ``time.perf_counter()`` seconds.

    Returns:
        how many results were taken, and the frames that changed.
    """
    taken = 0
    cells: dict[int, Cell] = {}
    present: dict[int, set[Owner]] = {}
    trail = doubts.Trail(db, skeleton, media, run)
    for result in results:
        taken += 1
        stored = _store_frame(db, skeleton, run, media, result, trail)
        if stored is not None:
            cells[result.frame], present[result.frame] = stored
        if time.perf_counter() >= until:
            break
    write_cells(db, media, cells)
    write_presence(db, media, present)
    db.execute("UPDATE run SET done = done + ? WHERE id = ?", (len(cells), run))
    return taken, list(cells)


def _store_frame(
    db: sqlite3.Connection, skeleton: Skeleton, run: int, media: int, result: FrameResult, trail: doubts.Trail
) -> tuple[Cell, set[Owner]] | None:
    """Store one frame; return its cell and who is present, or None if this run did it before: it is not redone."""
    frame = result.frame
    known = db.execute("INSERT OR IGNORE INTO run_frame (run, frame) VALUES (?, ?)", (run, frame))
    if known.rowcount == 0:
        return None
    keys = [_insert(db, run, media, frame, rank, pose) for rank, pose in enumerate(result.poses)]
    held = db.execute(
        "SELECT run, fingerprint FROM frame WHERE media = ? AND frame = ?", (media, frame)
    ).fetchone() or (None, "")
    newest = run if held[0] is None else max(run, held[0])
    state = PREDICTED if result.poses else EMPTY
    fingerprint = result.fingerprint or held[1]
    cell = cell_of(state, len(result.poses), result.poses, skeleton.count)
    write_frame(db, media, frame, result.timestamp_s, fingerprint, newest, cell)
    corrected = db.execute("SELECT 1 FROM correction WHERE media = ? AND frame = ? LIMIT 1", (media, frame)).fetchone()
    present = {(run, pose.track) for pose in result.poses if pose.track is not None}
    shown = set(keys)
    if corrected or newest != run:
        people = read_people(db, skeleton, media, frame)
        shown = {entry.prediction.id for entry in people.shown if entry.prediction and not entry.correction}
        cell, present = summarise(people, skeleton.count), owners_of(people)
        write_frame(db, media, frame, result.timestamp_s, fingerprint, newest, cell)
    if newest == run:
        doubts.store(db, skeleton, media, frame, [key if key in shown else None for key in keys], result.poses, trail)
    return cell, present


def _insert(db: sqlite3.Connection, run: int, media: int, frame: int, rank: int, pose: Pose) -> int:
    found = np.isfinite(pose.keypoints).all(axis=1) & np.isfinite(pose.scores)
    cursor = db.execute(
        "INSERT INTO prediction (media, frame, run, rank, score, track, box, keypoints, scores)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            media,
            frame,
            run,
            rank,
            float(pose.score),
            pose.track,
            pack(np.nan_to_num(pose.box)),
            pack(np.where(found[:, None], pose.keypoints, 0)),
            pack(np.where(found, pose.scores, 0)),
        ),
    )
    return int(cursor.lastrowid or 0)
