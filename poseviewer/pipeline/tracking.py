"""Trackers: who is who from frame to frame.

A tracker sees the frames of a run one after the other and gives every pose a track number. Its state lives in the
object, one for each run; the steps are pure functions in :mod:`poseviewer.ops`.

Symbols: M poses of a frame, K joints.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from poseviewer.core.skeleton import skeleton, skeleton_names
from poseviewer.core.values import Frame, MediaKind, Pose
from poseviewer.ops import association, poseflow
from poseviewer.ops.assignment import limited_assignment, pixel_iou, pose_likeness
from poseviewer.pipeline.config import TrackerName

Float = npt.NDArray[np.float64]
SEEN_SCORE = 0.05
"""A joint below this score says nothing about where a person is."""
AREA_OF_BOX = 0.53
"""Share of a person's box that COCO's segment area has on average; OKS wants an area."""
UNKNOWN_SIGMA = 0.07
"""Of joints that no skeleton describes: about the mean of COCO's."""
OKS_UNLIKE = 0.7
"""Poses whose OKS is below 1 - this are different people."""
OKS_MEMORY = 30
"""So many frames the OKS tracker remembers somebody who is not seen."""
AUTO: TrackerName = "kalman"
"""What "auto" is in videos: of the three the one with the fewest switched numbers."""
NO_END = 1 << 30
"""Side of a picture of unknown size: boxes are not cut."""

Appearance = Callable[[Frame, Sequence[Pose]], npt.NDArray[np.floating]]
"""Features ``(M, D)`` of the people of a frame, as a re-identification network gives them."""


class Tracker(Protocol):
    """Gives poses their track numbers."""

    def update(self, frame: Frame | None, poses: Sequence[Pose]) -> tuple[Pose, ...]:
        """Return ``poses`` in their order with ``track`` set; the next frame of the run.

        Args:
            frame: its pixels help some trackers; None where there are none.
            poses: of the frame, best first.
        """
        ...

    def recall(self, poses: Sequence[Pose]) -> None:
        """Take note of a frame whose people have their numbers already (those without one are passed over)."""
        ...


def make_tracker(
    name: TrackerName,
    joints: str = "",
    *,
    kind: MediaKind = "video",
    highest: int = 0,
    appearance: Appearance | None = None,
) -> Tracker | None:
    """Return a new tracker, or None where nobody is to be tracked.

    Args:
        name: as in :class:`PipelineConfig`.
        joints: name of the poses' skeleton, for the sigmas of OKS; "" where nobody knows it.
        kind: of the media: "auto" tracks in videos only.
        highest: new tracks are numbered from the next one on.
        appearance: features that "kalman" compares; the others know none.
    """
    if name == "auto":
        name = AUTO if kind == "video" else ""
    if not name:
        return None
    if name == "poseflow":
        return PoseFlowTracker(highest=highest)
    sigmas = skeleton(joints).sigma_array if joints in skeleton_names() else None
    if name == "kalman":
        return KalmanTracker(sigmas, appearance=appearance, highest=highest)
    return OksTracker(sigmas, highest=highest)


def numbered(tracker: Tracker, frame: Frame | None, poses: Sequence[Pose]) -> tuple[Pose, ...]:
    """Return ``poses`` with the tracker's numbers; one with a number that is not finite gets none."""
    finite = [all(np.isfinite(values).all() for values in (pose.keypoints, pose.scores, pose.box)) for pose in poses]
    tracked = iter(tracker.update(frame, [pose for pose, good in zip(poses, finite, strict=True) if good]))
    return tuple(next(tracked) if good else pose for pose, good in zip(poses, finite, strict=True))


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _People:
    """The poses of a frame (or the last ones of several tracks) as arrays.

    Attributes:
        points: ``(M, K, 2)``.
        seen: ``(M, K)``.
        boxes: ``(M, 4)`` xyxy.
    """

    points: Float
    seen: npt.NDArray[np.bool_]
    boxes: Float

    @staticmethod
    def of(poses: Sequence[Pose]) -> _People:
        """Stack poses, of which there must be one at least."""
        scores = np.stack([pose.scores for pose in poses])
        boxes = np.stack([pose.box for pose in poses]).astype(np.float64)
        points = np.stack([pose.keypoints for pose in poses]).astype(np.float64)
        return _People(points, scores >= SEEN_SCORE, boxes)

    def moved(self, boxes: Float) -> _People:
        """The same people where their boxes are ``boxes`` ``(M, 4)``."""
        size = np.maximum(self.boxes[:, 2:] - self.boxes[:, :2], 1e-3)
        scale = (boxes[:, 2:] - boxes[:, :2]) / size
        points = (self.points - self.boxes[:, None, :2]) * scale[:, None] + boxes[:, None, :2]
        return _People(points, self.seen, boxes)

    def likeness(self, others: _People, sigmas: Float | None) -> Float:
        """OKS of every one of these (row) and of the others (column)."""
        if sigmas is None or len(sigmas) != self.points.shape[1]:
            sigmas = np.full(self.points.shape[1], UNKNOWN_SIGMA)
        return pose_likeness(self.points, self.seen, self._areas(), others.points, others.seen, others._areas(), sigmas)

    def _areas(self) -> Float:
        areas: Float = AREA_OF_BOX * np.clip(self.boxes[:, 2:] - self.boxes[:, :2], 1, None).prod(axis=1)
        return areas


