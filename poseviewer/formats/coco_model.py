"""COCO files as typed values: what is read from annotation files, results lists and their companions.

Fields that PoseViewer does not know stay in ``extras``, so that nothing a file says is lost on the way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from poseviewer.core.errors import FormatError
from poseviewer.formats.whole_body import completed

Json = dict[str, Any]
T = TypeVar("T")
FARTHEST_PX = 1e7
"""Coordinates and sizes beyond this are a mistake: no picture is so large, and float32 would not hold them."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ImageEntry(msgspec.Struct, frozen=True):
    """One entry of ``images``; ``frame_index`` and ``timestamp`` (seconds) are PoseViewer's own additions."""

    id: int
    file_name: str
    width: int | None = None
    height: int | None = None
    frame_index: int | None = None
    timestamp: float | None = None
    media: str | None = None


class AnnotationEntry(msgspec.Struct, frozen=True):
    """One entry of ``annotations``; ``bbox`` is x, y, width, height and ``keypoints`` K times x, y, v."""

    image_id: int
    category_id: int
    id: int | None = None
    bbox: tuple[float, float, float, float] | None = None
    keypoints: list[float] | None = None
    num_keypoints: int | None = None
    area: float | None = None
    iscrowd: int | bool = 0
    track_id: int | None = None
    score: float | None = None
    keypoint_scores: list[float] | None = None


class CategoryEntry(msgspec.Struct, frozen=True):
    """One entry of ``categories``; ``skeleton`` holds pairs of joint numbers from 1."""

    id: int
    name: str
    keypoints: list[str] = []
    skeleton: list[tuple[int, int]] = []


class CocoFile(msgspec.Struct, frozen=True):
    """The parts of an annotation file that PoseViewer reads."""

    images: list[ImageEntry]
    annotations: list[AnnotationEntry]
    categories: list[CategoryEntry]


class ImagesFile(msgspec.Struct, frozen=True):
    """The companion of a results list: the images that its ids mean."""

    images: list[ImageEntry]


class ResultEntry(msgspec.Struct, frozen=True):
    """One entry of a results list; ``keypoints`` holds K times x, y, score."""

    image_id: int | str
    category_id: int = 1
    score: float = 1.0
    keypoints: list[float] | None = None
    bbox: tuple[float, float, float, float] | None = None
    track_id: int | None = None


class Annotations(msgspec.Struct, frozen=True):
    """A checked annotation file together with the untyped original, from which extras are taken."""

    path: Path
    file: CocoFile
    raw: Json

    def category(self) -> CategoryEntry:
        """Return the person category: the one with keypoints, else the one named person, else the first."""
        kinds = self.file.categories
        named = [kind for kind in kinds if kind.name.lower() == "person"]
        return next((kind for kind in kinds if kind.keypoints), (named or kinds)[0])

    def image_extras(self, index: int) -> Json:
        """Return the fields of ``images[index]`` that the typed entry has no place for."""
        return _extras(self.raw["images"][index], ImageEntry)

    def annotation_extras(self, index: int) -> Json:
        """Return the fields of ``annotations[index]`` that the typed entry has no place for."""
        return _extras(self.raw["annotations"][index], AnnotationEntry)


def read_annotations(path: str | Path) -> Annotations:
    """Read and check a COCO annotation file; COCO-WholeBody's and Halpe's come as plain COCO with all joints named.

    Raises:
        FormatError: naming the file and the field that is missing or wrong.
    """
    path = Path(path)
    raw = read_json(path)
    if isinstance(raw, list):
        raise FormatError(f"{path.name} is a results list, but an annotation file is needed here.", file=path)
    try:
        raw = completed(raw)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{path.name}: its whole-body joints cannot be read: {error}.", file=path) from error
    file = _convert(raw, CocoFile, path)
    if not file.categories:
        raise FormatError(f"{path.name} has no categories, so its joints have no names.", file=path)
    found = Annotations(path, file, raw)
    _check_references(found)
    return found


