"""The half bodies of MMPose's training.

Symbols: K joints. Facts: reference/hrnet_ae_mmpose.md section 6.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.training.draws import Draws

Array = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class HalfBodyRules:
    """When a half is cut.

    Attributes:
        joints: visible joints that a person needs.
        upper, lower: visible joints that each half needs.
        padding: of the half's extent.
        probability: that a person is cut at all.
        prefer_upper: share of upper halves where both are possible.
    """

    joints: int = 9
    upper: int = 2
    lower: int = 3
    padding: float = 1.5
    probability: float = 0.3
    prefer_upper: float = 0.7


def half_body(
    joints: Array,
    visible: Array,
    centre: Array,
    scale: Array,
    upper: Collection[int],
    draws: Draws,
    rules: HalfBodyRules = HalfBodyRules(),
) -> tuple[Array, Array]:
    """Centre and size of one half of a person, or those given.

    The draws: uniform: whether, where enough joints are visible; uniform, only then: which half.

    Args:
        joints: ``(K, 2)`` pixels; visible: ``(K,)``; upper: joint indices of the upper body.
        centre: ``(2,)`` pixels; scale: ``(2,)`` width and height in pixels.

    Returns:
        centre ``(2,)`` and width and height ``(2,)`` in pixels, not yet at the network's aspect.
    """
    if visible.sum() < rules.joints or draws.uniform() > rules.probability:
        return centre, scale
    seen = np.asarray(visible) > 0
    above = np.isin(np.arange(len(joints)), list(upper))
    halves = seen & above, seen & ~above
    first, second = halves[0].sum() >= rules.upper, halves[1].sum() >= rules.lower
    prefers = draws.uniform() < rules.prefer_upper
    if not (first or second):
        return centre, scale
    points = joints[halves[0] if first and (prefers or not second) else halves[1]]
    low, high = points.min(axis=0), points.max(axis=0)
    return points.mean(axis=0), (high - low) * np.float32(rules.padding)
