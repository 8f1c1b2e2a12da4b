"""Identities over frames: renaming them by rule, and where each one is present.

Predictions are never edited, so giving a track another number "from here on" is one small row in the table ``track``:
in frames first..last, what this run called a is shown as b. Corrections carry their own number. The table
``track_lane`` keeps who is shown where, as bits, under the run's own numbers, so that such a rule need not touch it.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import sqlite3
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import ProjectError
from poseviewer.project.rows import Span, TrackChange

if TYPE_CHECKING:
    from poseviewer.project.rows import PredictionRow

END = 2**62
"""Last frame of a rule that goes on to the end."""

BLOCK = 512
"""Frames in one row of ``track_lane``, a bit for each."""

Mapping = dict[int, int | None]
Owner = tuple[int, int]
"""Who a presence bit belongs to: (run, the run's own track) for a prediction, (0, track) for a correction."""


def renamed(db: sqlite3.Connection, media: int, frame: int, found: list[PredictionRow]) -> list[PredictionRow]:
    """Return predictions of one frame with the rules of the table ``track`` applied, oldest rule first."""
    if all(row.pose.track is None for row in found):
        return found
    rules = db.execute(
        "SELECT run, mapping FROM track WHERE media = ? AND first <= ? AND last >= ? ORDER BY id", (media, frame, frame)
    ).fetchall()
    for run, text in rules:
        found = [row if row.run != run else _renamed(row, read_mapping(text)) for row in found]
    return found


def _renamed(row: PredictionRow, mapping: Mapping) -> PredictionRow:
    track = row.pose.track
    if track is None or track not in mapping:
        return row
    return dataclasses.replace(row, pose=dataclasses.replace(row.pose, track=mapping[track]))


def read_mapping(text: str) -> Mapping:
    """Return the old and new numbers of a rule.

    Raises:
        ProjectError: if the text is no such rule.
    """
    try:
        return msgspec.json.decode(text, type=Mapping)
    except msgspec.DecodeError as error:
        raise ProjectError(f"The project file is damaged: a track rule reads {text[:40]!r}.") from error


def write_mapping(mapping: Mapping) -> str:
    """Return a rule's numbers as JSON text."""
    return msgspec.json.encode(mapping).decode()


def write_presence(
    db: sqlite3.Connection, media: int, present: collections.abc.Mapping[int, collections.abc.Set[Owner]]
) -> None:
    """Note who is shown in some frames.

    Args:
        db: connection, in a transaction.
        media: id.
        present: frame -> owners of the people shown there.
    """
    blocks: dict[int, dict[int, collections.abc.Set[Owner]]] = {}
    for frame, owners in present.items():
        blocks.setdefault(frame // BLOCK, {})[frame % BLOCK] = owners
    for block, inner in blocks.items():
        rows = db.execute("SELECT run, track, bits FROM track_lane WHERE media = ? AND block = ?", (media, block))
        before = {(run, track): bits for run, track, bits in rows}
        for owner in before.keys() | set().union(*inner.values()):
            held = _bits(before.get(owner, _NOBODY)).copy()
            held[list(inner)] = [owner in owners for owners in inner.values()]
            _write_bits(db, media, block, owner, held, before.get(owner))


def _write_bits(
    db: sqlite3.Connection, media: int, block: int, owner: Owner, held: npt.NDArray[np.uint8], before: bytes | None
) -> None:
    after = np.packbits(held).tobytes()
    if after == before:
        return
    if held.any():
        db.execute("INSERT OR REPLACE INTO track_lane VALUES (?, ?, ?, ?, ?)", (media, block, *owner, after))
    else:
        where = "media = ? AND block = ? AND run = ? AND track = ?"
        db.execute(f"DELETE FROM track_lane WHERE {where}", (media, block, *owner))


def spans(db: sqlite3.Connection, media: int, first: int, last: int) -> tuple[Span, ...]:
    """Return where each track is present in frames first..last (inclusive), by track and frame.

    Reads one short row for each track in each block of 512 frames, so a long video costs a few milliseconds.
    """
    low = first // BLOCK
    count = last // BLOCK - low + 1
    present: dict[Owner, npt.NDArray[np.uint8]] = {}
    for block, run, track, bits in db.execute(
        "SELECT block, run, track, bits FROM track_lane WHERE media = ? AND block BETWEEN ? AND ?",
        (media, low, last // BLOCK),
    ):
        held = present.setdefault((run, track), np.zeros((count, BLOCK), dtype=np.uint8))
        held[block - low] = _bits(bits)
    rows = {owner: held.reshape(-1)[first - low * BLOCK : last - low * BLOCK + 1] for owner, held in present.items()}
    rules = db.execute(
        "SELECT run, first, last, mapping FROM track WHERE media = ? AND first <= ? AND last >= ? ORDER BY id",
        (media, last, first),
    ).fetchall()
    for run, begin, end, text in rules:
        inside = slice(max(begin - first, 0), min(end, last) - first + 1)
        rows = _reassigned(rows, run, inside, read_mapping(text))
    merged: dict[int, npt.NDArray[np.uint8]] = {}
    for (_, track), held in rows.items():
        merged[track] = merged[track] | held if track in merged else held
    return tuple(span for track in sorted(merged) for span in _runs(track, merged[track], first))


def _reassigned(
    rows: dict[Owner, npt.NDArray[np.uint8]], run: int, inside: slice, mapping: Mapping
) -> dict[Owner, npt.NDArray[np.uint8]]:
    """Apply one rule: in the frames ``inside``, what ``run`` calls a is shown as b."""
    result = {owner: held.copy() for owner, held in rows.items()}
    for before in mapping:
        if (run, before) in result:
            result[run, before][inside] = 0
    for before, after in mapping.items():
        if (run, before) not in rows or after is None:
            continue
        target = result.setdefault((run, after), np.zeros_like(rows[run, before]))
        target[inside] |= rows[run, before][inside]
    return result


def changes(db: sqlite3.Connection, media: int, first: int, last: int) -> tuple[TrackChange, ...]:
    """Return where in frames first..last (inclusive) tracks were changed from there on, by frame.

    Two changes of one frame that cancel each other leave none.
    """
    rows = db.execute(
        "SELECT run, first, last, mapping FROM track WHERE media = ? AND first <= ? AND last >= ? ORDER BY id",
        (media, last, first),
    ).fetchall()
    total: dict[tuple[int, int], Mapping] = {}
    for run, begin, end, text in rows:
        mapping = read_mapping(text)
        for key, known in total.items():
            # A later rule renames both sides of an earlier change, where it holds on both.
            if key[0] == run and begin < key[1] <= end:
                renamed_sides = ((_after(mapping, old), _after(mapping, new)) for old, new in known.items())
                total[key] = {old: new for old, new in renamed_sides if old is not None}
        own = total.get((run, begin), {})
        total[run, begin] = {old: _after(mapping, own.get(old, old)) for old in own.keys() | mapping.keys()}
    found: dict[int, set[int]] = {}
    for (_, frame), mapping in total.items():
        changed = {new for old, new in mapping.items() if new is not None and new != old}
        if changed and max(first, 1) <= frame <= last:
            found.setdefault(frame, set()).update(changed)
    return tuple(TrackChange(frame, tuple(sorted(found[frame]))) for frame in sorted(found))


def _after(mapping: Mapping, track: int | None) -> int | None:
    return None if track is None else mapping.get(track, track)


def _runs(track: int, held: npt.NDArray[np.uint8], first: int) -> list[Span]:
    """Return the stretches of ones in ``held`` (any length, 0 or 1)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(np.int8), [0]])))
    return [Span(track, first + int(a), first + int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _bits(data: bytes) -> npt.NDArray[np.uint8]:
    if len(data) * 8 != BLOCK:
        raise ProjectError("The project file is damaged: a lane of tracks has the wrong length.")
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8))


_NOBODY = bytes(BLOCK // 8)
