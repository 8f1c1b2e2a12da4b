"""Opening media and projects: generators that a JobThread runs, so that a slow disk never holds the window."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from poseviewer.core.errors import MediaError, ProjectError
from poseviewer.core.progress import JobEvent, Note, ProgressMeter
from poseviewer.core.values import MediaInfo

if TYPE_CHECKING:
    from poseviewer.media import Media
    from poseviewer.project import Project
    from poseviewer.project.rows import MediaMatch, MediaRow
    from poseviewer.project.shifts import Shift

log = logging.getLogger("poseviewer.opening")
PROJECT_SUFFIX = ".poseproj"


@dataclass(frozen=True, eq=False)
class Opened:
    """What opening gave.

    Attributes:
        project: open.
        media_id: of the media to show, or None for a project without media.
        media: open, or None where it is not at its place any more.
        missing: where the media should have been, or "".
        foreign: a file is there, but its frames are not those that were corrected.
        kin: another media of the project, with corrections, that may show the same in other frames, or None.
    """

    project: Project
    media_id: int | None
    media: Media | None
    missing: str = ""
    foreign: bool = False
    kin: int | None = None

    def close(self) -> None:
        """Let go of both: nobody wants them any more."""
        self.project.close()
        if self.media is not None:
            self.media.close()


def is_project(path: Path) -> bool:
    """Return whether ``path`` names a project file."""
    return path.suffix.lower() == PROJECT_SUFFIX


def one_target(paths: list[Path]) -> Path:
    """Return the one thing to open for ``paths``: several pictures of one folder are that folder.

    Raises:
        MediaError: if there is nothing to open.
    """
    if not paths:
        raise MediaError("Nothing was given to open.")
    for path in paths:
        if is_project(path):
            return path
    if len(paths) > 1 and len({path.parent for path in paths}) == 1 and paths[0].is_file():
        from poseviewer.media.pictures import is_picture

        if all(is_picture(path) for path in paths):
            return paths[0].parent
    return paths[0]


def project_path_for(info: MediaInfo) -> Path:
    """Return where the project of a media is: beside it, or in the person's data folder if that is read-only."""
    target = Path(info.path)
    beside = (target / f"{target.name}{PROJECT_SUFFIX}") if target.is_dir() else target.with_suffix(PROJECT_SUFFIX)
    if "*" in beside.name or "?" in beside.name:
        beside = beside.with_name(f"pictures{PROJECT_SUFFIX}")
    if beside.exists() or os.access(beside.parent, os.W_OK):
        return beside
    from platformdirs import user_data_path

    folder = Path(os.environ.get("POSEVIEWER_DATA") or user_data_path("poseviewer", appauthor=False)) / "projects"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{beside.stem}-{info.fingerprint[:8]}{PROJECT_SUFFIX}"


def open_job(path: Path, held: Path | None = None) -> Generator[JobEvent, None, Opened | None]:
    """Open a media with its project, or a project with its media; returns :class:`Opened`.

    Args:
        path: of a media or a project.
        held: project that is open and stays so until this one is there. If ``path`` needs that very project, None
            is returned: it must be let go first.

    Raises:
        MediaError, ProjectError: with one sentence.
    """
    yield Note(f"Opening {path.name}")
    if is_project(path):
        return None if same_file(path, held) else (yield from _open_project(path))
    return (yield from _open_media(path, held))


def same_file(path: Path, other: Path | None) -> bool:
    """Return whether both are there and are one file."""
    return other is not None and path.exists() and other.exists() and path.samefile(other)


def _open_media(path: Path, held: Path | None) -> Generator[JobEvent, None, Opened | None]:
    from poseviewer.media import open_media
    from poseviewer.project import Project

    media = open_media(path)
    try:
        place = project_path_for(media.info)
        if same_file(place, held):
            media.close()
            return None
        project = Project.open(place) if place.exists() else Project.create(place)
    except BaseException:
        media.close()
        raise
    try:
        media_id = media_id_of(project, media)
        kin = kin_of(project, media_id, media)
    except BaseException:
        project.close()
        media.close()
        raise
    yield Note(f"Opened {path.name}")
    return Opened(project, media_id, media, kin=kin)


