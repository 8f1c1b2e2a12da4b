"""Writing a project's people, with their tracks, as PoseTrack18 has them: one JSON file for each video.

Keypoints are PoseTrack's 17, each x, y in pixels (the centre of the top-left pixel is (0, 0)) and 1 where the joint is
there, 0, 0, 0 where not. What PoseTrack's set has and the project's has not (of COCO's joints: head bottom and head
top) is not there. ``track_id`` counts from 0; predictions also get ``scores``, one for each joint.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import CallError, FormatError
from poseviewer.core.joint_conversion import conversion, converted
from poseviewer.core.progress import JobEvent, Note, ProgressMeter
from poseviewer.core.skeleton import skeleton
from poseviewer.formats.coco_build import PictureNames, Row, Shape, coco_box, shape_of, unique_stems
from poseviewer.formats.coco_export import ExportReport
from poseviewer.formats.coco_model import read_json
from poseviewer.formats.folders import check_target, disk_errors, replace_folder, temporary_folder
from poseviewer.project import HeldOut, MediaRow, Project, everything_is_held, left_out
from poseviewer.project.rows import Include

Json = dict[str, Any]
SET = "posetrack18_17"
FOLDER = "posetrack"
IMAGES_A_VIDEO = 10_000
"""PoseTrack's image ids: the video's number, four digits of the frame (more where a video is longer)."""


class PoseTrackOptions(msgspec.Struct, frozen=True):
    """How to export: whose people, whether an earlier export is replaced, and whether held-out frames are written."""

    include: Include = "corrections"
    overwrite: bool = False
    include_held_out: bool = False


def export_posetrack(
    project: Project, folder: str | Path, options: PoseTrackOptions, *, names: PictureNames | None = None
) -> Generator[JobEvent, None, ExportReport]:
    """Export ``project`` to ``folder``: ``posetrack/VIDEO.json`` for every media with something to export.

    Everybody needs a track there: who has none gets a number of their own, in that one frame.

    Args:
        project: only read.
        folder: where to; it appears when all was written and read back.
        options: what and how.
        names: returns the picture's own file name of (media id, frame), "" for video frames.

    Raises:
        CallError: if the folder is taken, or the project's joints have next to nothing in common with PoseTrack's.
        FormatError: if there is nothing to export, a number is not finite, or the disk is full.
    """
    target = Path(folder).absolute()
    check_target(target, (FOLDER,), overwrite=options.overwrite)
    kit = skeleton(SET)
    order = conversion(project.skeleton, kit)
    absent = [kit.joints[joint] for joint in np.flatnonzero(order < 0)]
    if len(absent) > kit.count // 2:
        raise CallError(f"The joints of {project.skeleton.title} are not those of PoseTrack.", file=Path(project.path))
    if absent:
        yield Note(f"{project.skeleton.title} has no {', '.join(absent)}: PoseTrack's files get none.")
    held = left_out(project, include_held_out=options.include_held_out)
    files = []
    with disk_errors(target), temporary_folder(target) as work:
        (work / FOLDER).mkdir()
        stems = unique_stems((row.id, row.info) for row in project.media_list())
        images = persons = gone = 0
        for media in project.media_list():
            rows, away = yield from _rows(project, media, options, held)
            gone += away
            if not rows:
                continue
            name = f"{FOLDER}/{stems[media.id]}.json"
            _write_checked(work / name, _video(media, rows, order, stems[media.id], names))
            files.append(name)
            images += len(rows)
            persons += sum(len(row.people) for row in rows)
        if not files and gone:
            raise everything_is_held(project)
        if not files:
            raise FormatError(f"{Path(project.path).name} has nobody to export.", file=Path(project.path))
        replace_folder(work, target)
    report = ExportReport(str(target), tuple(files), images, persons, None, gone)
    if words := report.held_out_words():
        yield Note(words)
    return report


def _rows(
    project: Project, media: MediaRow, options: PoseTrackOptions, held: HeldOut
) -> Generator[JobEvent, None, tuple[list[Row], int]]:
    """The rows of a media to write, in order, and how many held-out ones are left out."""
    meter = ProgressMeter(0, "frames")
    rows: list[Row] = []
    gone = 0
    for found in project.export_rows(options.include, media.id):
        if held.holds(found.media, found.frame):
            gone += 1
            continue
        where = f"frame {found.frame} of media {found.media}"
        people = tuple(shape_of(person, where) for person in found.people)
        rows.append(Row(found.media, found.frame, found.timestamp_s or 0.0, people))
        if event := meter.step():
            yield event
    return sorted(rows, key=lambda row: row.frame), gone


def _video(
    media: MediaRow, rows: list[Row], order: npt.NDArray[np.int64], stem: str, names: PictureNames | None
) -> Json:
    """The file of one video: images, annotations, categories."""
    span = max(IMAGES_A_VIDEO, 10 ** len(str(media.info.frame_count)))
    numbers = _numbers(rows)
    images: list[Json] = []
    annotations: list[Json] = []
    for row in rows:
        image = media.id * span + row.frame
        own = Path(names(row.media, row.frame)).name if names else ""
        images.append(
            {
                "file_name": f"images/{stem}/{own or f'{row.frame:06d}.jpg'}",
                "id": image,
                "frame_id": image,
                "vid_id": f"{media.id:06d}",
                "nframes": media.info.frame_count,
                "is_labeled": True,
                "has_no_densepose": True,
                "frame_index": row.frame,
                "timestamp": round(row.timestamp_s, 6),
            }
        )
        for place, shape in enumerate(row.people):
            track = numbers[row.frame, place]
            annotations.append(_annotation(image * 100 + place, image, track, shape, order))
    return {"images": images, "annotations": annotations, "categories": [_category()]}


def _numbers(rows: list[Row]) -> dict[tuple[int, int], int]:
    """PoseTrack's number, from 0, of every person by (frame, place): people of one track have one number."""
    order: dict[int | tuple[int, int], int] = {}
    found: dict[tuple[int, int], int] = {}
    for row in rows:
        for place, shape in enumerate(row.people):
            identity: int | tuple[int, int] = (row.frame, place) if shape.track is None else shape.track
            found[row.frame, place] = order.setdefault(identity, len(order))
    return found


def _annotation(number: int, image: int, track: int, shape: Shape, order: npt.NDArray[np.int64]) -> Json:
    there = (shape.visibility > 0)[:, None]
    flagged = np.concatenate([shape.keypoints * there, there], axis=1).astype(np.float64)
    joints = converted(flagged, order)
    entry: Json = {
        "id": number,
        "image_id": image,
        "track_id": track,
        "category_id": 1,
        "bbox": [round(float(value), 3) for value in coco_box(shape.box)],
        "keypoints": [round(float(value), 3) for value in joints.reshape(-1)],
    }
    if shape.scores is not None and shape.score is not None:
        scores = converted(shape.scores[:, None] * there, order)[:, 0]
        entry |= {"scores": [round(float(value), 5) for value in scores], "score": round(float(shape.score), 5)}
    return entry


def _category() -> Json:
    kit = skeleton(SET)
    return {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": [re.sub(r"\s+", "_", joint) for joint in kit.joints],
        "skeleton": [[first + 1, second + 1] for first, second in kit.limbs],
    }


def _write_checked(path: Path, value: Json) -> None:
    """Write JSON and read it back.

    Raises:
        FormatError: if it is not what was written.
    """
    import orjson

    path.write_bytes(orjson.dumps(value))
    if read_json(path) != value:
        raise FormatError(f"{path.name} does not hold what was written.", file=path)
