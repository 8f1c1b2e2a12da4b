"""What an export would hold: counted page by page, so that it may run beside the window."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from poseviewer.core.errors import MediaError
from poseviewer.core.progress import JobEvent, ProgressMeter
from poseviewer.core.values import OCCLUDED, VISIBLE, Person
from poseviewer.media import open_media
from poseviewer.media.picture_size import picture_size
from poseviewer.project import read_held_out

if TYPE_CHECKING:
    from poseviewer.project import Project
    from poseviewer.project.rows import Include


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """Counts of what an export would write.

    Attributes:
        frames, empty_frames, people: counts.
        visible, occluded, absent: joints by visibility.
        outside: joints that are there but lie outside the picture.
        first_outside: (media, frame) of the first such joint, or None.
        held_out: frames that a retraining held out; they are not among the others if they are left out.
    """

    frames: int = 0
    empty_frames: int = 0
    people: int = 0
    visible: int = 0
    occluded: int = 0
    absent: int = 0
    outside: int = 0
    first_outside: tuple[int, int] | None = None
    held_out: int = 0

    @property
    def joints(self) -> int:
        """Joints that are there."""
        return self.visible + self.occluded


def summarise(
    project: Project, include: Include, *, leave_out: bool = False
) -> Generator[JobEvent, None, ExportSummary]:
    """Count what an export of ``include`` would write, as a job; ``leave_out`` held-out frames are only counted."""
    held = read_held_out(project)
    held_frames = 0
    sizes = PictureSizes(project)
    meter = ProgressMeter(0, "frames")
    total = ExportSummary()
    for row in project.export_rows(include):
        away = held.holds(row.media, row.frame)
        held_frames += away
        if not (away and leave_out):
            total = _add(total, row.media, row.frame, row.people, sizes.of(row.media, row.frame))
        if event := meter.step():
            yield event
    return replace(total, held_out=held_frames)


class PictureSizes:
    """Sizes of frames: a video's frames share one, the pictures of a folder have their own."""

    def __init__(self, project: Project) -> None:
        self._rows = {row.id: row for row in project.media_list()}
        self._files: dict[int, tuple[Path, ...]] = {}

    def of(self, media: int, frame: int) -> tuple[int, int]:
        """Return width and height in pixels; the media's own where the picture cannot be read."""
        row = self._rows[media]
        if row.info.kind == "video" or row.missing:
            return row.info.size_wh
        if media not in self._files:
            self._files[media] = _picture_files(row.path)
        files = self._files[media]
        try:
            return picture_size(files[frame]) if frame < len(files) else row.info.size_wh
        except MediaError:
            return row.info.size_wh


def _picture_files(path: str) -> tuple[Path, ...]:
    try:
        with open_media(path) as media:
            return tuple(getattr(media, "files", ()))
    except MediaError:
        return ()


def _add(
    total: ExportSummary, media: int, frame: int, people: tuple[Person, ...], size_wh: tuple[int, int]
) -> ExportSummary:
    seen = np.concatenate([person.visibility for person in people]) if people else np.zeros(0, np.uint8)
    points = np.concatenate([person.pose.keypoints for person in people]) if people else np.zeros((0, 2), np.float32)
    # A pixel's centre has whole coordinates, so the picture reaches half a pixel beyond the outermost centres.
    beyond = (points < -0.5) | (points > np.asarray(size_wh) - 0.5)
    outside = int((beyond.any(axis=1) & (seen > 0)).sum())
    return ExportSummary(
        total.frames + 1,
        total.empty_frames + (not people),
        total.people + len(people),
        total.visible + int((seen == VISIBLE).sum()),
        total.occluded + int((seen == OCCLUDED).sum()),
        total.absent + int((seen == 0).sum()),
        total.outside + outside,
        total.first_outside or ((media, frame) if outside else None),
    )
