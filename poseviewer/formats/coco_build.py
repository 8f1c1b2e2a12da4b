"""From a project's rows to the entries of a COCO file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseviewer import __version__
from poseviewer.core.errors import FormatError
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import MediaInfo, Person
from poseviewer.formats.coco_eval import AREA_RULE
from poseviewer.formats.coco_extras import Extras, SourceImage, SourcePerson

Json = dict[str, Any]
SAME_BOX_PX = 0.01
"""A box within this of the imported one is the imported one: float32 at 4000 px is good to 0.0003."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The numbers of one person as they were in the project when the export began.

    Attributes:
        key: of the person in its frame.
        keypoints: ``(K, 2)`` float32 pixels.
        visibility: ``(K,)`` uint8.
        box: ``(4,)`` float32 xyxy.
        track: identity or None.
        scores: ``(K,)`` float32 for a prediction, None for a correction.
        score: of a prediction, None for a correction.
        said: what an imported file said about this person, or None.
    """

    key: str
    keypoints: npt.NDArray[np.float32]
    visibility: npt.NDArray[np.uint8]
    box: npt.NDArray[np.float32]
    track: int | None
    scores: npt.NDArray[np.float32] | None
    score: float | None
    said: SourcePerson | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One frame of the export with its people."""

    media: int
    frame: int
    timestamp_s: float
    people: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of one media for the export: ``stem`` is its unique part of picture names."""

    id: int
    info: MediaInfo
    stem: str
    extras: Extras


def shape_of(person: Person, where: str, said: SourcePerson | None = None) -> Shape:
    """Return a person's numbers, checked.

    Raises:
        FormatError: if one of them is not finite, naming ``where``.
    """
    pose = person.pose
    numbers = (pose.keypoints, pose.box, pose.scores, np.float32(pose.score))
    predicted = person.state == "predicted"
    if not all(np.isfinite(array).all() for array in numbers):
        raise FormatError(f"A number that is not finite stands in {where}, so nothing was exported.")
    return Shape(
        person.key,
        np.asarray(pose.keypoints, dtype=np.float32),
        np.asarray(person.visibility, dtype=np.uint8),
        np.asarray(pose.box, dtype=np.float32),
        pose.track,
        np.asarray(pose.scores, dtype=np.float32) if predicted else None,
        float(pose.score) if predicted else None,
        said,
    )


def unique_stems(media: Iterable[tuple[int, MediaInfo]]) -> dict[int, str]:
    """Return for each media id the stem of its picture names: the file's own, made unique and harmless."""
    stems: dict[int, str] = {}
    for number, info in media:
        stem = re.sub(r"[^\w.-]+", "_", Path(info.path).stem).strip("._") or "media"
        stems[number] = f"{stem}-{number}" if stem in stems.values() else stem
    return stems


def picture_name(source: Source, frame: int, name: str, ending: str) -> str:
    """Return the stable file name of an extracted frame.

    Args:
        source: the media.
        frame: index.
        name: the picture's own file name for pictures, "" for video frames.
        ending: "png" or "jpg".
    """
    if name and source.info.kind != "video":
        own = re.sub(r"[^\w.-]+", "_", Path(name).stem).strip("._")
        if own:
            return f"{own}.{ending}"
    return f"{source.stem}_{frame:06d}.{ending}"


class IdGiver:
    """Gives ids from 1 up, each once; a wanted id is given when it is free."""

    def __init__(self, wanted: Iterable[int | None] = ()) -> None:
        self._reserved = {number for number in wanted if number is not None}
        self._given: set[int] = set()
        self._next = 1

    def give(self, wanted: int | None = None) -> int:
        """Return ``wanted`` if it is positive and free, else the next number that nobody wants."""
        if wanted is None or wanted < 1 or wanted in self._given:
            while self._next in self._given or self._next in self._reserved:
                self._next += 1
            wanted = self._next
        self._given.add(wanted)
        return wanted


def image_entry(
    number: int, file_name: str, size_wh: tuple[int, int], row: Row, source: Source, said: SourceImage | None
) -> Json:
    """Return one entry of ``images``; unknown fields of an imported file come first."""
    return {
        **(said.fields if said else {}),
        "id": number,
        "file_name": file_name,
        "width": size_wh[0],
        "height": size_wh[1],
        "media": Path(source.info.path).name,
        "frame_index": row.frame,
        "timestamp": round(row.timestamp_s, 6),
    }