def read_results(path: str | Path) -> list[ResultEntry]:
    """Read and check a COCO results list.

    Raises:
        FormatError: naming the file and the field that is missing or wrong.
    """
    path = Path(path)
    raw = read_json(path)
    if not isinstance(raw, list):
        raise FormatError(f"{path.name} is not a results list: a JSON array is expected.", file=path)
    entries = _convert(with_alphapose_fields(raw), list[ResultEntry], path)
    for number, entry in enumerate(entries):
        if entry.keypoints is None and entry.bbox is None:
            raise FormatError(f"{path.name}: entry [{number}] has neither keypoints nor bbox.", file=path)
        if entry.keypoints is not None and len(entry.keypoints) % 3:
            raise _length_error(path, f"[{number}].keypoints", len(entry.keypoints), "a multiple of 3")
        _check_finite(path, f"[{number}]", entry.score)
        _check_places(path, f"[{number}]", entry.keypoints, entry.bbox)
    return entries


def with_alphapose_fields(raw: Sequence[Any]) -> list[Any]:
    """Return a results list in which AlphaPose's ``box`` and ``idx`` stand as ``bbox`` and ``track_id``.

    An ``idx`` is an identity only where all people of a picture have different ones and not everybody has the same:
    without a tracker AlphaPose writes one for everybody (reference/alphapose.md section 7).
    """
    rows = [dict(row) if isinstance(row, dict) else row for row in raw]
    mine = [row for row in rows if isinstance(row, dict)]
    seen = [(str(row.get("image_id")), row["idx"]) for row in mine if _is_identity(row.get("idx"))]
    tracked = len(set(seen)) == len(seen) == len(mine) and len({idx for _, idx in seen}) > 1
    for row in mine:
        if "bbox" not in row and "keypoints" in row and isinstance(row.get("box"), list):
            row["bbox"] = row["box"]
        if tracked and "track_id" not in row:
            row["track_id"] = int(row["idx"])
    return rows


def _is_identity(idx: Any) -> bool:
    return isinstance(idx, int | float) and not isinstance(idx, bool) and float(idx).is_integer() and idx >= 0


def read_companion(path: str | Path) -> list[ImageEntry] | None:
    """Return the images of RESULTS.images.json beside the results list ``path``, or None if it is not there.

    Raises:
        FormatError: if the companion is there and damaged.
    """
    companion = companion_path(path)
    if not companion.is_file():
        return None
    raw = read_json(companion)
    if isinstance(raw, list):
        return _convert(raw, list[ImageEntry], companion)
    return _convert(raw, ImagesFile, companion).images


def images_of(images: Iterable[ImageEntry], media: str) -> list[ImageEntry]:
    """Return the images that are said to be of a media's name; all of them where none is."""
    listed = list(images)
    return [image for image in listed if image.media == media] or listed


def companion_path(path: str | Path) -> Path:
    """Return RESULTS.images.json for RESULTS.json."""
    path = Path(path)
    return path.with_name(f"{path.stem}.images.json")


def number_in_name(name: str) -> int | None:
    """Return the number that ends a picture's name before its ending, as in clip_000057.png, or None."""
    stem = Path(name).stem
    digits = stem[len(stem.rstrip("0123456789")) :]
    # No frame has a number of so many digits, and Python refuses to read some thousands of them.
    return int(digits) if 0 < len(digits) < 19 else None


def read_json(path: Path) -> Any:
    """Return the JSON value of a file.

    Raises:
        FormatError: if it cannot be read or is not JSON (NaN and Infinity are not JSON).
    """
    import orjson

    try:
        return orjson.loads(path.read_bytes().removeprefix(BYTE_ORDER_MARK))
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror}.", file=path) from error
    except orjson.JSONDecodeError as error:
        raise FormatError(f"{path.name} is not valid JSON: {error}.", file=path) from error


