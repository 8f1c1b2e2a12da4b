"""A tiny COCO keypoint data set of drawn people, whose joints are where the dots are."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from poseviewer.core.skeleton import skeleton

# An upright figure in a box of 1 x 2, joints in the order of coco_17.
FIGURE = np.array(
    [
        [0.5, 0.2], [0.53, 0.15], [0.47, 0.15], [0.58, 0.2], [0.42, 0.2], [0.7, 0.5], [0.3, 0.5], [0.8, 0.8],
        [0.2, 0.8], [0.85, 1.05], [0.15, 1.05], [0.63, 1.1], [0.37, 1.1], [0.65, 1.5], [0.35, 1.5], [0.66, 1.9],
        [0.34, 1.9],
    ]
)  # fmt: skip


# The same figure with both arms up: to a network that only saw the other one, a surprise.
ARMS_UP = FIGURE.copy()
ARMS_UP[7:11] = [[0.85, 0.3], [0.15, 0.3], [0.8, 0.02], [0.2, 0.02]]


def draw_people(
    folder: Path, split: str, count: int = 12, seed: int = 0, *, figure: npt.NDArray[np.float64] = FIGURE
) -> Path:
    """Write `count` pictures with one drawn person each and their annotations; returns the annotation file."""
    rng = np.random.default_rng(seed)
    shape = skeleton()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        picture = rng.integers(90, 130, (120, 100, 3), dtype=np.uint8)
        size = float(rng.uniform(30, 45))
        start = rng.uniform((5, 5), (95 - size, 115 - 2 * size))
        joints = figure * size + start
        for a, b in shape.limbs:
            ends = [tuple(int(v) for v in joints[j].round()) for j in (a, b)]
            cv2.line(picture, ends[0], ends[1], (230, 230, 230), 2)
        for joint, (x, y) in enumerate(joints.round().astype(int)):
            colour = {"left": (250, 40, 40), "right": (40, 40, 250), "centre": (40, 250, 40)}[shape.sides[joint]]
            cv2.circle(picture, (int(x), int(y)), 2, colour[::-1], -1)
        name = f"{split}_{number:03d}.png"
        cv2.imwrite(str(folder / "images" / name), picture)
        images.append({"id": number, "file_name": name, "width": 100, "height": 120})
        keypoints = np.column_stack([joints, np.full(17, 2.0)]).ravel().tolist()
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [*start.tolist(), size, 2 * size],
                "area": 2 * size * size,
                "iscrowd": 0,
                "keypoints": keypoints,
                "num_keypoints": 17,
            }
        )
    names = [joint.replace(" ", "_") for joint in shape.joints]
    category = {"id": 1, "name": "person", "keypoints": names, "skeleton": []}
    file = folder / f"{split}.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))
    return file
