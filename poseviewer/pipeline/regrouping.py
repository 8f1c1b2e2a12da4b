"""What another grouping limit would do, from the peaks that evidence keeps: no network runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from poseviewer.core.values import NO_JOINT, Array, Grouping, GroupingPeaks

Owners = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Regrouped:
    """What would change with another limit.

    Attributes:
        limit: the largest tag distance that was tried.
        before, after: how many people score more than the least, with the run's limit and with this one.
        moved: candidate and joint of keypoints that would not be this person's any more, or not this place's.
    """

    limit: float
    before: int
    after: int
    moved: tuple[tuple[int, int], ...]


def regroup(why: Grouping, limit: float, least: float) -> Regrouped | None:
    """Group the peaks of ``why`` with another limit; joints that are looked for afterwards are left out.

    Args:
        why: the evidence of grouping.
        limit: largest tag distance that lets a joint join.
        least: a person's score must exceed it, as in the run.

    Returns:
        None where the evidence keeps no peaks.
    """
    if why.peaks is None:
        return None
    old_owners, old_scores, old_tags = _people(why.peaks, why.limit)
    new_owners, new_scores, _ = _people(why.peaks, limit)
    same = _same_people(old_owners, new_owners, len(new_scores))
    now = np.where(new_owners >= 0, np.append(same, -1)[new_owners], -1)
    left = (old_owners >= 0) & (now != old_owners)
    moved = []
    for candidate, person in enumerate(_persons(why, old_tags)):
        if person >= 0 and old_scores[person] > least:
            joints = np.flatnonzero((left & (old_owners == person)).any(axis=1))
            moved += [(candidate, int(joint)) for joint in joints]
    return Regrouped(limit, int((old_scores > least).sum()), int((new_scores > least).sum()), tuple(moved))


def _people(peaks: GroupingPeaks, limit: float) -> tuple[Owners, Array, Array]:
    """Whose each peak is ``(K, M)``, -1 for nobody's; scores ``(P,)`` and tags ``(P, K, T)``, NaN where missing."""
    from poseviewer.ops.grouping import trace_by_tag

    found = trace_by_tag(peaks.values, peaks.cells, peaks.tags, replace(peaks.rules, tag_threshold=limit))
    has = found.how != NO_JOINT
    owners = np.full(peaks.values.shape, -1, dtype=np.int64)
    for person, joint in np.argwhere(has):
        at = (peaks.cells[joint] == found.people[person, joint, :2]).all(axis=1)
        owners[joint, int(at.argmax())] = person
    tags = np.where(has[..., None], found.people[..., 3:], np.nan)
    return owners, found.people[..., 2].mean(axis=1), tags


def _same_people(old: Owners, new: Owners, count: int) -> Owners:
    """For each of ``count`` new people the old one with whom it shares most peaks, each old one once; -1 for none."""
    shared = np.zeros((count, max(int(old.max(initial=-1)) + 1, 1)), dtype=np.int64)
    both = (old >= 0) & (new >= 0)
    np.add.at(shared, (new[both], old[both]), 1)
    same = np.full(count, -1, dtype=np.int64)
    while shared.any():
        person, was = np.unravel_index(int(shared.argmax()), shared.shape)
        same[person] = was
        shared[person], shared[:, was] = 0, 0
    return same


def _persons(why: Grouping, tags: Array) -> list[int]:
    """For each candidate the person of the matching with its tags, -1 for none: evidence of boxes has only some."""
    found = []
    for own, how in zip(why.joint_tags, why.how, strict=True):
        joints = np.isfinite(tags[..., 0])
        equal = (np.isclose(tags, own, atol=1e-5) | ~joints[..., None]).all(axis=(1, 2))
        equal &= ~(joints & (how == NO_JOINT)).any(axis=1) & joints.any(axis=1)
        shared = np.where(equal, joints.sum(axis=1), 0)
        found.append(int(shared.argmax()) if shared.any() else -1)
    return found
