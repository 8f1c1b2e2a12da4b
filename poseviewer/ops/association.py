"""Tracking by motion and appearance: Kalman-filtered boxes, matched in three rounds, one frame at a time.

Facts: reference/alphapose.md section 12 and trap 14 (what a track needs to count as confirmed). Everything here is a
pure function from what is known before a frame to what is known after it.

Symbols: N tracks, M detections, D numbers in a feature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.ops import kalman
from poseviewer.ops.assignment import Matches, cosine_distances, limited_assignment, pixel_iou

Float = npt.NDArray[np.float64]


class AssociationConfig(msgspec.Struct, frozen=True):
    """The constants of the tracker.

    Attributes:
        unlike: pairs of a greater distance are never matched in the first round.
        gate: nor those whose box is further from the expected one (squared Mahalanobis distance).
        motion_share: of the gating distance in the first round's cost.
        overlap: least overlap of boxes is 1 - this in the second round (tracks that were just there).
        overlap_new: the same for tracks that were seen once only.
        same: of a track and a lost one whose overlap exceeds 1 - this, the younger is dropped.
        keep_feature: share of the old feature when a new one comes.
        buffer: a lost track is remembered for so many frames.
        sure_at_once: a new track is confirmed when it begins. The reference leaves that out (so somebody who is missed
            in their second frame is forgotten and gets a new number).
    """

    unlike: float = 0.7
    gate: float = kalman.GATE_4
    motion_share: float = 0.02
    overlap: float = 0.5
    overlap_new: float = 0.7
    same: float = 0.15
    keep_feature: float = 0.9
    buffer: int = 240
    sure_at_once: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One identity.

    Attributes:
        number: from 1.
        mean, covariance: ``(8,)`` and ``(8, 8)``, the Kalman state.
        feature: ``(D,)`` of length 1, smoothed over frames; empty without appearance.
        detection: index of the detection it took last, in the frame ``last``.
        first, last: frames of its first and last detection.
        confirmed: it was matched again after it began.
    """

    number: int
    mean: Float
    covariance: Float
    feature: Float
    detection: int
    first: int
    last: int
    confirmed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """What is known after a frame.

    Attributes:
        present: in the frame, in the reference's order.
        lost: not seen now, but remembered.
        dropped: numbers of tracks that were lost for too long.
        frame: number of the frame, from 1; 0 before the first.
        highest: number so far.
    """

    present: tuple[Track, ...] = ()
    lost: tuple[Track, ...] = ()
    dropped: frozenset[int] = frozenset()
    frame: int = 0
    highest: int = 0

    @property
    def boxes(self) -> Float:
        """``(N, 4)`` xyxy of the present ones by the filter."""
        return track_boxes(self.present)


Distance = Callable[[Sequence[Track]], Float]
"""How unlike tracks and the detections of a frame are: ``(N, M)``, 0 is the same."""


def appearance(features: npt.NDArray[np.floating]) -> Distance:
    """Distance by features ``(M, D)`` of the detections."""

    def distance(tracks: Sequence[Track]) -> Float:
        if not tracks or not len(features):
            return np.zeros((len(tracks), len(features)))
        return cosine_distances(np.stack([track.feature for track in tracks]), unit(features))

    return distance


def unit(features: npt.NDArray[np.floating]) -> Float:
    """Features ``(M, D)`` brought to length 1."""
    values = np.asarray(features, dtype=np.float64)
    scaled: Float = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return scaled


