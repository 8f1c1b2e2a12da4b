"""COCO-WholeBody's and Halpe's annotation files as plain COCO files whose category names all joints.

COCO-WholeBody keeps 17 joints in ``keypoints`` and the others in lists of their own; Halpe keeps 136 in
``keypoints`` and names none. Facts: reference/alphapose.md section 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from poseviewer.core.skeleton import skeleton

Json = dict[str, Any]
WHOLE_BODY = "coco_wholebody_133"
WHOLE_BODY_PARTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
WHOLE_BODY_SIZES = (17, 6, 68, 21, 21)
UNNAMED_SETS = {136: "halpe_136", 26: "halpe_26"}
"""Sets whose files often name no joints, by how many they have."""
SEEN_FROM = 0.35
"""Joints of these sets whose third number, a visibility or a score, reaches it are there."""


def whole_body(entry: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """The ``(133, 3)`` joints of a WholeBody annotation; parts that it does not have are zeros.

    Raises:
        ValueError: if a part has another length than it should, or holds something that is no number.
    """
    parts = []
    for name, size in zip(WHOLE_BODY_PARTS, WHOLE_BODY_SIZES, strict=True):
        values = np.asarray(entry.get(name) or np.zeros(3 * size), dtype=np.float64)
        if values.size != 3 * size:
            raise ValueError(f"{name} has {values.size} numbers, {3 * size} are expected")
        parts.append(values.reshape(size, 3))
    return np.concatenate(parts)


def is_parted(annotations: Any, names: Any) -> bool:
    """Whether annotations keep WholeBody's joints in parts; ``names`` are the category's, or None."""
    if not isinstance(annotations, list) or (names is not None and len(names) != WHOLE_BODY_SIZES[0]):
        return False
    return any(isinstance(entry, dict) and ("foot_kpts" in entry or "face_kpts" in entry) for entry in annotations)


def completed(raw: Any) -> Any:
    """Return an annotation file whose category names all joints that its annotations have.

    Files of another kind, and damaged ones, come back as they are. Scores become visibilities: 2 from 0.35 on, 0
    below; visibilities 0, 1 and 2 stay.

    Raises:
        ValueError: if a part of a WholeBody annotation is wrong.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("categories"), list):
        return raw
    kinds, people = raw["categories"], raw.get("annotations")
    if not (isinstance(people, list) and all(isinstance(part, dict) for part in (*kinds, *people))):
        return raw
    person = next((kind for kind in kinds if kind.get("name") == "person" or kind.get("keypoints")), None)
    names = person.get("keypoints") if person is not None else None
    if person is None or not (names is None or isinstance(names, list)):
        return raw
    if is_parted(people, names or None):
        return _with_names(raw, person, WHOLE_BODY, [_merged(entry) for entry in people])
    lengths = {len(entry["keypoints"]) // 3 for entry in people if isinstance(entry.get("keypoints"), list)}
    name = UNNAMED_SETS.get(max(lengths, default=0)) if len(lengths) == 1 and not names else None
    if name is None:
        return raw
    return _with_names(raw, person, name, [_rounded(entry) for entry in people])


def _with_names(raw: Json, person: Json, name: str, people: list[Json]) -> Json:
    kit = skeleton(name)
    limbs = [[first + 1, second + 1] for first, second in kit.limbs]
    named = {**person, "keypoints": [joint.replace(" ", "_") for joint in kit.joints], "skeleton": limbs}
    kinds = [named if kind is person else kind for kind in raw["categories"]]
    return {**raw, "categories": kinds, "annotations": people}


def _merged(entry: Json) -> Json:
    joints = _visible(whole_body(entry))
    kept = {key: value for key, value in entry.items() if key not in WHOLE_BODY_PARTS[1:]}
    return {**kept, "keypoints": joints.ravel().tolist(), "num_keypoints": int((joints[:, 2] > 0).sum())}


def _rounded(entry: Json) -> Json:
    if not isinstance(entry.get("keypoints"), list):
        return entry
    joints = _visible(np.asarray(entry["keypoints"], dtype=np.float64).reshape(-1, 3))
    return {**entry, "keypoints": joints.ravel().tolist(), "num_keypoints": int((joints[:, 2] > 0).sum())}


def _visible(joints: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    said = joints[:, 2]
    whole = np.isin(said, (0, 1, 2))
    return np.column_stack([joints[:, :2], np.where(whole, said, np.where(said >= SEEN_FROM, 2, 0))])
