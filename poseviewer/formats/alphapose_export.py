"""Writing a project's people as AlphaPose's result files."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from poseviewer.core.errors import FormatError
from poseviewer.core.progress import JobEvent, Note, ProgressMeter
from poseviewer.core.values import Person
from poseviewer.formats.alphapose_json import (
    FIRST,
    MASTER,
    AlphaImage,
    AlphaPerson,
    Form,
    bodies,
    check_joints,
    result_list,
    separate_name,
)
from poseviewer.formats.coco_build import PictureNames, unique_stems
from poseviewer.formats.coco_export import ExportReport
from poseviewer.formats.coco_model import read_json
from poseviewer.formats.folders import check_target, disk_errors, replace_folder, temporary_folder
from poseviewer.project import HeldOut, Project, everything_is_held, left_out
from poseviewer.project.rows import Include

RESULTS, SEPARATE = "alphapose-results.json", "sep-json"
MPII_JOINTS = 16


class AlphaPoseOptions(msgspec.Struct, frozen=True):
    """How to export: whose people, in which form, and whether an earlier export is replaced.

    Attributes:
        include: corrections, predictions or all, as for COCO.
        form: "default" is the plain list; "cmu" and "open" also write one file for each picture.
        overwrite: replace an earlier export in the same folder.
        true_neck: write the point between the shoulders as the neck for more than 17 joints too.
        include_held_out: write frames that a retraining held out too.
    """

    include: Include = "corrections"
    form: Form = "default"
    overwrite: bool = False
    true_neck: bool = False
    include_held_out: bool = False


def export_alphapose(
    project: Project, folder: str | Path, options: AlphaPoseOptions, *, names: PictureNames | None = None
) -> Generator[JobEvent, None, ExportReport]:
    """Export ``project`` to ``folder``: ``alphapose-results.json`` and, for cmu and open, ``sep-json/``.

    Corrections have no scores: a joint that is there gets 1, an absent one 0, and the person 1. A track becomes
    ``idx``. Frames without people leave no trace, as in AlphaPose's own files.

    Args:
        project: only read.
        folder: where to; it appears when all was written and read back.
        options: what and how.
        names: returns the picture's own file name of (media id, frame), "" for video frames.

    Raises:
        CallError: if the folder is taken, or the form does not suit the project's joints.
        FormatError: if there is nothing to export, a number is not finite, or the disk is full.
    """
    target = Path(folder).absolute()
    check_joints(project.skeleton, options.form)
    check_target(target, (RESULTS, SEPARATE), overwrite=options.overwrite)
    held = left_out(project, include_held_out=options.include_held_out)
    images, gone = yield from _images(project, options, held, names)
    if gone and not images:
        raise everything_is_held(project)
    if not images:
        raise FormatError(f"{Path(project.path).name} has nobody to export.", file=Path(project.path))
    persons = sum(len(image.people) for image in images)
    with disk_errors(target), temporary_folder(target) as work:
        files = _write(images, work, options, mpii=project.skeleton.count == MPII_JOINTS)
        replace_folder(work, target)
    report = ExportReport(str(target), tuple(files), len(images), persons, None, gone)
    if words := report.held_out_words():
        yield Note(words)
    return report


def _images(
    project: Project, options: AlphaPoseOptions, held: HeldOut, names: PictureNames | None
) -> Generator[JobEvent, None, tuple[list[AlphaImage], int]]:
    """The pictures to write, and how many held-out ones with people are left out."""
    stems = unique_stems((row.id, row.info) for row in project.media_list())
    meter = ProgressMeter(0, "frames")
    found: list[AlphaImage] = []
    taken: set[str] = set()
    gone = 0
    for row in project.export_rows(options.include):
        if held.holds(row.media, row.frame):
            gone += any(person.visibility.any() for person in row.people)
            continue
        where = f"frame {row.frame} of media {row.media}"
        people = tuple(_person(person, where) for person in row.people if person.visibility.any())
        name = Path(names(row.media, row.frame)).name if names else ""
        # AlphaPose knows pictures by their bare names only.
        if not name or name in taken:
            name = f"{stems[row.media]}_{row.frame:06d}.png"
        taken.add(name)
        if people:
            found.append(AlphaImage(name, people))
        if event := meter.step():
            yield event
    return found, gone


def _person(person: Person, where: str) -> AlphaPerson:
    pose = person.pose
    predicted = person.state == "predicted"
    scores = pose.scores if predicted else (person.visibility > 0).astype(np.float32)
    joints = np.concatenate([pose.keypoints, scores[:, None]], axis=1).astype(np.float64)
    x1, y1, x2, y2 = pose.box.astype(np.float64).tolist()
    score = float(pose.score) if predicted else 1.0
    if not (np.isfinite(joints).all() and np.isfinite([x1, y1, x2, y2, score]).all()):
        raise FormatError(f"Person {person.key} in {where} has a number that is not finite.")
    track = None if pose.track is None else int(pose.track)
    return AlphaPerson(np.round(joints, 4), round(score, 6), [x1, y1, x2 - x1, y2 - y1], track)


def _write(images: list[AlphaImage], work: Path, options: AlphaPoseOptions, *, mpii: bool) -> list[str]:
    if options.form == "default":
        _write_checked(work / RESULTS, result_list(images))
        return [RESULTS]
    version = FIRST if mpii else MASTER
    whole = bodies(images, options.form, version=version, true_neck=options.true_neck)
    _write_checked(work / RESULTS, whole)
    (work / SEPARATE).mkdir()
    for name, value in whole.items():
        _write_checked(work / SEPARATE / separate_name(name), value)
    return [RESULTS]


def _write_checked(path: Path, value: Any) -> None:
    """Write JSON and read it back.

    Raises:
        FormatError: if it is not what was written, or two pictures would share a file.
    """
    import orjson

    if path.exists():
        raise FormatError(f"Two pictures have the same name before the first dot: {path.stem}.", file=path)
    path.write_bytes(orjson.dumps(value))
    if read_json(path) != value:
        raise FormatError(f"{path.name} does not hold what was written.", file=path)
