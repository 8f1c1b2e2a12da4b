"""Reading an export back: number for number against the project's rows, and scored against itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseviewer.core.errors import FormatError
from poseviewer.core.skeleton import Skeleton
from poseviewer.formats.coco_build import Row, Shape
from poseviewer.formats.coco_eval import coco_scores, quiet

Json = dict[str, Any]
SIZE_TOLERANCE_PX = 0.001
"""Widths and heights are written in thousandths of a pixel; float32 corners add their own grain."""


@dataclass(frozen=True, slots=True)
class Written:
    """One image of the export: id, file name, size in pixels, its row, and a hash of PNG pixels."""

    id: int
    name: str
    size_wh: tuple[int, int]
    row: Row
    mark: str | None


def check_part(path: Path, images: list[Written], kit: Skeleton, folder: Path) -> float | None:
    """Read ``path`` with pycocotools and compare it with what should be in it.

    Returns:
        AP against itself, or None if nobody has a joint.

    Raises:
        FormatError: naming the first thing that differs.
    """
    from pycocotools.coco import COCO

    with quiet():
        coco = COCO(str(path))
    _check_structure(coco, path, images, kit)
    for image in images:
        entry = coco.imgs[image.id]
        if (entry["file_name"], entry["width"], entry["height"]) != (image.name, *image.size_wh):
            raise _mismatch(path, f"image {image.id} is {entry['file_name']} instead of {image.name}")
        written = coco.imgToAnns.get(image.id, [])
        if len(written) != len(image.row.people):
            raise _mismatch(path, f"{image.name} has {len(written)} persons instead of {len(image.row.people)}")
        for shape, annotation in zip(image.row.people, written, strict=True):
            _check_annotation(path, image, shape, annotation)
    _check_pictures(path, images, folder)
    return _self_score(path, coco, kit)


def _check_structure(coco: Any, path: Path, images: list[Written], kit: Skeleton) -> None:
    if sorted(coco.imgs) != sorted(image.id for image in images):
        raise _mismatch(path, "the image ids differ")
    numbers = [entry["id"] for entry in coco.dataset["annotations"]]
    if len(set(numbers)) != len(numbers) or any(number < 1 for number in numbers):
        raise _mismatch(path, "annotation ids are not distinct numbers from 1")
    joints = coco.cats[1]["keypoints"]
    if [name.replace("_", " ") for name in joints] != list(kit.joints):
        raise _mismatch(path, "the joint names differ")
    if any(not 1 <= joint <= kit.count for limb in coco.cats[1]["skeleton"] for joint in limb):
        raise _mismatch(path, "a limb names a joint that is not there")


def _check_annotation(path: Path, image: Written, shape: Shape, entry: Json) -> None:
    """Compare one annotation with the project's numbers; coordinates must be equal as float32."""
    where = f"annotation {entry['id']} of {image.name}"
    numbers = np.asarray(entry["keypoints"], dtype=np.float64).reshape(-1, 3)
    if not np.array_equal(numbers[:, 2], shape.visibility):
        raise _mismatch(path, f"{where}: a visibility differs")
    present = shape.visibility > 0
    crowd = shape.said.iscrowd if shape.said else 0
    if not np.array_equal(numbers[present, :2].astype(np.float32), shape.keypoints[present]):
        raise _mismatch(path, f"{where}: a joint's place differs")
    x, y, width, height = entry["bbox"]
    grain = 4 * float(np.spacing(np.abs(shape.box).max(initial=1.0)))
    if not np.allclose([x, y, x + width, y + height], shape.box, rtol=0, atol=10 * SIZE_TOLERANCE_PX + grain):
        raise _mismatch(path, f"{where}: the box differs")
    if entry["num_keypoints"] != int(present.sum()) or entry["iscrowd"] != crowd:
        raise _mismatch(path, f"{where}: num_keypoints or iscrowd differs")
    if not entry["area"] >= 0 or entry["category_id"] != 1:
        raise _mismatch(path, f"{where}: area or category_id is wrong")
    if entry.get("track_id") != shape.track or entry["frame_index"] != image.row.frame:
        raise _mismatch(path, f"{where}: track_id or frame_index differs")


def _check_pictures(path: Path, images: list[Written], folder: Path) -> None:
    """Every extracted picture is there; five spread over the export hold the very pixels."""
    import cv2
    import xxhash

    extracted = [image for image in images if (folder / "images").is_dir()]
    for image in extracted:
        file = folder / "images" / image.name
        if not file.is_file() or not file.stat().st_size:
            raise _mismatch(path, f"the picture {image.name} is missing")
    for image in extracted[:: max(len(extracted) // 5, 1)]:
        pixels = cv2.imread(str(folder / "images" / image.name), cv2.IMREAD_COLOR)
        if pixels is None or (pixels.shape[1], pixels.shape[0]) != image.size_wh:
            raise _mismatch(path, f"the picture {image.name} has another size")
        mark = xxhash.xxh3_64_hexdigest(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).tobytes())
        if image.mark is not None and image.mark != mark:
            raise _mismatch(path, f"the picture {image.name} has other pixels")


def _self_score(path: Path, coco: Any, kit: Skeleton) -> float | None:
    """Score the file against itself; anything but AP 1 is an error.

    Results with few joints come first: a pose that is part of another one (same places, fewer joints) would
    otherwise be taken by the fuller one, which agrees with both.
    """
    results: list[Json] = []
    for entry in coco.dataset["annotations"]:
        if entry["iscrowd"] or not entry["num_keypoints"]:
            continue
        results.append(
            {
                "image_id": entry["image_id"],
                "category_id": 1,
                "keypoints": entry["keypoints"],
                "score": 1.0 - entry["num_keypoints"] / 1000,
            }
        )
    if not results:
        return None
    most = max(Counter(entry["image_id"] for entry in results).values())
    ap = coco_scores(coco, results, "keypoints", sigmas=kit.sigma_array, limit=most)["AP"]
    if ap is None or ap < 1 - 1e-9:
        raise _mismatch(path, f"scored against itself it reaches AP {ap}, not 1")
    return ap


def _mismatch(path: Path, what: str) -> FormatError:
    return FormatError(f"The export was read back and does not agree with the project: in {path.name} {what}.")
