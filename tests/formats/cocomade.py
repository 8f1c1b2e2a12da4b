"""COCO files, pictures and people made for the tests of formats, evaluation, jobs and the command line."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import FrameResult, Pose

KIT = skeleton("coco_17")
NAMES = [name.replace(" ", "_") for name in KIT.joints]
LIMBS = [[first + 1, second + 1] for first, second in KIT.limbs]


def finish(job: Generator[Any, None, Any], events: list[Any] | None = None) -> Any:
    """Run a job to its end; return its result, keep its events if a list is given."""
    while True:
        try:
            event = next(job)
        except StopIteration as end:
            return end.value
        if events is not None:
            events.append(event)


def write_pictures(folder: Path, names: list[str], *, seed: int = 0) -> list[np.ndarray]:
    """Write noisy PNG pictures of different sizes; return their RGB pixels."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, name in enumerate(names):
        pixels = rng.integers(0, 256, (60 + 4 * number, 80 + 2 * number, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / name), pixels[..., ::-1])
        pictures.append(pixels)
    return pictures


def keypoints(seed: int = 0, *, decimals: int = 2, size: float = 60) -> list[float]:
    """51 numbers with every visibility; joints that are not labelled are 0, 0, 0."""
    rng = np.random.default_rng(seed)
    flat: list[float] = []
    for joint in range(17):
        seen = (2, 1, 2, 0)[(joint + seed) % 4]
        x, y = np.round(rng.uniform(2, size, 2), decimals).tolist()
        flat += [x, y, seen] if seen else [0, 0, 0]
    return flat


def annotation(number: int, image: int, seed: int = 0, **fields: Any) -> dict[str, Any]:
    """One COCO annotation with joints."""
    joints = fields.pop("keypoints", keypoints(seed))
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [1.5 + seed, 2.25, 50.1, 52.75],
        "area": 1234.5 + seed,
        "iscrowd": 0,
        "keypoints": joints,
        "num_keypoints": sum(v > 0 for v in joints[2::3]),
        **fields,
    }


def dataset(images: list[dict[str, Any]], annotations: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A COCO annotation file."""
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": NAMES, "skeleton": LIMBS}
    return {"info": {"description": "made"}, "images": images, "annotations": annotations, "categories": [category]} | (
        fields
    )


def image(number: int, name: str, size_wh: tuple[int, int] = (80, 60), **fields: Any) -> dict[str, Any]:
    """One COCO image."""
    return {"id": number, "file_name": name, "width": size_wh[0], "height": size_wh[1], **fields}


def write_json(path: Path, value: Any) -> Path:
    """Write JSON and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text())


def pose(x: float = 10, y: float = 10, *, size: float = 40, score: float = 0.8, seed: int = 0) -> Pose:
    """A pose within a square box at x, y."""
    rng = np.random.default_rng(seed)
    points = (np.array([x, y]) + rng.uniform(0, size, (17, 2))).astype(np.float32)
    scores = rng.uniform(0.3, 0.95, 17).astype(np.float32)
    return Pose(points, scores, np.array([x, y, x + size, y + size], np.float32), score)


def result(frame: int, *poses: Pose) -> FrameResult:
    """What a run found in a frame."""
    return FrameResult(frame, frame / 25, poses, f"{frame:016x}")
