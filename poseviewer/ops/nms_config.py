"""The numbers of parametric pose NMS, as one frozen value that also travels as JSON; no torch.

Source: RMPE section 3.3 and reference/alphapose.md section 6. In the public code these numbers are module state that
one call may leave changed for the next (section 0.2); here they are an argument.
"""

from __future__ import annotations

from typing import Literal

import msgspec

NmsVersion = Literal["master", "old", "train", "2017", "2017_mpii", "paper", "corrected", "box", "none"]
WHOLE_BODY = (133, 136)
"""Joint counts for which the master version uses its whole-body form."""


class NmsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which form of pose NMS, with which numbers. The defaults are AlphaPose master's for 17 to 68 joints.

    Attributes:
        version: "master" (current AlphaPose; whole-body form for 133 and 136 joints), "old" (2018 branch), "train"
            (its training branch), "2017" and "2017_mpii" (the Lua release's scripts), "paper" (RMPE's own elimination,
            no merging), "corrected" (see :mod:`poseviewer.ops.suppression`). "box" and "none" are not pose NMS but what
            other pipelines do (:func:`poseviewer.pipeline.config.applied_nms`).
        score_floor: a pose whose best joint stays below it is dropped (scoreThreds).
        match_threshold: so many matched joints eliminate (matchThreds).
        gamma: pose similarity above it eliminates (the paper's eta).
        delta1: scale of joint scores in the tanh (the paper's sigma 1).
        delta2: scale of distances in the exponential, pixels (the paper's sigma 2).
        mu: weight of the distance term (the paper's lambda).
        alpha: reference distance as a fraction of the box's longer side.
        min_box_area: poses whose extent, enlarged 1.5 times each way, is smaller are dropped; square pixels.
        enabled: False keeps every candidate as it is.
        auto: the version and its numbers are not a person's choice: a run replaces them by those that belong to its
            estimator (:func:`poseviewer.pipeline.config.own_nms`).
        face_factor, hand_factor: scale of distances for face and hand joints, whole-body form only.
        face_score_weight, hand_score_weight, face_distance_weight, hand_distance_weight: whole-body form only.
    """

    version: NmsVersion = "master"
    score_floor: float = 0.3
    match_threshold: float = 5.0
    gamma: float = 22.48
    delta1: float = 1.0
    delta2: float = 2.65
    mu: float = 1.7
    alpha: float = 0.1
    min_box_area: float = 0.0
    enabled: bool = True
    auto: bool = False
    face_factor: float = 1.9
    hand_factor: float = 0.55
    face_score_weight: float = 1.0
    hand_score_weight: float = 0.1
    face_distance_weight: float = 1.0
    hand_distance_weight: float = 1.5


def reference_nms(version: NmsVersion = "master", joints: int = 17, *, regression: bool = False) -> NmsConfig:
    """Return the numbers the reference uses.

    Args:
        version: as in :class:`NmsConfig`.
        joints: K; matters for master's whole-body form.
        regression: the estimator was not trained with the plain heatmap loss (integral and combined models);
            matters for master's whole-body form only (reference/alphapose.md section 6.3).
    """
    if version == "train":
        return NmsConfig(version="train", delta2=1.3, score_floor=0.15, min_box_area=40 * 40.5)
    if version == "2017_mpii":
        return NmsConfig(version="2017_mpii", delta1=0.01, mu=2.08, delta2=2.08)
    if version == "master" and regression and joints in WHOLE_BODY:
        return NmsConfig(mu=1.65, delta2=8.0, gamma=3.6, score_floor=0.01, match_threshold=3.0, alpha=0.15)
    return NmsConfig(version=version)
