"""Media rows: where the files are, and which media a file is after it was moved or encoded again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from poseviewer.core.errors import ProjectError
from poseviewer.core.values import MediaInfo
from poseviewer.project.rows import MediaMatch, MediaRow

SAMPLES = 24
"""How many stored frame fingerprints are compared at most."""

SAME_BITS = 10
"""Two fingerprints of 64 bits that differ in no more bits show the same picture."""

SAME_SHARE = 0.8
"""Share of compared frames that must agree."""

Sample = tuple[int, str, list[tuple[int, str]]]
"""Media, its path, and (frame, fingerprint) pairs."""


def add(db: sqlite3.Connection, project: Path, info: MediaInfo) -> int:
    """Insert a media and return its id.

    One that is there already is returned: of the same content, or of the same path while either of the two has no
    fingerprint yet.
    """
    row = None
    if info.fingerprint:
        row = db.execute("SELECT id FROM media WHERE fingerprint = ? LIMIT 1", (info.fingerprint,)).fetchone()
    if row is None:
        row = db.execute(
            "SELECT id FROM media WHERE path = ? AND (fingerprint = '' OR ? = '') LIMIT 1",
            (os.path.abspath(info.path), info.fingerprint),
        ).fetchone()
    if row is not None:
        return int(row[0])
    cursor = db.execute(
        "INSERT INTO media (path, relative, frame_count, fingerprint, info) VALUES (?, ?, ?, ?, ?)",
        _values(project, info.path, info),
    )
    return int(cursor.lastrowid or 0)


def relink(db: sqlite3.Connection, project: Path, media: int, path: str | Path, info: MediaInfo) -> None:
    """Store where a media is now and what is known about it.

    Raises:
        ProjectError: if there is no such media.
    """
    known = db.execute(
        "UPDATE media SET path = ?, relative = ?, frame_count = ?, fingerprint = ?, info = ? WHERE id = ?",
        (*_values(project, path, info), media),
    )
    if known.rowcount == 0:
        raise ProjectError(f"The project has no media {media}.")


def _values(project: Path, path: str | Path, info: MediaInfo) -> tuple[str, str, int, str, str]:
    absolute = os.path.abspath(path)
    relative = ""
    with contextlib.suppress(ValueError):  # another drive on Windows
        relative = Path(os.path.relpath(absolute, project.parent.resolve())).as_posix()
    text = msgspec.json.encode(dataclasses.replace(info, path=absolute)).decode()
    return absolute, relative, info.frame_count, info.fingerprint, text


def listed(db: sqlite3.Connection, project: Path) -> tuple[MediaRow, ...]:
    """Return the media in the order in which they were added."""
    rows = db.execute("SELECT id, path, relative, info FROM media ORDER BY id").fetchall()
    return tuple(_row(project, *row) for row in rows)


def _row(project: Path, media: int, path: str, relative: str, text: str) -> MediaRow:
    try:
        info = msgspec.json.decode(text, type=MediaInfo)
    except msgspec.DecodeError as error:
        raise ProjectError("The project file is damaged: what it says about a media cannot be read.") from error
    beside = os.path.normpath(project.parent.resolve() / relative) if relative else ""
    now = next((candidate for candidate in (beside, path) if candidate and _there(candidate)), None)
    return MediaRow(media, now or path, dataclasses.replace(info, path=now or path), relative, now is None)


def _there(path: str) -> bool:
    """Return whether something is at a path; of a glob the folder counts."""
    with contextlib.suppress(OSError, ValueError):
        return os.path.exists(path) or (any(c in os.path.basename(path) for c in "*?[") and Path(path).parent.is_dir())
    return False


def by_content(db: sqlite3.Connection, info: MediaInfo) -> MediaMatch | None:
    """Return the media of the same content, or None."""
    if not info.fingerprint:
        return None
    row = db.execute(
        "SELECT id, path FROM media WHERE fingerprint = ? ORDER BY id LIMIT 1", (info.fingerprint,)
    ).fetchone()
    return None if row is None else MediaMatch(row[0], "fingerprint", moved=row[1] != os.path.abspath(info.path))


def samples(db: sqlite3.Connection, info: MediaInfo) -> list[Sample]:
    """Return for each media some of its frame fingerprints, to be compared without holding the project up.

    Only media of as many frames and of that size are compared: a file that was cut or scaled shows the same pictures
    under other numbers or at other places, so nothing that is stored would fit it as it is.
    """
    medias = db.execute(
        "SELECT id, path FROM media WHERE frame_count = ? AND json_extract(info, '$.size_wh[0]') = ?"
        " AND json_extract(info, '$.size_wh[1]') = ? ORDER BY id",
        (info.frame_count, *info.size_wh),
    ).fetchall()
    return [(media, path, _spread(db, media, info.frame_count)) for media, path in medias]


def has_prints(db: sqlite3.Connection, media: int) -> bool:
    """Return whether the fingerprint of any frame of a media is stored."""
    row = db.execute("SELECT 1 FROM frame WHERE media = ? AND fingerprint != '' LIMIT 1", (media,)).fetchone()
    return row is not None


def by_frames(taken: list[Sample], info: MediaInfo, frame_fingerprint: Callable[[int], str]) -> MediaMatch:
    """Return the media whose frames look like those of a file: four in five differ in ten bits or fewer.

    Args:
        taken: from :func:`samples`.
        info: of the file.
        frame_fingerprint: returns the fingerprint of a frame of the file, hexadecimal; may be slow.
    """
    best = MediaMatch(None, "none")
    told: dict[int, str] = {}
    for media, path, stored in taken:
        for frame, _ in stored:
            if frame not in told:
                told[frame] = frame_fingerprint(frame)
        agreeing = sum(distance(told[frame], mark) <= SAME_BITS for frame, mark in stored)
        if stored and agreeing >= SAME_SHARE * len(stored) and agreeing > best.agreeing:
            best = MediaMatch(media, "frames", len(stored), agreeing, moved=path != os.path.abspath(info.path))
    return best


def _spread(db: sqlite3.Connection, media: int, frame_count: int) -> list[tuple[int, str]]:
    """Return up to SAMPLES frames with fingerprints, spread over the media, without reading them all."""
    found: dict[int, str] = {}
    step = max(frame_count / SAMPLES, 1)
    for sample in range(SAMPLES):
        row = db.execute(
            "SELECT frame, fingerprint FROM frame WHERE media = ? AND frame >= ? AND frame < ? AND fingerprint != ''"
            " ORDER BY frame LIMIT 1",
            (media, int(sample * step), frame_count),
        ).fetchone()
        if row is not None:
            found[row[0]] = row[1]
    return sorted(found.items())


def distance(one: str, other: str) -> int:
    """Return in how many bits two hexadecimal fingerprints differ; 64 if they cannot be compared."""
    if len(one) != len(other):
        return 64
    try:
        return (int(one, 16) ^ int(other, 16)).bit_count()
    except ValueError:
        return 64