class OksTracker:
    """The plain one: everybody is who was most alike, by OKS, where each person was seen last.

    Args:
        sigmas: ``(K,)``, or None where nobody knows them.
        highest: new tracks are numbered from the next one on.
    """

    def __init__(self, sigmas: Float | None = None, *, highest: int = 0) -> None:
        self._sigmas = sigmas
        self._highest = highest
        self._frame = 0
        self._known: dict[int, tuple[Pose, int]] = {}
        """By number: the pose seen last, and when."""

    def update(self, frame: Frame | None, poses: Sequence[Pose]) -> tuple[Pose, ...]:
        """Number the poses of the next frame."""
        self._frame += 1
        self._known = {number: known for number, known in self._known.items() if self._frame - known[1] <= OKS_MEMORY}
        numbers = [0] * len(poses)
        if poses and self._known:
            before = _People.of([pose for pose, _ in self._known.values()])
            unlike = 1 - before.likeness(_People.of(poses), self._sigmas)
            order = tuple(self._known)
            for row, column in limited_assignment(unlike, OKS_UNLIKE).pairs:
                numbers[column] = order[row]
        for index, number in enumerate(numbers):
            if not number:
                self._highest += 1
                numbers[index] = self._highest
        tracked = _with_tracks(poses, numbers)
        self._note(tracked)
        return tracked

    def recall(self, poses: Sequence[Pose]) -> None:
        """Take note of people who have their numbers."""
        self._frame += 1
        self._note(poses)

    def _note(self, poses: Sequence[Pose]) -> None:
        for pose in poses:
            if pose.track is not None:
                self._known[pose.track] = (pose, self._frame)
                self._highest = max(self._highest, pose.track)