def track_boxes(tracks: Sequence[Track]) -> Float:
    """``(N, 4)`` xyxy of tracks by the filter."""
    return kalman.state_boxes(np.stack([track.mean for track in tracks])) if tracks else np.zeros((0, 4))


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """The detections of one frame, ready to be matched."""

    number: int
    measured: Float
    features: Float
    keep_feature: float
    sure_at_once: bool = False

    def taken(self, tracks: Sequence[Track], detections: Sequence[int]) -> list[Track]:
        """The tracks after each took a detection."""
        if not tracks:
            return []
        means, covariances = kalman.update(
            np.stack([track.mean for track in tracks]),
            np.stack([track.covariance for track in tracks]),
            self.measured[list(detections)],
        )
        return [
            replace(
                track,
                mean=mean,
                covariance=covariance,
                feature=self._feature(track, detection),
                detection=detection,
                last=self.number,
                confirmed=True,
            )
            for track, detection, mean, covariance in zip(tracks, detections, means, covariances, strict=True)
        ]

    def _feature(self, track: Track, detection: int) -> Float:
        """What the track looks like after it took a detection."""
        if not self.features.shape[1]:
            return track.feature
        new = self.features[detection]
        mixed = self.keep_feature * track.feature + (1 - self.keep_feature) * new if len(track.feature) else new
        feature: Float = unit(mixed[None])[0]
        return feature

    def begun(self, number: int, detection: int) -> Track:
        """A new track."""
        mean, covariance = kalman.begin(self.measured[detection : detection + 1])
        feature = self.features[detection]
        return Track(
            number, mean[0], covariance[0], feature, detection, self.number, self.number, confirmed=self.sure_at_once
        )


def step(
    before: Tracks,
    boxes: npt.NDArray[np.floating],
    distance: Distance,
    config: AssociationConfig,
    *,
    features: npt.NDArray[np.floating] | None = None,
    size_wh: tuple[int, int] | None = None,
) -> Tracks:
    """Go on by one frame.

    Three rounds: confirmed and lost tracks by ``distance`` and motion; those just there by overlap; unconfirmed ones
    by overlap. What is left of the detections begins new tracks; what is left of the tracks is lost (or, where it was
    never confirmed, forgotten).

    Args:
        before: what was known.
        boxes: ``(M, 4)`` xyxy of the detections.
        distance: how unlike tracks and detections are.
        config: the constants.
        features: ``(M, D)``, smoothed in the tracks; None without appearance.
        size_wh: of the picture: lost tracks wait at its border instead of moving on outside. The reference lets them
            go, so that who comes back is never who left.
    """
    boxes = np.asarray(boxes).reshape(-1, 4)
    values = np.zeros((len(boxes), 0)) if features is None else unit(features)
    now = _Frame(
        before.frame + 1, kalman.measurements(boxes), values, config.keep_feature, sure_at_once=config.sure_at_once
    )
    confirmed = [track for track in before.present if track.confirmed]
    pool = _moved(confirmed, before.lost, size_wh)
    after: dict[int, Track] = {}
    first = limited_assignment(_cost(pool, distance, now, config), config.unlike)
    _take(after, pool, range(len(boxes)), first, now)

    there = [pool[row] for row in first.rows if row < len(confirmed)]
    free = list(first.columns)
    second = limited_assignment(1 - pixel_iou(track_boxes(there), boxes[free]), config.overlap)
    _take(after, there, free, second, now)
    newly_lost = [there[row] for row in second.rows]

    free = [free[column] for column in second.columns]
    unsure = [track for track in before.present if not track.confirmed]
    third = limited_assignment(1 - pixel_iou(track_boxes(unsure), boxes[free]), config.overlap_new)
    _take(after, unsure, free, third, now)
    begun = [now.begun(before.highest + 1 + order, free[column]) for order, column in enumerate(third.columns)]
    return _sorted(before, pool[len(confirmed) :], after, begun, newly_lost, now.number, config)


