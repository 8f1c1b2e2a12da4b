"""What a retraining gained: old and new weights on the same held-out people, joint by joint and frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import oks
from poseviewer.core.skeleton import Skeleton
from poseviewer.formats.coco_eval import AREA_RULE, coco_scores, load_coco
from poseviewer.nets.weights import LoadedEstimator
from poseviewer.training.datasets import Annotation
from poseviewer.training.results import Comparison, Figures, JointChange, WorstFrame
from poseviewer.training.validate import GivenBoxes, cut_given_boxes, pck, predict

Float = npt.NDArray[np.floating]
WORST = 12
"""How many frames are listed as the worst."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one set of weights answers for the held-out people: joints ``(N, K, 2)`` pixels and scores ``(N, K)``."""

    joints: Float
    scores: Float


class Held:
    """Held-out people, cut once; answers are measured against them.

    Args:
        people: at least one, with labelled joints.
        shape: their joint set.

    Raises:
        MediaError: a picture is missing.
    """

    def __init__(self, people: Sequence[Annotation], shape: Skeleton) -> None:
        self.people = people
        self.shape = shape
        self._truth = load_coco(truth_dataset(people, shape))
        self._cut: dict[tuple[int, int], GivenBoxes] = {}

    def answers(self, weights: LoadedEstimator, module: Any = None, *, flip: bool = False) -> Answers:
        """What `weights` (or `module` in its place) answers for everybody, by the annotated boxes."""
        size = weights.spec.input_wh
        if size not in self._cut:
            self._cut[size] = cut_given_boxes(self.people, size)
        net = weights.module if module is None else module
        joints, scores = predict(net, weights.spec, self._cut[size], self.shape, flip=flip)
        return Answers(joints, scores)

    def similarity(self, answers: Answers) -> Float:
        """OKS of every person, ``(N,)``."""
        sigmas = self.shape.sigma_array
        return np.array(
            [
                oks(person.joints[:, :2], person.joints[:, 2] > 0, xy, area_of(person), sigmas)[0]
                for person, xy in zip(self.people, answers.joints, strict=True)
            ]
        )

    def figures(self, answers: Answers) -> Figures:
        """The overall figures."""
        results = [
            {
                "image_id": 1 + number,
                "category_id": 1,
                "keypoints": np.column_stack([xy, score]).ravel().round(3).tolist(),
                "score": float(score.mean()),
            }
            for number, (xy, score) in enumerate(zip(answers.joints, answers.scores, strict=True))
        ]
        found = coco_scores(self._truth, results, "keypoints", sigmas=self.shape.sigma_array)
        share = pck(answers.joints, self.people, self.shape)
        numbers = {key: found[key] or 0.0 for key in ("AP", "AP50", "AP75", "AR")}
        return Figures(
            numbers["AP"],
            numbers["AP50"],
            numbers["AP75"],
            numbers["AR"],
            float(self.similarity(answers).mean()),
            share.mean if share.persons else None,
        )

    def joints(self, before: Answers, after: Answers) -> tuple[JointChange, ...]:
        """Joint by joint, those that anybody has."""
        truth = np.array([person.joints for person in self.people])
        labelled = truth[..., 2] > 0
        first, second = (np.linalg.norm(a.joints - truth[..., :2], axis=2) for a in (before, after))
        shares = [pck(a.joints, self.people, self.shape).joints for a in (before, after)]
        return tuple(
            JointChange(
                name,
                int(labelled[:, k].sum()),
                shares[0].get(name),
                shares[1].get(name),
                float(np.median(first[labelled[:, k], k])),
                float(np.median(second[labelled[:, k], k])),
            )
            for k, name in enumerate(self.shape.joints)
            if labelled[:, k].any()
        )

    def worst(self, before: Answers, after: Answers) -> tuple[WorstFrame, ...]:
        """The frames in which somebody is farthest off after, worst first, each once."""
        first, second = self.similarity(before), self.similarity(after)
        found: dict[Path, WorstFrame] = {}
        for number in np.argsort(second, kind="stable"):
            person = self.people[int(number)]
            if person.image not in found:
                found[person.image] = WorstFrame(
                    str(person.image), person.media, person.frame, float(first[number]), float(second[number])
                )
            if len(found) == WORST:
                break
        return tuple(found.values())


def compare(
    people: Sequence[Annotation],
    shape: Skeleton,
    before: tuple[Path, LoadedEstimator],
    after: tuple[Path, LoadedEstimator],
    notes: Sequence[str] = (),
) -> Comparison:
    """Measure two weight files on the same people.

    Raises:
        MediaError: a picture is missing.
    """
    held = Held(people, shape)
    old, new = held.answers(before[1]), held.answers(after[1])
    return Comparison(
        str(before[0]),
        str(after[0]),
        len(people),
        len({person.image for person in people}),
        held.figures(old),
        held.figures(new),
        held.joints(old, new),
        held.worst(old, new),
        tuple(notes),
    )


def area_of(person: Annotation) -> float:
    """The area that scales OKS: the file's own, or the usual share of the box."""
    area = person.extra.get("area")
    width, height = (float(v) for v in person.box[2:] - person.box[:2])
    return float(area) if area else AREA_RULE * width * height


def truth_dataset(people: Sequence[Annotation], shape: Skeleton) -> dict[str, Any]:
    """A COCO data set with an image for each person: the boxes are given, so nobody is mistaken for another."""
    annotations = [
        {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "bbox": [*person.box[:2].tolist(), *(person.box[2:] - person.box[:2]).tolist()],
            "area": area_of(person),
            "iscrowd": 0,
            "keypoints": person.joints.ravel().astype(float).tolist(),
            "num_keypoints": int((person.joints[:, 2] > 0).sum()),
        }
        for number, person in enumerate(people, start=1)
    ]
    return {
        "info": {},
        "images": [{"id": number} for number in range(1, len(people) + 1)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(shape.joints)}],
    }
