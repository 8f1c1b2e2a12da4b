"""Learning from a training set how boxes are drawn in it: what the detector does with its people, where parts lie.

Only people who are learnt from are looked at, never held-out ones.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from poseviewer.core.errors import FormatError
from poseviewer.core.geometry import box_iou
from poseviewer.core.progress import JobEvent, ProgressMeter
from poseviewer.core.skeleton import Skeleton
from poseviewer.media.pictures import read_picture
from poseviewer.training.datasets import SAME_PERSON_IOU, Annotation, PersonSet
from poseviewer.training.pixels import Pixels
from poseviewer.training.pose_guided import ProposalGenerator
from poseviewer.training.proposals import PartPlacer, is_part_only, part_joints

Array = npt.NDArray[np.float64]
Finder = Callable[[Pixels], Array]
"""From a picture to the boxes ``(n, 4)`` xyxy that a detector finds in it, best first."""
MOST_PICTURES = 400
LEAST_PAIRS = 50
"""Found people that it takes to learn a detector's errors."""
THE_SAME_IOU = 0.99
"""A true box that overlaps a found one more was hardly drawn by hand."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """N people with the box that they have and the box that was found: `joints` ``(N, K, 3)``, boxes ``(N, 4)``."""

    joints: Array
    true: Array
    found: Array

    def __len__(self) -> int:
        return len(self.true)


def bundled_finder(device: str = "cpu") -> Finder:
    """The bundled detector; raises MissingPartError, WeightsError."""
    from poseviewer.pipeline.detector import Detector
    from poseviewer.pipeline.devices import pick_device

    where = pick_device(device)
    detector = Detector.load(device=where)

    def find(picture: Pixels) -> Array:
        frame = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].to(where)
        return detector(frame)[0].boxes.double().cpu().numpy()

    return find


def found_pairs(people: Sequence[Annotation], find: Finder, seed: int = 0) -> Generator[JobEvent, None, Pairs]:
    """Find people in their pictures, at most 400 of these; each found box belongs to one person at most.

    Raises:
        MediaError: a picture is missing or damaged.
    """
    by_image: dict[Path, list[Annotation]] = {}
    for person in people:
        by_image.setdefault(person.image, []).append(person)
    images = sorted(by_image)
    chosen = np.random.default_rng(seed).permutation(len(images))[:MOST_PICTURES]
    meter = ProgressMeter(len(chosen), "pictures")
    rows: list[tuple[Annotation, Array]] = []
    for place in chosen:
        image = images[int(place)]
        rows += _matched(by_image[image], find(read_picture(image)))
        if event := meter.step(text="finding people to learn the detector's errors from"):
            yield event
    count = people[0].joints.shape[0] if people else 0
    joints = np.array([person.joints for person, _ in rows], dtype=np.float64).reshape(-1, count, 3)
    true = np.array([person.box for person, _ in rows], dtype=np.float64).reshape(-1, 4)
    return Pairs(joints, true, np.array([box for _, box in rows], dtype=np.float64).reshape(-1, 4))


def _matched(people: Sequence[Annotation], boxes: Array) -> list[tuple[Annotation, Array]]:
    """Who was found where, by overlap, the best first."""
    overlap = box_iou(np.array([person.box for person in people]), boxes.reshape(-1, 4))
    matched: list[tuple[Annotation, Array]] = []
    while overlap.size and overlap.max() >= SAME_PERSON_IOU:
        row, column = (int(place) for place in np.unravel_index(overlap.argmax(), overlap.shape))
        matched.append((people[row], boxes[column]))
        overlap[row], overlap[:, column] = -1, -1
    return matched


def fit_generator(pairs: Pairs, shape: Skeleton, seed: int = 0) -> ProposalGenerator:
    """Learn a detector's errors, pose by pose.

    Raises:
        FormatError: too few people were found, or their boxes are the detector's own.
    """
    if len(pairs) < LEAST_PAIRS:
        raise FormatError(
            f"The detector finds only {len(pairs)} of the people to learn from; its errors take {LEAST_PAIRS}.",
            remedy="Give more data, or choose other proposals: noise or fixed.",
        )
    same = np.array([box_iou(t[None], f[None])[0, 0] for t, f in zip(pairs.true, pairs.found, strict=True)])
    if (same > THE_SAME_IOU).mean() > 0.5:
        raise FormatError(
            "Most boxes of the people to learn from are the detector's own, so its errors cannot be learnt from them.",
            remedy="Give data whose boxes were drawn by hand, or choose other proposals: noise or fixed.",
        )
    rng = np.random.default_rng((seed, 1))
    seen = pairs.joints[..., 2] > 0
    return ProposalGenerator.fit(pairs.joints[..., :2], seen, pairs.true, pairs.found, shape.torso(), rng)


def fit_placer(sets: Sequence[PersonSet], shape: Skeleton, seed: int = 0) -> PartPlacer | None:
    """Learn from the whole people of data sets where parts lie; None where no set shows parts only, or none can be
    learnt. Whole people are those with a torso."""
    parts = part_joints(shape)
    if not parts or not any(is_part_only(people, parts) for people in sets):
        return None
    torso = np.unique(np.array(shape.torso()))
    wholes = [people for people in sets if len(people) and not is_part_only(people, parts)]
    if not wholes:
        return None
    joints, weights, boxes = (
        np.concatenate([getattr(people, name) for people in wholes]) for name in ("joints", "weights", "boxes")
    )
    standing = (weights[:, torso] > 0).all(axis=1)
    rng = np.random.default_rng((seed, 2))
    placer = PartPlacer.fit(joints[standing], weights[standing] > 0, boxes[standing], parts, rng)
    return placer if placer.placings else None