def media_id_of(project: Project, media: Media) -> int:
    """Return the id of ``media`` in ``project``, known by content, else by its pictures; added if it is new.

    A file that was encoded again keeps its corrections: some of the stored frames' fingerprints are compared.
    """
    info = media.info
    found = compare(project, media)
    if found.media is not None:
        if found.moved or found.by == "frames":
            project.relink_media(found.media, info.path, info)
        return found.media
    for row in project.media_list():
        # Another file of that name, and nothing is stored that could belong to the old one.
        if Path(row.path) == Path(info.path) and not project.has_prints(row.id):
            project.relink_media(row.id, info.path, info)
            return row.id
    return project.add_media(info)


def fingerprint_of(media: Media, index: int) -> str:
    """Return the fingerprint of a frame, "" if it cannot be read."""
    from poseviewer.media import frame_fingerprint

    try:
        return frame_fingerprint(media.frame(index).pixels)
    except MediaError:
        return ""


def belongs(project: Project, row_id: int, media: Media) -> bool:
    """Return whether ``media`` is media ``row_id`` of ``project``, by content or by its pictures."""
    found = compare(project, media)
    return found.media == row_id or (found.media is None and not project.has_prints(row_id))


def compare(project: Project, media: Media) -> MediaMatch:
    """Return which media of ``project`` this one is: of the same content, or with the same pictures."""
    return project.match_media(media.info, partial(fingerprint_of, media))


def kin_of(project: Project, media_id: int, media: Media) -> int | None:
    """Return which corrected media a new one may be a cut or scaled copy of: of the same place, or the only other."""
    if project.corrected_frames(media_id) or project.runs(media_id):
        return None
    others = [row for row in project.media_list() if row.id != media_id and project.corrected_frames(row.id)]
    same = [row for row in others if Path(row.path) == Path(media.info.path)] or others
    return same[0].id if len(same) == 1 else None


def compare_job(project: Project, media_id: int, path: str) -> Generator[JobEvent, None, Shift | None]:
    """Find out how the frames of a file lie to those of a media of the project; None if they show something else.

    Raises:
        KnownError: if the file cannot be read.
    """
    from poseviewer.jobs.carrying import look_for_shift
    from poseviewer.media import open_media

    with open_media(path) as media:
        return (yield from look_for_shift(project, media_id, media))


def carry_job(project: Project, shift: Shift, path: str) -> Generator[JobEvent, None, tuple[int, int, int]]:
    """Take the corrections of a media over to a file; returns as ``carry_over``.

    Raises:
        KnownError: if the file cannot be read.
    """
    from poseviewer.jobs.carrying import carry_over
    from poseviewer.jobs.confirming import confirm
    from poseviewer.media import open_media

    with open_media(path) as media:
        # Corrections are bound to frames only when it is certain which those are.
        yield from confirm(media)
        return (yield from carry_over(project, shift, media))


def _open_project(path: Path) -> Generator[JobEvent, None, Opened]:
    from poseviewer.project import Project

    if not path.exists():
        raise ProjectError(f"{path.name} is not there.", file=path)
    project = Project.open(path)
    try:
        rows = project.media_list()
        if not rows:
            return Opened(project, None, None)
        wanted = project.setting("media", rows[0].id)
        row = next((entry for entry in rows if entry.id == wanted), rows[0])
        yield Note(f"Opening {Path(row.path).name}")
        media = _find_media(project, row)
        foreign = media is not None and not belongs(project, row.id, media)
        if media is not None and foreign:
            media.close()
            media = None
        elif media is not None and media.info.fingerprint != row.info.fingerprint:
            project.relink_media(row.id, media.info.path, media.info)
    except BaseException:
        project.close()
        raise
    return Opened(project, row.id, media, "" if media is not None else str(row.path), foreign)


def _find_media(project: Project, row: MediaRow) -> Media | None:
    from poseviewer.media import open_media

    for place in (Path(row.path), Path(project.path).parent / Path(row.path).name):
        if place.exists() or "*" in place.name:
            return open_media(place)
    return None


def confirm_job(
    media: Media, report: Callable[[JobEvent], object], cancelled: Callable[[], bool]
) -> Generator[JobEvent, None, tuple[Media, MediaInfo]]:
    """Confirm the frame table of ``media`` by decoding it once; returns (the media, its confirmed MediaInfo).

    Args:
        media: used on the job's thread only until the job ends.
        report: takes Progress at most ten times a second; decoding is one long call, so it cannot yield.
        cancelled: asked between frames.
    """
    meter = ProgressMeter(media.info.frame_count)

    def step(done: int, total: int) -> None:
        meter.total = total
        event = meter.step(done - meter.done)
        if event is not None:
            report(event)

    yield meter.snapshot()
    return media, media.confirm(progress=step, cancelled=cancelled)
