"""Where the frames of a media are in a file that was cut or encoded anew, told by the frames' fingerprints.

A file that lost its beginning shows what is frame f of the media as its frame f - offset. Neighbouring frames look much
alike, so of the offsets under which nearly all frames agree the one counts that fits best.

Symbols: S stored fingerprints, T those of the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.project.media_rows import SAME_BITS, SAME_SHARE

FEWEST = 3
"""Frames that must be compared before anything is said."""
CANDIDATES = 64
MOST_SAMPLES = 400


@dataclass(frozen=True, slots=True)
class Shift:
    """How a file's frames lie to those of a media.

    Attributes:
        media: id.
        offset: frame t of the file shows frame t + offset of the media.
        compared, agreeing: how many frames were compared, and how many of them look alike.
    """

    media: int
    offset: int
    compared: int
    agreeing: int


def stored_prints(db: sqlite3.Connection, media: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Return the ``(S,)`` frames of a media whose fingerprints are known, in order, and the ``(S,)`` fingerprints."""
    rows = db.execute(
        "SELECT frame, fingerprint FROM frame WHERE media = ? AND length(fingerprint) = 16 ORDER BY frame", (media,)
    ).fetchall()
    frames = np.array([frame for frame, _ in rows], dtype=np.int64)
    return frames, _numbers([mark for _, mark in rows])


def find_shift(
    media: int, frames: npt.NDArray[np.int64], prints: npt.NDArray[np.uint64], told: Mapping[int, str]
) -> Shift | None:
    """Return how the frames of a file lie to those of a media, or None if they show something else.

    Args:
        media: id.
        frames, prints: ``(S,)`` from :func:`stored_prints`.
        told: frame of the file -> fingerprint, hexadecimal.
    """
    known = {frame: mark for frame, mark in told.items() if len(mark) == 16}
    here = np.array(sorted(known), dtype=np.int64)
    marks = _numbers([known[int(frame)] for frame in here])
    if len(frames) < FEWEST or len(here) < FEWEST:
        return None
    best: tuple[float, Shift] | None = None
    for offset in _candidates(frames, prints, here, marks):
        _, in_media, in_file = np.intersect1d(frames, here + offset, assume_unique=True, return_indices=True)
        bits = np.bitwise_count(prints[in_media] ^ marks[in_file]).astype(np.int64)
        agreeing = int((bits <= SAME_BITS).sum())
        if len(bits) < FEWEST or agreeing < SAME_SHARE * len(bits):
            continue
        # Many frames that fit tolerably say more than a few that fit well by chance.
        misfit = (float(bits.sum()) + 1) / len(bits) ** 1.5
        if best is None or misfit < best[0]:
            best = (misfit, Shift(media, int(offset), len(bits), agreeing))
    return None if best is None else best[1]


def _candidates(
    frames: npt.NDArray[np.int64],
    prints: npt.NDArray[np.uint64],
    here: npt.NDArray[np.int64],
    marks: npt.NDArray[np.uint64],
) -> list[int]:
    """Return the offsets under which most pairs of frames look alike, the likeliest first."""
    found = []
    for index in range(0, len(frames), max(len(frames) // MOST_SAMPLES, 1)):
        alike = np.bitwise_count(marks ^ prints[index]) <= SAME_BITS
        found.append(frames[index] - here[alike])
    offsets, counts = np.unique(np.concatenate(found), return_counts=True)
    return [int(offset) for offset in offsets[np.argsort(-counts, kind="stable")][:CANDIDATES]]


def _numbers(marks: list[str]) -> npt.NDArray[np.uint64]:
    return np.array([int(mark, 16) for mark in marks], dtype=np.uint64)
