"""Skeletons drawn over the frames of a media, as a video or as pictures."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poseviewer.core.drawing import Drawing
from poseviewer.core.progress import JobEvent, ProgressMeter
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import PICTURE_RATE, Person, Pose
from poseviewer.jobs.draw import draw_people
from poseviewer.jobs.video_out import video_writer
from poseviewer.media import Media

LEAST_SCORE, LEAST_SCORE_ALPHAPOSE = 0.05, 0.4
"""Joints below are not drawn; AlphaPose draws those of heatmap networks from 0.4 on."""
EVEN_S = 0.0015
"""Matroska rounds stamps to milliseconds; steps that vary no more are of one rate."""


def overlay_video(
    media: Media,
    people: Mapping[int, Sequence[Person | Pose]],
    kit: Skeleton,
    path: str | Path,
    *,
    boxes: bool = False,
    drawing: Drawing | None = None,
) -> Generator[JobEvent, None, Path]:
    """Write the frames of ``people`` with their skeletons to an mp4 file, in ascending order.

    Every frame is shown as long as in the media, also where its rate varies; where frames are left out, the next one
    follows at once.

    Raises:
        MediaError: if a frame cannot be read.
        FormatError: if the file cannot be written.
    """
    frames = sorted(people)
    least = LEAST_SCORE if drawing is None else LEAST_SCORE_ALPHAPOSE
    meter = ProgressMeter(len(frames), "frames")
    lengths = frame_seconds(media)[frames]
    rate = media.info.fps or PICTURE_RATE
    timed = bool(np.abs(lengths - 1 / rate).max(initial=0.0) > EVEN_S)
    starts = np.concatenate([[0.0], np.cumsum(lengths)]).tolist()
    with video_writer(path, media.info.size_wh, rate, timed=timed) as writer:
        for start, frame in zip(starts, media.frames(frames), strict=False):
            drawn = draw_people(frame.pixels, people[frame.index], kit, boxes=boxes, least_score=least, drawing=drawing)
            writer.add(drawn, start if timed else None)
            if event := meter.step(text="drawing"):
                yield event
    return Path(path)


def frame_seconds(media: Media) -> npt.NDArray[np.float64]:
    """Return ``(n,)`` how long each frame of a media is shown, in seconds; the last one as its rate says."""
    last = 1 / (media.info.fps or PICTURE_RATE)
    if media.info.kind != "video":
        return np.full(media.info.frame_count, last)
    return np.append(np.diff(media.timestamps), last)
