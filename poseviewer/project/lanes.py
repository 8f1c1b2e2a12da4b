"""The timeline's lanes: per-frame summaries packed in blocks of 512 frames, so that 200,000 frames read in a few
milliseconds, and their aggregation into columns.

Symbols: K joints, C columns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import ProjectError
from poseviewer.core.values import Array
from poseviewer.project.rows import CORRECTED, EMPTY, NONE, PREDICTED, Lanes
from poseviewer.project.tracks import BLOCK

CELL = np.dtype([("state", "u1"), ("people", "u1"), ("low", "<f2"), ("mean", "<f2"), ("high", "<f2")])
_RARITY = np.array([0, 2, 1, 3], dtype=np.uint8)
"""State -> how rare it is: NONE, PREDICTED, EMPTY, CORRECTED."""
_BY_RARITY = np.array([NONE, PREDICTED, EMPTY, CORRECTED], dtype=np.uint8)

Cells = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The summary of one frame in its lane.

    Attributes:
        state, people: as in ``FrameRow``.
        confidence: lowest, mean and highest of the people's mean joint scores, or None.
        joints: ``(K,)`` float32, for each joint the lowest score of the frame's people, NaN without people.
    """

    state: int
    people: int
    confidence: tuple[float, float, float] | None
    joints: Array


