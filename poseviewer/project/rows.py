"""Frozen values that the project room hands out, and the rows it reads.

Symbols: K joints, C columns of a lane.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.changes import Changes
from poseviewer.core.values import Array, MediaInfo, Person, Pose
from poseviewer.project.blobs import unpack, unpack_bytes

NONE, EMPTY, PREDICTED, CORRECTED = 0, 1, 2, 3
"""States of a frame: never looked at, a run found nobody, a run found people, a person corrected something."""

Include = Literal["corrections", "predictions", "all"]
Outcome = Literal["done", "cancelled", "error"]


class SelectionImage(msgspec.Struct, frozen=True):
    """What was selected when an edit was made, so that undo can show it again; ``more`` beside ``joint``."""

    media: int | None = None
    frame: int = 0
    person: str | None = None
    joint: int | None = None
    more: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MediaRow:
    """One media of the project.

    Attributes:
        id: row id.
        path: where it is now: the relative path if something is there, else the absolute one.
        info: as it was when it was last seen, with ``path`` as above.
        relative: path relative to the project file's folder, with forward slashes; "" where there is none.
        missing: nothing is at either path.
    """

    id: int
    path: str
    info: MediaInfo
    relative: str
    missing: bool


@dataclass(frozen=True, slots=True)
class MediaMatch:
    """Which media of the project a file is.

    Attributes:
        media: id, or None if it is none of them.
        by: fingerprint (same content), frames (re-encoded: the frames look alike) or none.
        checked, agreeing: how many stored frame fingerprints were compared and how many agree.
        moved: its path differs from the stored one.
    """

    media: int | None
    by: Literal["fingerprint", "frames", "none"]
    checked: int = 0
    agreeing: int = 0
    moved: bool = False


@dataclass(frozen=True, slots=True)
class RunRow:
    """One execution of a pipeline.

    Attributes:
        id, media: row ids.
        started, finished: seconds since 1970; ``finished`` None while it runs or after a crash.
        outcome: running, done, cancelled or error.
        note: one sentence, or "".
        config, networks: as given to ``start_run``.
        frame_count: how many frames were asked for.
        done_count: how many are finished.
    """

    id: int
    media: int
    started: float
    finished: float | None
    outcome: str
    note: str
    config: dict[str, Any]
    networks: dict[str, Any]
    frame_count: int
    done_count: int


@dataclass(frozen=True, slots=True)
class FrameRow:
    """The summary of one frame.

    Attributes:
        media, frame: which.
        timestamp_s: seconds, or None if nobody told.
        fingerprint: of the content, or "".
        run: the newest run that processed it, or None.
        state: NONE, EMPTY, PREDICTED or CORRECTED.
        people: how many are shown.
        conf_min, conf_mean, conf_max: over the people, of each one's mean joint score; None without people that a
            network found.
    """

    media: int
    frame: int
    timestamp_s: float | None
    fingerprint: str
    run: int | None
    state: int
    people: int
    conf_min: float | None
    conf_mean: float | None
    conf_max: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Lanes:
    """Aggregates of frames ``first``..``last`` over C columns, for the timeline.

    Attributes:
        first, last: inclusive.
        starts: ``(C,)`` int64, first frame of each column.
        state: ``(C,)`` uint8, the rarest state in the column: CORRECTED before EMPTY before PREDICTED before NONE.
        people: ``(C,)`` uint8, the most people in one frame.
        conf_min, conf_mean, conf_max: ``(C,)`` float32, NaN where nothing was found.
        joint: ``(C,)`` float32 mean score of the chosen joint (the lowest of a frame's people), NaN where nothing
            was found; None unless a joint was asked for.
    """

    first: int
    last: int
    starts: npt.NDArray[np.int64]
    state: npt.NDArray[np.uint8]
    people: npt.NDArray[np.uint8]
    conf_min: Array
    conf_mean: Array
    conf_max: Array
    joint: Array | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Frames ``first``..``last`` (inclusive) in which a track is present without a gap."""

    track: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TrackChange:
    """A frame from which on somebody changed who is who: ``tracks`` are the numbers that are shown there now."""

    frame: int
    tracks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something worth a look.

    Attributes:
        frame: where.
        person_key: who, or "" (somebody who is missing has no key).
        joint: which, or None.
        kind: low_score, jump, sides, lost or doubled.
        figure: the number behind it: a score, pixels, a ratio, frames or an OKS.
        text_en: one sentence.
    """

    frame: int
    person_key: str
    joint: int | None
    kind: str
    figure: float
    text_en: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is: frames by state (a corrected frame counts once), corrected people, doubts left, runs."""

    media: int
    frames: int
    predicted: int
    empty: int
    corrected: int
    corrected_people: int
    runs: int


@dataclass(frozen=True, slots=True)
class UndoResult:
    """What undo or redo did, and what to select.

    Attributes:
        changes: as announced.
        name: of the step, English.
        media, frame, person, joint, more: the selection to show.
    """

    changes: Changes
    name: str
    media: int | None
    frame: int
    person: str | None
    joint: int | None
    more: tuple[int, ...] = ()


class ExportRow(NamedTuple):
    """One frame of an export."""

    media: int
    frame: int
    timestamp_s: float | None
    people: tuple[Person, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PredictionRow:
    """A stored prediction; ``pose`` is what the run produced with renamed tracks applied, ``track`` the run's own."""

    id: int
    run: int
    pose: Pose
    track: int | None

    COLUMNS = "id, run, score, track, box, keypoints, scores"

    @staticmethod
    def read(row: Sequence[Any], joints: int) -> PredictionRow:
        """Make one from a row of ``COLUMNS``; ``joints`` is K."""
        pose = Pose(
            keypoints=unpack(row[5], (joints, 2)),
            scores=unpack(row[6], (joints,)),
            box=unpack(row[4], (4,)),
            score=row[2],
            track=row[3],
        )
        return PredictionRow(row[0], row[1], pose, row[3])


@dataclass(frozen=True, slots=True, eq=False)
class CorrectionRow:
    """A stored correction.

    Attributes:
        id: row id.
        origin: the prediction it began as, or None if it was added by hand.
        run: the newest run of the frame when it was made: its predictions were on screen.
        deleted: the fact that this person is not there.
        pose, visibility: what the person decided; scores are the origin's.
        fingerprint, timestamp_s: of the frame, "" and None if nobody told.
    """

    id: int
    origin: int | None
    run: int | None
    deleted: bool
    pose: Pose
    visibility: npt.NDArray[np.uint8]
    fingerprint: str
    timestamp_s: float | None

    COLUMNS = "id, origin, run, deleted, score, track, box, keypoints, scores, visibility, fingerprint, timestamp"

    @property
    def key(self) -> str:
        """The person's key."""
        return f"c{self.id}" if self.origin is None else f"p{self.origin}"

    @staticmethod
    def read(row: Sequence[Any], joints: int) -> CorrectionRow:
        """Make one from a row of ``COLUMNS``; ``joints`` is K."""
        pose = Pose(
            keypoints=unpack(row[7], (joints, 2)),
            scores=unpack(row[8], (joints,)),
            box=unpack(row[6], (4,)),
            score=row[4],
            track=row[5],
        )
        visibility = unpack_bytes(row[9], joints)
        return CorrectionRow(row[0], row[1], row[2], bool(row[3]), pose, visibility, row[10], row[11])


def spans_of(frames: Iterator[int] | Sequence[int]) -> list[tuple[int, int, int]]:
    """Return frame numbers as ``(first, last, step)`` triples that keep their order, for the run row."""
    spans: list[tuple[int, int, int]] = []
    for frame in frames:
        if spans:
            first, last, step = spans[-1]
            if first == last and frame > last:
                spans[-1] = (first, frame, frame - last)
                continue
            if frame == last + step and frame > last:
                spans[-1] = (first, frame, step)
                continue
        spans.append((frame, frame, 1))
    return spans


def count_of(spans: Sequence[Sequence[int]]) -> int:
    """Return how many frames ``spans_of`` put into these spans."""
    return sum((last - first) // max(step, 1) + 1 for first, last, step in spans)


def frames_of(spans: Sequence[Sequence[int]]) -> list[int]:
    """Return the frame numbers of ``spans_of``."""
    return [frame for first, last, step in spans for frame in range(first, last + 1, max(step, 1))]
