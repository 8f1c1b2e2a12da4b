"""Skeletons drawn over the frames of a media, as a video or as pictures."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from poseviewer.core.progress import JobEvent, ProgressMeter
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import FrameSource, Person, Pose
from poseviewer.jobs.draw import draw_people
from poseviewer.jobs.video_out import video_writer


def overlay_video(
    media: FrameSource,
    people: Mapping[int, Sequence[Person | Pose]],
    kit: Skeleton,
    path: str | Path,
    *,
    boxes: bool = False,
) -> Generator[JobEvent, None, Path]:
    """Write the frames of ``people`` with their skeletons to an mp4 file, in ascending order.

    Raises:
        MediaError: if a frame cannot be read.
        FormatError: if the file cannot be written.
    """
    frames = sorted(people)
    meter = ProgressMeter(len(frames), "frames")
    with video_writer(path, media.info.size_wh, media.info.fps) as writer:
        for frame in media.frames(frames):
            writer.add(draw_people(frame.pixels, people[frame.index], kit, boxes=boxes))
            if event := meter.step(text="drawing"):
                yield event
    return Path(path)
