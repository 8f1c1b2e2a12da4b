"""A tracker that knows who is in the project already, so that numbers go on where a run begins or goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from poseviewer.core.values import Frame, MediaInfo, Pose
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.tracking import Tracker, make_tracker
from poseviewer.project import Project

REACH = 30
"""Frames before the one that comes next in which people are looked up."""


def tracker_for(
    project: Project | None,
    media: MediaInfo,
    media_id: int,
    config: PipelineConfig,
    joints: str,
    frames: Sequence[int],
    run: int | None,
) -> Tracker | None:
    """Return the tracker of a run over ``frames``, or None where nobody is to be tracked.

    Where frames are left out between two of the run, or before its first, the people that the project shows there
    keep their numbers; other people get numbers that nobody else of the media has. A run over the whole media goes on
    from the numbers of its first frames, so that a second run numbers people as the first did.

    Args:
        project: where predictions go, or None.
        media, media_id: of the run.
        config: of the run.
        joints: name of the poses' skeleton.
        frames: that are left to be computed.
        run: that is continued, or None for a new one.
    """
    from poseviewer.pipeline.appearance import appearance_for  # it brings torch

    look = appearance_for(config)
    if project is None:
        return make_tracker(config.tracker, joints, kind=media.kind, appearance=look)
    highest = 0
    if len(set(frames)) < media.frame_count:
        taken = project.tracks(media_id, 0, max(media.frame_count - 1, *frames, 0))
        highest = max((span.track for span in taken), default=0)
    inner = make_tracker(config.tracker, joints, kind=media.kind, highest=highest, appearance=look)
    return None if inner is None else _Recalling(inner, project, media_id, run)


class _Recalling:
    """Passes frames on to a tracker, and what the project knows of the frames between them."""

    def __init__(self, inner: Tracker, project: Project, media: int, run: int | None) -> None:
        self._inner = inner
        self._project = project
        self._media = media
        self._run = run
        self._last: int | None = None

    def update(self, frame: Frame | None, poses: Sequence[Pose]) -> tuple[Pose, ...]:
        """Number the poses of the next frame."""
        if frame is not None:
            if self._last is None:
                self._recall_first(frame.index)
            elif frame.index > self._last + 1:
                self._recall(range(max(self._last + 1, frame.index - REACH), frame.index))
            self._last = frame.index
        return self._inner.update(frame, poses)

    def recall(self, poses: Sequence[Pose]) -> None:
        """Take note of people who have their numbers."""
        self._inner.recall(poses)

    def _recall_first(self, frame: int) -> None:
        """Before the first frame of the run; where nobody is there, as in frame 0, the frames after it, backwards."""
        if not self._recall(range(max(frame - REACH, 0), frame)):
            self._recall(range(frame + REACH, frame, -1))

    def _recall(self, frames: Iterable[int]) -> bool:
        """Whether anybody with a number was found."""
        found = False
        for frame in frames:
            poses = [pose for pose in self._people(frame) if pose.track is not None]
            if found or poses:
                self._inner.recall(poses)
            found = found or bool(poses)
        return found

    def _people(self, frame: int) -> Sequence[Pose]:
        if self._run is not None:
            # Numbers that a person changed are changed again when this run's new frames are shown.
            return self._project.predictions(self._media, frame, self._run, as_found=True)
        return [person.pose for person in self._project.people(self._media, frame)]
