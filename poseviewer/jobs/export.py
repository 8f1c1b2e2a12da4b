"""Exporting a project: joins the formats to the media that the pictures come from."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from poseviewer.core.errors import MediaError
from poseviewer.core.progress import JobEvent
from poseviewer.core.values import Pixels
from poseviewer.formats.alphapose_export import AlphaPoseOptions, export_alphapose
from poseviewer.formats.alphapose_json import Form
from poseviewer.formats.coco_export import ExportOptions, ExportReport, export_coco
from poseviewer.formats.posetrack import PoseTrackOptions, export_posetrack
from poseviewer.jobs.confirming import confirm
from poseviewer.jobs.frames import picture_names
from poseviewer.media import Media, frame_fingerprint, open_media
from poseviewer.project import MediaRow, Project

__all__ = [
    "ALPHAPOSE_FORMS",
    "AlphaPoseOptions",
    "AnyOptions",
    "ExportOptions",
    "ExportReport",
    "PoseTrackOptions",
    "export",
    "export_project",
]
AnyOptions = ExportOptions | AlphaPoseOptions | PoseTrackOptions
ALPHAPOSE_FORMS: dict[str, Form] = {"alphapose": "default", "alphapose-cmu": "cmu", "alphapose-open": "open"}
"""What the formats are called -> the form of AlphaPose's results."""


def export_project(
    path: str | Path, folder: str | Path, options: AnyOptions
) -> Generator[JobEvent, None, ExportReport]:
    """Open the project at ``path`` and export it. Raises as :func:`export`."""
    with Project.open(path) as project:
        return (yield from export(project, folder, options))


def export(project: Project, folder: str | Path, options: AnyOptions) -> Generator[JobEvent, None, ExportReport]:
    """Export an open project as COCO, with pictures from its media, as AlphaPose's results, or as PoseTrack's.

    Raises:
        MediaError: if a media is not there any more, or is another file than the one that was worked on.
        CallError, FormatError: as :func:`poseviewer.formats.coco_export.export_coco`,
            :func:`poseviewer.formats.alphapose_export.export_alphapose` and
            :func:`poseviewer.formats.posetrack.export_posetrack`.
    """
    reader = PictureReader(project)
    try:
        if isinstance(options, AlphaPoseOptions):
            return (yield from export_alphapose(project, folder, options, names=reader.name))
        if isinstance(options, PoseTrackOptions):
            return (yield from export_posetrack(project, folder, options, names=reader.name))
        if options.pictures != "none":
            for row in project.media_list():
                chosen = options.media is None or row.id in options.media
                if chosen and next(project.export_rows(options.include, row.id), None) is not None:
                    yield from reader.prepare(row.id)
        return (yield from export_coco(project, folder, options, pictures=reader.pixels, names=reader.name))
    finally:
        reader.close()


class PictureReader:
    """Reads frames of a project's media; each is opened when it is first needed."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._rows = {row.id: row for row in project.media_list()}
        self._open: dict[int, Media] = {}

    def pixels(self, media: int, frame: int) -> Pixels:
        """Return ``(H, W, 3)`` uint8 RGB pixels.

        Raises:
            MediaError: if they cannot be read.
        """
        return self._media(media).frame(frame).pixels

    def name(self, media: int, frame: int) -> str:
        """Return the file name of a picture, "" for a video frame or where the media is not there."""
        row = self._rows[media]
        if row.missing or row.info.kind == "video":
            return ""
        names = picture_names(self._media(media))
        return names[frame] if frame < len(names) else ""

    def prepare(self, media: int) -> Generator[JobEvent, None, None]:
        """Open a media and settle its frame table, telling progress.

        Raises:
            MediaError: as :meth:`pixels`.
        """
        row = self._rows[media]
        if not row.missing:
            with open_media(row.path) as opened:
                # The settled table is cached, so the next opening has it at once.
                yield from confirm(opened)
        self._media(media)

    def close(self) -> None:
        """Close what was opened."""
        for media in self._open.values():
            media.close()
        self._open = {}

    def _media(self, number: int) -> Media:
        if number not in self._open:
            self._open[number] = self._opened(self._rows[number])
        return self._open[number]

    def _opened(self, row: MediaRow) -> Media:
        name = Path(row.path).name
        if row.missing:
            raise MediaError(
                f"{name} is no longer at {row.path}.", file=row.path, remedy="Open the project and say where it is now."
            )
        media = open_media(row.path)
        info = media.confirm()
        if info.fingerprint != row.info.fingerprint:
            match = self._project.match_media(info, lambda frame: frame_fingerprint(media.frame(frame).pixels))
            if match.media != row.id:
                media.close()
                raise MediaError(
                    f"{row.path} is another file than the one that was worked on.",
                    file=row.path,
                    remedy="Put the old one back, or export without pictures.",
                )
        return media
