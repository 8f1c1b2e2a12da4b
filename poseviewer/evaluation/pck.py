"""PCK: the share of joints within a fraction of the torso length of where they belong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import box_iou

Float = npt.NDArray[np.float64]
FOUND_IOU = 0.3
"""A person whose box overlaps no result's box by this much counts as not found: all joints wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class PckPerson:
    """One person for PCK: ``(K, 2)`` joints and ``(4,)`` xyxy box in pixels; ``labelled`` is ``(K,)`` bool."""

    keypoints: Float
    labelled: npt.NDArray[np.bool_]
    box: Float


@dataclass(frozen=True, slots=True, eq=False)
class PckCount:
    """Counts over persons: ``right`` and ``labelled`` are ``(K,)`` int64."""

    right: npt.NDArray[np.int64]
    labelled: npt.NDArray[np.int64]
    persons: int
    not_found: int

    def overall(self) -> float | None:
        """Return the share over all labelled joints, or None without any."""
        total = int(self.labelled.sum())
        return float(self.right.sum()) / total if total else None

    def by_joint(self) -> list[float | None]:
        """Return the share of each joint, or None where it is never labelled."""
        pairs = zip(self.right.tolist(), self.labelled.tolist(), strict=True)
        return [right / labelled if labelled else None for right, labelled in pairs]


def torso_length(person: PckPerson, torso: tuple[tuple[int, int], ...]) -> float | None:
    """Return the mean distance from shoulder to opposite hip over the labelled pairs, or None without any."""
    lengths = [
        float(np.linalg.norm(person.keypoints[shoulder] - person.keypoints[hip]))
        for shoulder, hip in torso
        if person.labelled[shoulder] and person.labelled[hip]
    ]
    length = float(np.mean(lengths)) if lengths else 0.0
    return length if length > 0 else None


def count_pck(
    truths: list[list[PckPerson]],
    results: list[list[PckPerson]],
    joints: int,
    torso: tuple[tuple[int, int], ...],
    fraction: float = 0.2,
) -> PckCount:
    """Count the joints that are right, image by image.

    Each true person is compared with the result whose box overlaps it most (the first of equals).

    Args:
        truths: persons of each image; those without a torso length are left out.
        results: results of each image, best score first.
        joints: K.
        torso: (shoulder, opposite hip) index pairs.
        fraction: of the torso length that a right joint may be off.
    """
    right, labelled = np.zeros(joints, np.int64), np.zeros(joints, np.int64)
    persons = not_found = 0
    for truth, found in zip(truths, results, strict=True):
        for person in truth:
            length = torso_length(person, torso)
            if length is None:
                continue
            persons += 1
            labelled += person.labelled
            best = _best(person, found)
            if best is None:
                not_found += 1
                continue
            distance = np.linalg.norm(best.keypoints - person.keypoints, axis=1)
            right += person.labelled & (distance <= fraction * length)
    return PckCount(right, labelled, persons, not_found)


def _best(person: PckPerson, found: list[PckPerson]) -> PckPerson | None:
    if not found:
        return None
    overlaps = box_iou(person.box, np.stack([other.box for other in found]))[0]
    index = int(np.argmax(overlaps))
    return found[index] if overlaps[index] >= FOUND_IOU else None