class KalmanTracker:
    """Motion of the boxes and, by choice, appearance, in the three rounds of AlphaPose's re-ID tracker.

    Without ``appearance`` the first round compares poses and boxes instead: 1 - the mean of the boxes' IoU and the OKS
    of the detected pose and the last one, moved and scaled to where the filter expects its box. OKS alone falls apart
    where people are small or the estimator is unsure, IoU alone where two walk past each other slowly.

    Args:
        sigmas: ``(K,)``, or None where nobody knows them.
        config: the constants; the reference's, but new tracks are confirmed at once, unless given.
        appearance: features of a frame's people; a track that has none yet is compared by motion and pose.
        highest: new tracks are numbered from the next one on.
    """

    def __init__(
        self,
        sigmas: Float | None = None,
        config: association.AssociationConfig | None = None,
        *,
        appearance: Appearance | None = None,
        highest: int = 0,
    ) -> None:
        self._sigmas = sigmas
        self._config = config or association.AssociationConfig(sure_at_once=True)
        self._appearance = appearance
        self._tracks = association.Tracks(highest=highest)
        self._poses: dict[int, Pose] = {}
        """The last pose of every track that is remembered."""

    def update(self, frame: Frame | None, poses: Sequence[Pose]) -> tuple[Pose, ...]:
        """Number the poses of the next frame."""
        features, distance = None, self._unlike(poses)
        if self._appearance is not None and frame is not None:
            features = self._appearance(frame, poses)
            distance = _by_looks(features, distance)
        size = None if frame is None else (frame.pixels.shape[1], frame.pixels.shape[0])
        self._tracks = association.step(
            self._tracks, _boxes(poses), distance, self._config, features=features, size_wh=size
        )
        numbers = [0] * len(poses)
        for track in self._tracks.present:
            numbers[track.detection] = track.number
        tracked = _with_tracks(poses, numbers)
        self._keep(tracked)
        return tracked

    def recall(self, poses: Sequence[Pose]) -> None:
        """Take note of people who have their numbers."""
        known = [pose for pose in poses if pose.track is not None]
        numbers = [pose.track for pose in known if pose.track is not None]
        self._tracks = association.told(self._tracks, _boxes(known), numbers)
        self._keep(known)

    def _unlike(self, poses: Sequence[Pose]) -> association.Distance:
        def distance(tracks: Sequence[association.Track]) -> Float:
            if not tracks or not poses:
                return np.zeros((len(tracks), len(poses)))
            boxes, now = association.track_boxes(tracks), _People.of(poses)
            before = _People.of([self._poses[track.number] for track in tracks]).moved(boxes)
            return 1 - (before.likeness(now, self._sigmas) + pixel_iou(boxes, now.boxes)) / 2

        return distance

    def _keep(self, poses: Sequence[Pose]) -> None:
        self._poses |= {pose.track: pose for pose in poses if pose.track is not None}
        alive = {track.number for track in (*self._tracks.present, *self._tracks.lost)}
        self._poses = {number: pose for number, pose in self._poses.items() if number in alive}


class PoseFlowTracker:
    """PoseFlow with correspondences by optical flow; the reference matches ORB features.

    Args:
        config: the constants.
        highest: new tracks are numbered from the next one on.
    """

    def __init__(self, config: poseflow.PoseFlowConfig | None = None, *, highest: int = 0) -> None:
        self._config = config or poseflow.PoseFlowConfig()
        self._history = poseflow.History(highest=highest)
        self._size = (NO_END, NO_END)
        self._before: Frame | None = None

    def update(self, frame: Frame | None, poses: Sequence[Pose]) -> tuple[Pose, ...]:
        """Number the poses of the next frame."""
        if frame is not None:
            self._size = (frame.pixels.shape[1], frame.pixels.shape[0])
        points = self._points(frame)
        self._before = frame
        keypoints = np.stack([pose.keypoints for pose in poses]) if poses else np.zeros((0, 1, 2))
        self._history, found = poseflow.link(self._history, keypoints, points, self._size, self._config)
        return _with_tracks(poses, found.numbers.tolist())

    def recall(self, poses: Sequence[Pose]) -> None:
        """Take note of people who have their numbers."""
        known = [pose for pose in poses if pose.track is not None]
        keypoints = np.stack([pose.keypoints for pose in known]) if known else np.zeros((0, 1, 2))
        numbers = [pose.track for pose in known if pose.track is not None]
        self._history = poseflow.told(self._history, keypoints, numbers, self._size, self._config)
        self._before = None

    def _points(self, frame: Frame | None) -> poseflow.Correspondences:
        before = self._before
        if frame is None or before is None or before.pixels.shape != frame.pixels.shape:
            return poseflow.Correspondences.still(*self._size)
        from poseviewer.pipeline.optical_flow import correspondences

        return correspondences(before.pixels, frame.pixels)


def _by_looks(features: npt.NDArray[np.floating], otherwise: association.Distance) -> association.Distance:
    """Distance by features, ``otherwise`` for tracks that have none (they were recalled from a project)."""
    looks = association.appearance(features)

    def distance(tracks: Sequence[association.Track]) -> Float:
        table = otherwise(tracks)
        seen = [row for row, track in enumerate(tracks) if len(track.feature)]
        if seen and len(features):
            table[seen] = looks([tracks[row] for row in seen])
        return table

    return distance


def _boxes(poses: Sequence[Pose]) -> npt.NDArray[np.floating]:
    return np.stack([pose.box for pose in poses]) if poses else np.zeros((0, 4))


def _with_tracks(poses: Sequence[Pose], numbers: Sequence[int]) -> tuple[Pose, ...]:
    return tuple(dataclasses.replace(pose, track=number or None) for pose, number in zip(poses, numbers, strict=True))
