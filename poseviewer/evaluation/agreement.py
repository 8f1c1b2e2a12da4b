"""How far two answers about the same people agree: two runs, or a run and what stands on screen with corrections.

Neither of the two is taken for the truth, so every figure is the same whichever comes first. Only the area that OKS
needs is the mean of both.

Symbols: K joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import box_iou, keypoints_box
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, Person, Pose
from poseviewer.project import Project
from poseviewer.project.people import AREA_OF_BOX, COVER_IOU, predicted_visibility

ON_SCREEN = 0
"""In place of a run's number: the people as they are shown, corrections over the newest run's predictions."""
SAME_OKS = 0.3
"""Poses that agree less are taken for two people, unless their boxes lie on each other."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One person as one side has them: the pose, and its ``(K,)`` visibility."""

    pose: Pose
    visibility: npt.NDArray[np.uint8]

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """``(K,)`` which joints there are."""
        return np.asarray(self.visibility != ABSENT)

    def area(self) -> float:
        """Return the person's area in square pixels, as OKS wants it: about half of the box."""
        box = np.asarray(self.pose.box, dtype=np.float64)
        if float(np.prod(box[2:] - box[:2])) <= 0:
            box = np.asarray(keypoints_box(self.pose.keypoints, self.present), dtype=np.float64)
        return AREA_OF_BOX * max(float(np.prod(np.clip(box[2:] - box[:2], 1, None))), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One person of both sides; ``first`` or ``second`` is None where a side did not find them.

    Attributes:
        distance: ``(K,)`` pixels between the two, NaN where a side has no such joint.
        joint_oks: ``(K,)`` similarity of each joint, 0..1; 0 where only one side has it, NaN where neither has.
        oks: mean of ``joint_oks`` over the joints that either has; 0 where one side did not find the person.
    """

    first: Answer | None
    second: Answer | None
    distance: npt.NDArray[np.float64]
    joint_oks: npt.NDArray[np.float64]
    oks: float

    @property
    def seen_differently(self) -> int:
        """How many joints only one side has, or one sees and the other takes for occluded."""
        if self.first is None or self.second is None:
            return 0
        return int((self.first.visibility != self.second.visibility).sum())

    @property
    def mean_distance(self) -> float:
        """Pixels, of the joints that both have; NaN if there are none."""
        known = self.distance[np.isfinite(self.distance)]
        return float(known.mean()) if len(known) else float("nan")


def answers(project: Project, media: int, frame: int, run: int) -> tuple[Answer, ...]:
    """Return the people of a frame as ``run`` found them, or as they are on screen for ON_SCREEN."""
    if run == ON_SCREEN:
        return answers_of(project.people(media, frame))
    found = project.predictions(media, frame, run)
    return tuple(Answer(pose, predicted_visibility(pose)) for pose in found)


def answers_of(people: Sequence[Person]) -> tuple[Answer, ...]:
    """Return people on screen as answers."""
    return tuple(Answer(person.pose, person.visibility) for person in people)


def pair_of(first: Answer | None, second: Answer | None, kit: Skeleton) -> Pair:
    """Compare two answers about one person.

    OKS of a joint is exp(-d^2 / (2 area (2 sigma)^2)), as the COCO evaluation has it.
    """
    nothing = np.full(kit.count, np.nan)
    if first is None or second is None:
        alone = first or second
        missed = nothing if alone is None else np.where(alone.present, 0.0, np.nan)
        return Pair(first, second, nothing, missed, 0.0)
    both, either = first.present & second.present, first.present | second.present
    gap = np.asarray(first.pose.keypoints, np.float64) - np.asarray(second.pose.keypoints, np.float64)
    distance = np.where(both, np.linalg.norm(gap, axis=-1), np.nan)
    area = (first.area() + second.area()) / 2
    spread = 2 * area * (2 * kit.sigma_array.astype(np.float64)) ** 2
    joint_oks = np.where(both, np.exp(-(np.nan_to_num(distance) ** 2) / spread), np.where(either, 0.0, np.nan))
    return Pair(first, second, distance, joint_oks, float(joint_oks[either].mean()) if either.any() else 1.0)


def pairs(firsts: Sequence[Answer], seconds: Sequence[Answer], kit: Skeleton) -> tuple[Pair, ...]:
    """Return who of one side is who of the other: the most similar first, then boxes that lie on each other.

    Everybody is in exactly one pair; who has no counterpart stands alone at the end.
    """
    left, right = set(range(len(firsts))), set(range(len(seconds)))
    found: list[Pair] = []
    if firsts and seconds:
        boxes = [np.stack([one.pose.box for one in side]) for side in (firsts, seconds)]
        for table, least in ((_likeness(firsts, seconds, kit), SAME_OKS), (box_iou(boxes[0], boxes[1]), COVER_IOU)):
            for place in np.argsort(-table, axis=None, kind="stable").tolist():
                a, b = divmod(place, len(seconds))
                if table[a, b] < least:
                    break
                if a in left and b in right:
                    found.append(pair_of(firsts[a], seconds[b], kit))
                    left.discard(a)
                    right.discard(b)
    found += [pair_of(firsts[a], None, kit) for a in sorted(left)]
    return (*found, *(pair_of(None, seconds[b], kit) for b in sorted(right)))


def _likeness(firsts: Sequence[Answer], seconds: Sequence[Answer], kit: Skeleton) -> npt.NDArray[np.float64]:
    """Return the ``(N, M)`` OKS of :func:`pair_of` of all N x M pairs at once: a crowd has many."""
    points = [np.stack([one.pose.keypoints for one in side]).astype(np.float64) for side in (firsts, seconds)]
    present = [np.stack([one.present for one in side]) for side in (firsts, seconds)]
    areas = [np.array([one.area() for one in side]) for side in (firsts, seconds)]
    squared = ((points[0][:, None] - points[1][None]) ** 2).sum(axis=-1)
    both, either = present[0][:, None] & present[1][None], present[0][:, None] | present[1][None]
    area = (areas[0][:, None, None] + areas[1][None, :, None]) / 2
    spread = 2 * area * (2 * kit.sigma_array.astype(np.float64)) ** 2
    similar = np.where(both, np.exp(-np.where(both, squared, 0.0) / spread), 0.0).sum(axis=-1)
    return np.asarray(np.where(either.any(axis=-1), similar / np.maximum(either.sum(axis=-1), 1), 1.0))


def agreement(found: Sequence[Pair]) -> float:
    """Return the mean OKS of all people of a frame, where somebody that one side missed counts 0.

    NaN where neither found anybody.
    """
    return float(np.mean([pair.oks for pair in found])) if found else float("nan")


def pair_with(person: Answer, found: Sequence[Pair], kit: Skeleton) -> Pair | None:
    """Return which pair is about ``person``: of whose answers one resembles theirs most, or None."""
    best, closest = None, 0.0
    for pair in found:
        for side in (pair.first, pair.second):
            if side is None:
                continue
            likeness = pair_of(person, side, kit).oks
            if likeness < SAME_OKS and float(box_iou(person.pose.box, side.pose.box)[0, 0]) >= COVER_IOU:
                likeness = SAME_OKS
            if likeness >= SAME_OKS and likeness > closest:
                best, closest = pair, likeness
    return best
