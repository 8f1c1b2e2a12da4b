"""Importing annotations and results: joins the formats to the media that the pictures are."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from poseviewer.core.errors import CallError, FormatError
from poseviewer.core.joint_conversion import conversion
from poseviewer.core.progress import JobEvent
from poseviewer.core.skeleton import Skeleton
from poseviewer.formats.coco_import import ImportReport, Looked, import_coco
from poseviewer.formats.coco_model import read_json
from poseviewer.formats.joint_sets import skeleton_of_file
from poseviewer.jobs.confirming import confirm
from poseviewer.jobs.frames import picture_names
from poseviewer.media import open_media
from poseviewer.project import Project

__all__ = ["ImportReport", "import_file", "import_into"]


def import_file(
    path: str | Path, images: str | Path, project: Project, *, fit: bool = True
) -> Generator[JobEvent, None, ImportReport]:
    """Take a COCO annotation file, results list or AlphaPose's results into an open project.

    Args:
        path: the file.
        images: folder of the pictures, or the video that they are frames of.
        project: gets media and people.
        fit: a project that holds nobody takes the file's joint set where its own would lose joints.

    Raises:
        FormatError, MediaError: one sentence naming file and field.
    """
    if fit:
        _fit(Path(path), project)
    if Path(images).is_file():
        with open_media(images) as media:
            # The settled table is cached, so the import's own look is quick.
            yield from confirm(media)
    return (yield from import_coco(path, images, project, look=look))


def import_into(
    path: str | Path, images: str | Path, project: str | Path, *, kit: Skeleton | None = None
) -> Generator[JobEvent, None, ImportReport]:
    """Import into the project at a path, made if need be; a project made for a failed import is removed again.

    Args:
        path, images: as for :func:`import_file`.
        project: the project file.
        kit: joint set of a project that is made; the file's own unless given.

    Raises:
        CallError: if the project is there and has another joint set than ``kit``.
        FormatError, MediaError: as :func:`import_file`.
    """
    target = Path(project)
    fresh = not target.exists()
    opened = Project.create(target, skeleton=kit or skeleton_of_file(path)) if fresh else Project.open(target)
    if kit is not None and opened.skeleton.joints != kit.joints:
        opened.close()
        raise CallError(
            f"{target.name} has the joints of {opened.skeleton.name} already, not those of {kit.name}.",
            file=target,
            remedy="Leave --skeleton out, or import into a new project.",
        )
    try:
        with opened:
            return (yield from import_file(path, images, opened, fit=kit is None))
    except BaseException:
        if fresh:
            target.unlink(missing_ok=True)
        raise


def _fit(path: Path, project: Project) -> None:
    """Give a project that holds nobody the joint set of a file, where its own has no place for some of the joints."""
    try:
        kit = skeleton_of_file(path)
    except FormatError:
        # What is wrong is said by the import itself, and an unknown number of joints may be the project's own.
        return
    placed = int((conversion(kit, project.skeleton) >= 0).sum())
    nameless = isinstance(read_json(path), list)
    if placed < kit.count and not (nameless and kit.count == project.skeleton.count):
        project.use_skeleton(kit)


def look(path: Path) -> Looked:
    """Open a folder, picture or video and say what it is; a video's frames are counted by decoding."""
    with open_media(path) as media:
        info = media.confirm()
        names = picture_names(media)
        timestamps = () if names else tuple(float(second) for second in media.timestamps)
        return Looked(info, names, timestamps)
