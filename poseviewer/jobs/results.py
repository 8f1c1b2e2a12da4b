"""COCO results lists: RESULTS.json with the poses and RESULTS.images.json with the images their ids mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from poseviewer import __version__
from poseviewer.core.errors import CallError, FormatError
from poseviewer.core.files import atomic_write
from poseviewer.core.values import Array, FrameResult, MediaInfo
from poseviewer.formats.coco_model import (
    ImageEntry,
    ResultEntry,
    companion_path,
    images_of,
    number_in_name,
    read_annotations,
    read_json,
    read_results,
)

Json = dict[str, Any]
IdBox = tuple[int, tuple[float, float, float, float, float]]
"""Image id with x, y, width, height and score."""


SCORE_RULE = (
    "of a joint: its heatmap's peak; of a person: mean joint score + box score + 1.25 x best joint score, as AlphaPose"
    " ranks people, so 0 to about 3.25"
)


class ImageKey(msgspec.Struct, frozen=True):
    """The COCO image of one frame: ``id`` and ``file_name`` as in the results' companion."""

    id: int
    file_name: str


class GivenBoxes(msgspec.Struct, frozen=True):
    """Boxes of a COCO file, laid on the frames of a media.

    Attributes:
        images: frame index -> the file's image.
        boxes: frame index -> ``(n, 5)`` float32 xyxy and score; a frame without people has ``(0, 5)``.
        persons: the boxes come from annotations, so each is one person and pose NMS must not remove any.
        sizeless: how many boxes were left out because they have no width or no height.
    """

    images: dict[int, ImageKey]
    boxes: dict[int, Any]
    persons: bool
    sizeless: int = 0


def default_images(info: MediaInfo, names: Sequence[str], frames: Iterable[int], first_id: int) -> dict[int, ImageKey]:
    """Return ids from ``first_id`` on, in the order of ``frames``, with stable names."""
    stem = Path(info.path).stem
    keys: dict[int, ImageKey] = {}
    for offset, frame in enumerate(frames):
        name = names[frame] if names else f"{stem}_{frame:06d}.png"
        keys[frame] = ImageKey(first_id + offset, name)
    return keys


def result_rows(results: Iterable[FrameResult], images: dict[int, ImageKey]) -> list[Json]:
    """Return the poses as COCO results: keypoints as K times x, y, score; bbox x, y, width, height."""
    rows: list[Json] = []
    for result in results:
        image = images[result.frame]
        for pose in result.poses:
            points = np.concatenate([pose.keypoints, pose.scores[:, None]], axis=1).astype(np.float64)
            x1, y1, x2, y2 = pose.box.astype(np.float64).tolist()
            row: Json = {
                "image_id": image.id,
                "category_id": 1,
                "keypoints": np.round(points, 4).ravel().tolist(),
                "score": round(float(pose.score), 6),
                "bbox": [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)],
            }
            if pose.track is not None:
                row["track_id"] = int(pose.track)
            rows.append(row)
    return rows


def image_rows(
    info: MediaInfo, frames: Iterable[tuple[int, float]], images: dict[int, ImageKey], sizes: dict[int, tuple[int, int]]
) -> list[Json]:
    """Return one entry for each (frame, timestamp in seconds), people or not."""
    rows: list[Json] = []
    for frame, timestamp in frames:
        width, height = sizes.get(frame, info.size_wh)
        rows.append(
            {
                "id": images[frame].id,
                "file_name": images[frame].file_name,
                "media": Path(info.path).name,
                "frame_index": frame,
                "timestamp": round(timestamp, 6),
                "width": width,
                "height": height,
            }
        )
    return rows


def write_results(path: str | Path, rows: list[Json], images: list[Json], info: Json) -> tuple[Path, Path]:
    """Write RESULTS.json and RESULTS.images.json, both or neither; return both paths.

    Raises:
        FormatError: if they cannot be written.
    """
    import orjson

    path = Path(path)
    companion = companion_path(path)
    head = {"made_by": f"PoseViewer {__version__}", "score": SCORE_RULE}
    try:
        with atomic_write(path) as results, atomic_write(companion) as beside:
            beside.write(orjson.dumps({"info": head | info, "images": images}))
            results.write(orjson.dumps(rows))
            # A disk that is full says so here, before either takes its name.
            beside.flush()
            results.flush()
    except OSError as error:
        raise FormatError(f"{path} cannot be written: {error.strerror}.", file=path) from error
    return path, companion


