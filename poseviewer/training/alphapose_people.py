"""The people of Halpe and COCO-WholeBody annotation files as AlphaPose's training reads them.

Halpe keeps 136 joints in ``keypoints``; WholeBody keeps 17 there and the others in ``foot_kpts``, ``face_kpts``,
``lefthand_kpts`` and ``righthand_kpts``. Facts: reference/alphapose.md section 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from poseviewer.formats.whole_body import SEEN_FROM, whole_body

Array = npt.NDArray[np.float64]
Reader = Literal[
    "halpe_136",
    "halpe_26",
    "halpe_68_noface",
    "single_hand",
    "coco_wholebody",
    "halpe_coco_wholebody_136",
    "halpe_coco_wholebody_26",
]
SEEN_FROM_NO_FACE = 0.25
"""Joints whose annotated score reaches it are visible; the set without faces asks for less."""
BODY, HAND = 26, 21
LEAST_OF_HAND = 10
"""Visible joints that make a hand a person of its own in the hand set."""
HALPE_FEET = (0, 3, 1, 4, 2, 5)
"""Where Halpe's six foot joints are in WholeBody's foot list: big toes, small toes and heels, left before right."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadPerson:
    """One person: ``box`` ``(4,)`` xyxy pixels, ``joints`` ``(K, 3)`` x, y and visibility 0 or 1."""

    box: Array
    joints: Array


def read_people(
    entry: Mapping[str, Any], reader: Reader, picture_wh: tuple[int, int], *, halpe_feet: bool = False
) -> list[ReadPerson]:
    """The people of one annotation; nobody where no joint is visible or the box has no area in the picture.

    Args:
        entry: with ``bbox`` x, y, width, height and the joints.
        reader: which of AlphaPose's data sets reads it. "single_hand" gives up to two people, the left and the right
            hand; their boxes are the hands' extents (the published ones are enlarged at random).
        picture_wh: boxes end at its last pixels.
        halpe_feet: put WholeBody's feet in Halpe's order; the published readers copy them in WholeBody's own, so that
            the network sees two orders under the same joint numbers.

    Raises:
        ValueError: if the joints are too few for the reader.
    """
    wholebody = "wholebody" in reader
    joints = whole_body(entry) if wholebody else np.asarray(entry["keypoints"], dtype=np.float64).reshape(-1, 3)
    if not wholebody and len(joints) < (BODY if reader == "halpe_26" else BODY + 68 + 2 * HAND):
        raise ValueError(f"an annotation has {len(joints)} joints, too few for {reader}")
    joints = joints.copy()
    joints[:, 2] = joints[:, 2] >= (SEEN_FROM_NO_FACE if reader == "halpe_68_noface" else SEEN_FROM)
    if reader == "single_hand":
        hands = joints[-2 * HAND : -HAND], joints[-HAND:]
        return [_hand(hand, picture_wh) for hand in hands if hand[:, 2].sum() >= LEAST_OF_HAND]
    found = ReadPerson(_box(entry["bbox"], picture_wh), _arranged(joints, reader, halpe_feet=halpe_feet))
    empty = (found.box[2:] <= found.box[:2]).any() or not found.joints[:, 2].any()
    return [] if empty or entry.get("num_keypoints") == 0 else [found]


def _arranged(joints: Array, reader: Reader, *, halpe_feet: bool) -> Array:
    if reader == "halpe_136" or reader == "coco_wholebody":
        return joints
    if reader == "halpe_26":
        return joints[:BODY]
    if reader == "halpe_68_noface":
        return np.concatenate([joints[:BODY], joints[-2 * HAND :]])
    feet = joints[17:23][list(HALPE_FEET)] if halpe_feet else joints[17:23]
    # Head, neck and middle of the hips are not derived from the others.
    body = np.concatenate([joints[:17], np.zeros((3, 3)), feet])
    return body if reader == "halpe_coco_wholebody_26" else np.concatenate([body, joints[23:]])


def _box(box: Any, picture_wh: tuple[int, int]) -> Array:
    x, y, width, height = (float(value) for value in box)
    corners = np.array([x, y, x + max(width - 1, 0), y + max(height - 1, 0)])
    return np.asarray(np.clip(corners, 0, np.tile(np.asarray(picture_wh) - 1, 2)))


def _hand(joints: Array, picture_wh: tuple[int, int]) -> ReadPerson:
    seen = joints[joints[:, 2] > 0, :2]
    corners = np.concatenate([seen.min(axis=0), seen.max(axis=0)])
    return ReadPerson(np.clip(corners, 0, np.tile(np.asarray(picture_wh) - 1, 2)), joints)
