"""What is under the pointer: joints first (the selected person's before others'), then handles, limbs and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from poseviewer.core.skeleton import Skeleton

JOINT_PX, LIMB_PX, HANDLE_PX = 9.0, 6.0, 8.0
Corner = Literal[0, 1, 2, 3]
"""Top left, top right, bottom right, bottom left."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A person on the screen.

    Attributes:
        key: of the person.
        points: ``(K, 2)`` screen px.
        visibility: ``(K,)``.
        box: ``(4,)`` xyxy screen px.
    """

    key: str
    points: npt.NDArray[np.float64]
    visibility: npt.NDArray[np.uint8]
    box: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hit:
    """What was found."""

    kind: Literal["joint", "handle", "limb", "box"]
    person: str
    joint: int | None = None
    corner: int | None = None


def corners(box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the ``(4, 2)`` corners of an xyxy box, clockwise from the top left."""
    x1, y1, x2, y2 = box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def find(
    targets: Sequence[Target],
    x: float,
    y: float,
    selected: str | None,
    skeleton: Skeleton,
    *,
    handles: bool = True,
    skeletons: bool = True,
) -> Hit | None:
    """Return what is at screen px (x, y), or None.

    Absent joints are found for the selected person only, where their mark is drawn.

    Args:
        targets: people on the screen.
        x, y: pointer.
        selected: key of the selected person.
        skeleton: limbs.
        handles: whether the selected person's box has handles.
        skeletons: whether joints and limbs are shown at all.
    """
    at = np.array([x, y])
    ordered = sorted(targets, key=lambda target: target.key != selected)
    if skeletons:
        joint = _joint(ordered, at, selected)
        if joint is not None:
            return joint
    for target in ordered:
        if handles and target.key == selected:
            distance = np.linalg.norm(corners(target.box) - at, axis=-1)
            if distance.min() <= HANDLE_PX:
                return Hit("handle", target.key, corner=int(distance.argmin()))
    if skeletons:
        limb = _limb(ordered, at, skeleton)
        if limb is not None:
            return limb
    inside = [t for t in ordered if t.box[0] <= x <= t.box[2] and t.box[1] <= y <= t.box[3]]
    if not inside:
        return None
    smallest = min(inside, key=lambda t: (t.box[2] - t.box[0]) * (t.box[3] - t.box[1]))
    return Hit("box", smallest.key)


def _joint(ordered: Sequence[Target], at: npt.NDArray[np.float64], selected: str | None) -> Hit | None:
    best: tuple[float, Hit] | None = None
    for target in ordered:
        distance = np.linalg.norm(target.points - at, axis=-1)
        if target.key != selected:
            distance = np.where(target.visibility > 0, distance, np.inf)
        nearest = int(distance.argmin())
        if distance[nearest] <= JOINT_PX and (best is None or distance[nearest] < best[0]):
            best = (float(distance[nearest]), Hit("joint", target.key, joint=nearest))
            if target.key == selected:
                return best[1]
    return best[1] if best is not None else None


def _limb(ordered: Sequence[Target], at: npt.NDArray[np.float64], skeleton: Skeleton) -> Hit | None:
    for target in ordered:
        shown = [limb for limb in skeleton.limbs if (target.visibility[list(limb)] > 0).all()]
        if not shown:
            continue
        a = target.points[[limb[0] for limb in shown]]
        b = target.points[[limb[1] for limb in shown]]
        along = b - a
        t = np.clip(((at - a) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9), 0, 1)
        if np.linalg.norm(a + t[:, None] * along - at, axis=-1).min() <= LIMB_PX:
            return Hit("limb", target.key)
    return None