def told(before: Tracks, boxes: npt.NDArray[np.floating], numbers: Sequence[int]) -> Tracks:
    """Go on by one frame whose detections ``(M, 4)`` have their numbers (M) already; others are lost."""
    boxes = np.asarray(boxes).reshape(-1, 4)
    # Somebody else vouches for these numbers.
    now = _Frame(before.frame + 1, kalman.measurements(boxes), np.zeros((len(boxes), 0)), 1.0, sure_at_once=True)
    known = {track.number: track for track in _moved(before.present, before.lost, None)}
    seen = [(known[number], detection) for detection, number in enumerate(numbers) if number in known]
    went_on = {track.number: track for track in now.taken([row[0] for row in seen], [row[1] for row in seen])}
    present = [went_on.get(number) or now.begun(number, detection) for detection, number in enumerate(numbers)]
    lost = [track for track in known.values() if track.number not in numbers]
    return Tracks(
        tuple(present), tuple(lost), before.dropped - set(numbers), now.number, max(before.highest, *numbers, 0)
    )


def _moved(confirmed: Sequence[Track], lost: Sequence[Track], size_wh: tuple[int, int] | None) -> list[Track]:
    """The tracks one frame on; those that are lost do not grow or shrink any more."""
    pool = [*confirmed, *lost]
    if not pool:
        return []
    means, covariances = np.stack([track.mean for track in pool]), np.stack([track.covariance for track in pool])
    means[len(confirmed) :, 7] = 0
    means, covariances = kalman.predict(means, covariances)
    if size_wh is not None:
        held = means[len(confirmed) :]
        outside = ((held[:, :2] < 0) | (held[:, :2] > size_wh)).any(axis=1)
        held[outside, 4:] = 0
        held[:, :2] = np.clip(held[:, :2], 0, size_wh)
    return [
        replace(track, mean=mean, covariance=covariance)
        for track, mean, covariance in zip(pool, means, covariances, strict=True)
    ]


def _cost(pool: list[Track], distance: Distance, now: _Frame, config: AssociationConfig) -> Float:
    if not pool or not len(now.measured):
        return np.zeros((len(pool), len(now.measured)))
    means, covariances = np.stack([track.mean for track in pool]), np.stack([track.covariance for track in pool])
    motion = kalman.gating_distances(means, covariances, now.measured)
    mixed = (1 - config.motion_share) * distance(pool) + config.motion_share * motion
    cost: Float = np.where(motion > config.gate, np.inf, mixed)
    return cost


def _take(
    after: dict[int, Track], tracks: Sequence[Track], detections: Sequence[int], matches: Matches, now: _Frame
) -> None:
    chosen = [tracks[row] for row, _ in matches.pairs]
    for track in now.taken(chosen, [detections[column] for _, column in matches.pairs]):
        after[track.number] = track


def _sorted(
    before: Tracks,
    lost: list[Track],
    after: dict[int, Track],
    begun: list[Track],
    newly_lost: list[Track],
    frame: int,
    config: AssociationConfig,
) -> Tracks:
    """Put the tracks into their lists, in the reference's order."""
    stayed = [after[track.number] for track in before.present if track.number in after]
    found_again = [after[track.number] for track in lost if track.number in after]
    present = [*stayed, *begun, *found_again]
    still_lost = [track for track in lost if track.number not in after]
    # As in the reference, what is forgotten now leaves the list one frame later and can still be found again then.
    forgotten = {track.number for track in still_lost if frame - track.last > config.buffer}
    left = [track for track in (*still_lost, *newly_lost) if track.number not in before.dropped]
    present, left = _without_doubles(present, left, config.same)
    highest = before.highest + len(begun)
    return Tracks(tuple(present), tuple(left), before.dropped | forgotten, frame, highest)


def _without_doubles(present: list[Track], lost: list[Track], same: float) -> tuple[list[Track], list[Track]]:
    """Of a present and a lost track in one place keep the one that lived longer; the lost one of equals."""
    close = 1 - pixel_iou(track_boxes(present), track_boxes(lost)) < same
    younger_present, younger_lost = set(), set()
    for row, column in np.argwhere(close):
        if present[row].last - present[row].first > lost[column].last - lost[column].first:
            younger_lost.add(int(column))
        else:
            younger_present.add(int(row))
    return (
        [track for row, track in enumerate(present) if row not in younger_present],
        [track for column, track in enumerate(lost) if column not in younger_lost],
    )