def write_cells(db: sqlite3.Connection, media: int, cells: Mapping[int, Cell]) -> None:
    """Put the summaries of some frames (frame -> cell) into their blocks."""
    blocks: dict[int, dict[int, Cell]] = {}
    for frame, cell in cells.items():
        blocks.setdefault(frame // BLOCK, {})[frame % BLOCK] = cell
    for block, inner in blocks.items():
        _write_states(db, media, block, inner)
        _write_joints(db, media, block, inner)


def _write_states(db: sqlite3.Connection, media: int, block: int, inner: Mapping[int, Cell]) -> None:
    row = db.execute("SELECT cells FROM lane WHERE media = ? AND block = ?", (media, block)).fetchone()
    before = row[0] if row else b""
    held = _read_cells(before) if row else blank_cells()
    for offset, cell in inner.items():
        low, mean, high = cell.confidence or (np.nan, np.nan, np.nan)
        held[offset] = (cell.state, min(cell.people, 255), low, mean, high)
    after = held.tobytes()
    if not held["state"].any():
        db.execute("DELETE FROM lane WHERE media = ? AND block = ?", (media, block))
    elif after != before:
        db.execute("INSERT OR REPLACE INTO lane (media, block, cells) VALUES (?, ?, ?)", (media, block, after))


def _write_joints(db: sqlite3.Connection, media: int, block: int, inner: Mapping[int, Cell]) -> None:
    offsets = list(inner)
    fresh = quantised(np.stack([cell.joints for cell in inner.values()]))
    # Naming the joints lets the key (media, joint, block) be searched; without them the whole media would be read.
    joints = ", ".join(map(str, range(fresh.shape[1])))
    stored: dict[int, bytes] = dict(
        db.execute(
            f"SELECT joint, cells FROM joint_lane WHERE media = ? AND joint IN ({joints}) AND block = ?", (media, block)
        ).fetchall()
    )
    for joint in range(fresh.shape[1]):
        before = stored.get(joint, bytes(BLOCK))
        held = np.frombuffer(_checked(before, BLOCK), dtype=np.uint8).copy()
        held[offsets] = fresh[:, joint]
        after = held.tobytes()
        if after == before:
            continue
        if not held.any():
            db.execute("DELETE FROM joint_lane WHERE media = ? AND block = ? AND joint = ?", (media, block, joint))
        else:
            db.execute("INSERT OR REPLACE INTO joint_lane VALUES (?, ?, ?, ?)", (media, block, joint, after))


def blank_cells() -> Cells:
    """Return a block in which nothing was ever looked at."""
    cells = np.zeros(BLOCK, dtype=CELL)
    for name in ("low", "mean", "high"):
        cells[name] = np.nan
    return cells


def quantised(scores: Array) -> npt.NDArray[np.uint8]:
    """Return scores 0..1 as 1..255, and NaN as 0."""
    steps = np.rint(np.clip(np.nan_to_num(scores), 0, 1) * 254) + 1
    return np.where(np.isnan(scores), 0, steps).astype(np.uint8)


def read_lanes(
    db: sqlite3.Connection, media: int, first: int, last: int, columns: int, joint: int | None = None
) -> Lanes:
    """Return the aggregates of frames first..last (inclusive) over ``columns`` columns.

    With more columns than frames several columns show the same frame.

    Raises:
        ValueError: if the range is empty or there is no column.
    """
    if last < first or columns < 1 or first < 0:
        raise ValueError(f"lanes of frames {first} to {last} in {columns} columns make no sense")
    count = last - first + 1
    cells = _range(db, media, first, last)
    starts = np.arange(columns, dtype=np.int64) * count // columns
    with np.errstate(invalid="ignore"):
        states = _BY_RARITY[np.maximum.reduceat(_RARITY[np.minimum(cells["state"], CORRECTED)], starts)]
        low = np.fmin.reduceat(cells["low"].astype(np.float32), starts)
        high = np.fmax.reduceat(cells["high"].astype(np.float32), starts)
    return Lanes(
        first=first,
        last=last,
        starts=starts + first,
        state=states,
        people=np.maximum.reduceat(np.ascontiguousarray(cells["people"]), starts),
        conf_min=low,
        conf_mean=_mean(cells["mean"].astype(np.float32), starts),
        conf_max=high,
        joint=None if joint is None else _mean(_joint_range(db, media, joint, first, last), starts),
    )


def state_counts(db: sqlite3.Connection) -> tuple[int, int, int, int]:
    """Return how many frames of the project are in each state, NONE (always 0) first."""
    data = [cells for (cells,) in db.execute("SELECT cells FROM lane")]
    states = np.concatenate([_read_cells(cells)["state"] for cells in data]) if data else np.zeros(0, dtype=np.uint8)
    counts = np.bincount(np.minimum(states, CORRECTED), minlength=4)
    return 0, int(counts[EMPTY]), int(counts[PREDICTED]), int(counts[CORRECTED])


def _mean(values: Array, starts: npt.NDArray[np.int64]) -> Array:
    found = ~np.isnan(values)
    total = np.add.reduceat(np.where(found, values, 0), starts)
    count = np.add.reduceat(found, starts, dtype=np.int64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _range(db: sqlite3.Connection, media: int, first: int, last: int) -> Cells:
    low = first // BLOCK
    parts = [_BLANK] * (last // BLOCK - low + 1)
    for block, data in _blocks(db, "SELECT block, cells FROM lane WHERE media = ?", (media,), first, last):
        parts[block - low] = _checked(data, len(_BLANK))
    # Joining bytes is many times quicker than assigning structured blocks one by one.
    cells: Cells = np.frombuffer(b"".join(parts), dtype=CELL)[first - low * BLOCK : last - low * BLOCK + 1]
    return cells


def _joint_range(db: sqlite3.Connection, media: int, joint: int, first: int, last: int) -> Array:
    low = first // BLOCK
    parts = [bytes(BLOCK)] * (last // BLOCK - low + 1)
    query = "SELECT block, cells FROM joint_lane WHERE media = ? AND joint = ?"
    for block, data in _blocks(db, query, (media, joint), first, last):
        parts[block - low] = _checked(data, BLOCK)
    steps = np.frombuffer(b"".join(parts), dtype=np.uint8)[first - low * BLOCK : last - low * BLOCK + 1]
    return _SCORES[steps]


def _blocks(
    db: sqlite3.Connection, query: str, values: tuple[int, ...], first: int, last: int
) -> Iterable[tuple[int, bytes]]:
    return db.execute(f"{query} AND block BETWEEN ? AND ?", (*values, first // BLOCK, last // BLOCK))


def _read_cells(data: bytes) -> Cells:
    return np.frombuffer(_checked(data, len(_BLANK)), dtype=CELL).copy()


def _checked(data: bytes, length: int) -> bytes:
    if len(data) != length:
        raise ProjectError("The project file is damaged: a lane has the wrong length.")
    return data


_BLANK = blank_cells().tobytes()
_SCORES = np.concatenate([[np.nan], np.arange(255) / 254]).astype(np.float32)
"""Stored step -> score."""