def _check_references(found: Annotations) -> None:
    """Reject doubled ids, references to nothing, wrong lengths and numbers that are not finite."""
    path, file = found.path, found.file
    images = {image.id for image in file.images}
    if len(images) != len(file.images):
        raise FormatError(f"{path.name}: two images have the same id.", file=path)
    joints = {kind.id: len(kind.keypoints) for kind in file.categories}
    for number, entry in enumerate(file.annotations):
        place = f"annotations[{number}]"
        if entry.image_id not in images:
            raise FormatError(f"{path.name}: {place}.image_id is {entry.image_id}, which no image has.", file=path)
        if entry.category_id not in joints:
            raise FormatError(
                f"{path.name}: {place}.category_id is {entry.category_id}, which no category has.", file=path
            )
        _check_keypoints(path, place, entry, joints[entry.category_id])
        _check_finite(path, place, entry.area, entry.score, *(entry.keypoint_scores or ()))
        if entry.area is not None and entry.area < 0:
            raise FormatError(f"{path.name}: {place}.area is negative.", file=path)
        _check_places(path, place, entry.keypoints, entry.bbox)


def _check_keypoints(path: Path, place: str, entry: AnnotationEntry, joints: int) -> None:
    if entry.keypoints is None:
        if entry.bbox is None:
            raise FormatError(f"{path.name}: {place} has neither keypoints nor bbox.", file=path)
        return
    if len(entry.keypoints) != 3 * joints:
        raise _length_error(path, f"{place}.keypoints", len(entry.keypoints), str(3 * joints))
    wrong = [v for v in entry.keypoints[2::3] if v not in (0, 1, 2)]
    if wrong:
        raise FormatError(f"{path.name}: {place}.keypoints has the visibility {wrong[0]:g}, not 0, 1 or 2.", file=path)


def _length_error(path: Path, place: str, length: int, wanted: str) -> FormatError:
    return FormatError(f"{path.name}: {place} has {length} numbers, {wanted} are expected.", file=path)


def _check_finite(path: Path, place: str, *numbers: float | None) -> None:
    # A number such as 1e400 is valid JSON and becomes infinite.
    if not all(math.isfinite(number) for number in numbers if number is not None):
        raise FormatError(f"{path.name}: {place} holds a number that is not finite.", file=path)


def _check_places(path: Path, place: str, keypoints: Sequence[float] | None, bbox: Sequence[float] | None) -> None:
    numbers = [*(keypoints or ()), *(bbox or ())]
    _check_finite(path, place, *numbers)
    farthest = max(numbers, key=abs, default=0.0)
    if abs(farthest) > FARTHEST_PX:
        raise FormatError(f"{path.name}: {place} holds {farthest:g}, which lies beyond any picture.", file=path)
    if bbox is not None and min(bbox[2:]) < 0:
        raise FormatError(f"{path.name}: {place}.bbox has a negative width or height.", file=path)


def _extras(raw: Json, kind: type[msgspec.Struct]) -> Json:
    known = set(kind.__struct_fields__)
    return {name: value for name, value in raw.items() if name not in known}


def _convert(raw: Any, kind: type[T], path: Path) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise FormatError(f"{path.name}: {_plain(str(error))}.", file=path) from error


def _plain(message: str) -> str:
    """Turn msgspec's message into words: where, and what is missing or wrong."""
    where = re.search(r" - at `\$\.?(.*)`$", message)
    place = where.group(1) if where and where.group(1) else "the file"
    missing = re.search(r"missing required field `(.*?)`", message)
    if missing:
        return f"{place} has no field {missing.group(1)}"
    wrong = re.search(r"Expected `(.*?)`, got `(.*?)`", message)
    if wrong:
        return f"{place} should be {wrong.group(1).replace(' | ', ' or ')}, not {wrong.group(2)}"
    return f"{place}: {message.split(' - at ')[0]}"