def annotation_entry(number: int, image: int, shape: Shape, row: Row) -> Json:
    """Return one entry of ``annotations``. float32 numbers are written in their shortest form."""
    said = shape.said
    entry: Json = dict(said.fields) if said else {}
    box = coco_box(shape.box)
    same = said is not None and said.bbox is not None and _same_box(said.bbox, shape.box)
    if same and said is not None and said.bbox is not None:
        box = list(said.bbox)
    area = AREA_RULE * float(box[2]) * float(box[3])
    if same and said is not None and said.area is not None:
        area = said.area
    entry |= {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": box,
        "area": area,
        "iscrowd": said.iscrowd if said else 0,
        "keypoints": coco_keypoints(shape),
        "num_keypoints": int((shape.visibility > 0).sum()),
        "frame_index": row.frame,
        "timestamp": round(row.timestamp_s, 6),
    }
    if shape.track is not None:
        entry["track_id"] = int(shape.track)
    if shape.scores is not None and shape.score is not None:
        entry |= {"score": np.float32(shape.score), "keypoint_scores": list(shape.scores)}
    return entry


def coco_keypoints(shape: Shape) -> list[Any]:
    """Return K times x, y, v; an absent joint is 0, 0, 0 as COCO has it.

    A joint that is where an imported file put it is written with that file's own digits.
    """
    source = shape.said.keypoints if shape.said else None
    if source is not None and len(source) != 3 * len(shape.visibility):
        source = None
    flat: list[Any] = []
    for joint, visibility in enumerate(shape.visibility.tolist()):
        x, y = shape.keypoints[joint]
        triple: list[Any] = [x, y, visibility] if visibility else [0, 0, 0]
        if source is not None:
            was_x, was_y, was_v = source[3 * joint : 3 * joint + 3]
            same_place = np.float32(was_x) == x and np.float32(was_y) == y
            if was_v == visibility and (same_place or not visibility):
                triple = [was_x, was_y, visibility]
        flat += triple
    return flat


def coco_box(box: npt.NDArray[np.float32]) -> list[Any]:
    """Return x, y, width, height of an xyxy box; sizes in thousandths of a pixel."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return [box[0], box[1], round(x2 - x1, 3), round(y2 - y1, 3)]


def _same_box(bbox: Sequence[float], box: npt.NDArray[np.float32]) -> bool:
    x, y, width, height = bbox
    return bool(np.allclose(box, [x, y, x + width, y + height], rtol=0, atol=SAME_BOX_PX))


def category_entry(kit: Skeleton, said: Json) -> Json:
    """Return the person category with joint names and limbs, numbered from 1 as COCO has it."""
    return {
        "supercategory": "person",
        **said,
        "id": 1,
        "name": "person",
        "keypoints": [name.replace(" ", "_") for name in kit.joints],
        "skeleton": [[first + 1, second + 1] for first, second in kit.limbs],
    }


def info_entry(name: str, include: str, part: str, sources: Iterable[Source], kit: Skeleton) -> Json:
    """Return the ``info`` block: where the file comes from and what its numbers mean."""
    now = datetime.now(UTC)
    return {
        "description": f"{name}: person keypoints" + (f", {part}" if part else ""),
        "version": "1.0",
        "year": now.year,
        "contributor": "",
        "date_created": now.isoformat(timespec="seconds"),
        "made_by": f"PoseViewer {__version__}",
        "include": include,
        "skeleton": kit.name,
        "coordinates": "displayed pixels after rotation; the centre of the top-left pixel is (0, 0)",
        "area_rule": f"the imported file's own area where there was one, else {AREA_RULE} x box area",
        "frames": "frame_index counts from 0 in display order; timestamp is in seconds from the first frame",
        "media": [
            {
                "name": Path(source.info.path).name,
                "kind": source.info.kind,
                "frame_count": source.info.frame_count,
                "fps": source.info.fps,
                "fingerprint": source.info.fingerprint,
                **({"imported_info": source.extras.info} if source.extras.info else {}),
            }
            for source in sources
        ],
    }


def split_media(sources: Iterable[Source], share: float) -> dict[int, str]:
    """Assign each media to "train" or "val", whole media only, copies of one content together.

    The order is that of the content fingerprints, so adding media moves few others.

    Raises:
        FormatError: if there are fewer than two different media.
    """
    import hashlib

    groups: dict[str, list[int]] = {}
    for source in sources:
        groups.setdefault(source.info.fingerprint or f"id {source.id}", []).append(source.id)
    if len(groups) < 2:
        raise FormatError(
            "A split into train and val needs at least two different media with something to export.",
            remedy="Export without a split.",
        )
    order = sorted(groups, key=lambda mark: hashlib.sha256(mark.encode()).hexdigest())
    count = min(max(round(share * len(order)), 1), len(order) - 1)
    return {number: "val" if place < count else "train" for place, mark in enumerate(order) for number in groups[mark]}


PictureNames = Callable[[int, int], str]