def given_boxes(path: str | Path, info: MediaInfo, names: Sequence[str]) -> GivenBoxes:
    """Read the boxes of a COCO annotation or detection file for the frames of a media.

    Pictures are matched by file name; frames of a video by ``frame_index``, else by the number at the end of the
    file name. A detection file takes its images from RESULTS.images.json, else from numbers in the picture names.

    Raises:
        FormatError: if the file is wrong.
        CallError: if it names no frame of this media.
    """
    path = Path(path)
    persons = not isinstance(read_json(path), list)
    images, rows = (_annotated if persons else _detections)(path, info, names)
    if not images:
        raise CallError(f"{path.name} names no picture of {info.path}.", file=path)
    frame_of = {key.id: frame for frame, key in images.items()}
    boxes: dict[int, list[tuple[float, ...]]] = {frame: [] for frame in images}
    sizeless = 0
    for image_id, (x, y, width, height, score) in rows:
        if image_id not in frame_of:
            continue
        if width > 0 and height > 0:
            boxes[frame_of[image_id]].append((x, y, x + width, y + height, score))
        else:
            # There is nothing to crop, and AlphaPose's readers leave such boxes out too.
            sizeless += 1
    arrays: dict[int, Array] = {
        frame: np.asarray(found, dtype=np.float32).reshape(-1, 5) for frame, found in boxes.items()
    }
    return GivenBoxes(dict(sorted(images.items())), arrays, persons, sizeless)


def _annotated(path: Path, info: MediaInfo, names: Sequence[str]) -> tuple[dict[int, ImageKey], list[IdBox]]:
    found = read_annotations(path)
    category = found.category()
    rows = [
        (entry.image_id, (*entry.bbox, 1.0))
        for entry in found.file.annotations
        if entry.bbox is not None and not entry.iscrowd and entry.category_id == category.id
    ]
    return _match(path, info, names, found.file.images), rows


def _detections(path: Path, info: MediaInfo, names: Sequence[str]) -> tuple[dict[int, ImageKey], list[IdBox]]:
    from poseviewer.formats.coco_model import read_companion

    entries = [entry for entry in read_results(path) if entry.bbox is not None and entry.category_id == 1]
    companion = read_companion(path)
    if companion is not None:
        return _match(path, info, names, companion), _whole(entries)
    if names and all(isinstance(entry.image_id, str) for entry in entries):
        by_name = {name: number for number, name in enumerate(names, start=1)}
        images = {number - 1: ImageKey(number, name) for name, number in by_name.items()}
        known = [(by_name.get(str(entry.image_id)), entry) for entry in entries]
        rows = [(number, (*entry.bbox, entry.score)) for number, entry in known if number is not None and entry.bbox]
        return images, rows
    if names:
        numbers = {frame: number_in_name(name) for frame, name in enumerate(names)}
        return {f: ImageKey(n, names[f]) for f, n in numbers.items() if n is not None}, _whole(entries)
    raise CallError(
        f"{path.name} has no {companion_path(path).name} beside it, so its image ids mean no frames.", file=path
    )


def _whole(entries: Iterable[ResultEntry]) -> list[IdBox]:
    return [(e.image_id, (*e.bbox, e.score)) for e in entries if isinstance(e.image_id, int) and e.bbox is not None]


def _match(file: Path, info: MediaInfo, names: Sequence[str], listed: Iterable[ImageEntry]) -> dict[int, ImageKey]:
    """Lay the images that ``file`` lists on frames, each on one."""
    by_name = {name: frame for frame, name in enumerate(names)}
    matched: dict[int, ImageKey] = {}
    for image in images_of(listed, Path(info.path).name):
        name, index = image.file_name, image.frame_index
        base = Path(name).name
        frame = (
            by_name.get(name, by_name.get(base)) if names else (index if index is not None else number_in_name(base))
        )
        if frame is None or not 0 <= frame < info.frame_count:
            continue
        if frame in matched:
            what = "picture" if names else f"frame of {Path(info.path).name}"
            raise FormatError(f"{file.name}: {matched[frame].file_name} and {name} mean the same {what}.", file=file)
        matched[frame] = ImageKey(image.id, name)
    return matched
