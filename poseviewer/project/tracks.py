"""Identities over frames: renaming them by rule, and where each one is present.

Predictions are never edited, so giving a track another number "from here on" is one small row in the table ``track``:
in frames first..last, what this run called a is shown as b. Corrections carry their own number.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from poseviewer.core.errors import ProjectError
from poseviewer.project.rows import Span

if TYPE_CHECKING:
    from poseviewer.project.rows import PredictionRow

END = 2**62
"""Last frame of a rule that goes on to the end."""

Mapping = dict[int, int | None]


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


def spans(db: sqlite3.Connection, media: int, first: int, last: int) -> tuple[Span, ...]:
    """Return where each track is present in frames first..last (inclusive), by track and frame.

    Reads index entries only. Its cost grows with the tracked people in the range, not with the project.
    """
    rules = db.execute(
        "SELECT run, first, last, mapping FROM track WHERE media = ? AND first <= ? AND last >= ? ORDER BY id",
        (media, last, first),
    ).fetchall()
    present: set[tuple[int, int]] = set()
    decided = [(run, low, high, read_mapping(text)) for run, low, high, text in rules]
    for run, track, frame in db.execute(_PREDICTED, (media, first, last)):
        shown = _shown(run, track, frame, decided)
        if shown is not None:
            present.add((shown, frame))
    present.update(db.execute(_CORRECTED, (media, first, last)))
    return _joined(sorted(present))


_PREDICTED = """
SELECT prediction.run, prediction.track, prediction.frame
FROM prediction INDEXED BY prediction_by_track
JOIN frame ON frame.media = prediction.media AND frame.frame = prediction.frame AND frame.run = prediction.run
WHERE prediction.media = ? AND prediction.track IS NOT NULL AND prediction.frame BETWEEN ? AND ?
  AND NOT EXISTS (SELECT 1 FROM correction WHERE correction.origin = prediction.id)
"""
_CORRECTED = """
SELECT track, frame FROM correction
WHERE media = ? AND track IS NOT NULL AND frame BETWEEN ? AND ? AND deleted = 0
"""


def _shown(run: int, track: int, frame: int, rules: Sequence[tuple[int, int, int, Mapping]]) -> int | None:
    shown: int | None = track
    for of, first, last, mapping in rules:
        if of == run and first <= frame <= last and shown is not None:
            shown = mapping.get(shown, shown)
    return shown


def _joined(present: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for track, frame in present:
        if joined and joined[-1].track == track and joined[-1].last == frame - 1:
            joined[-1] = Span(track, joined[-1].first, frame)
        else:
            joined.append(Span(track, frame, frame))
    return tuple(joined)
