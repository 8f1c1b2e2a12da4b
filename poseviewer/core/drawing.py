"""Limbs and colours of pictures as AlphaPose draws them, by the number of joints.

Facts: reference/alphapose.md section 7. Limbs of our own skeletons are in :mod:`poseviewer.core.skeleton`.
"""

from __future__ import annotations

from functools import cache

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import CallError
from poseviewer.core.resources import resource
from poseviewer.core.values import LOW_SCORE

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
WITH_NECK = 17
"""With so many joints the point between the shoulders is added as the next joint, for drawing only."""
FAINTEST, DOUBTFUL, STEPS = 0.25, 0.6, 3
"""Least and greatest strength of a doubtful joint, and how many there are: few, so that lines go out in few calls."""


def strengths(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return how strongly predicted joints are drawn: wholly from LOW_SCORE on, the fainter the less they score.

    Args:
        scores: ``(K,)``, 0..1; what is not finite counts as 0.

    Returns:
        ``(K,)`` shares of the usual opacity: 1, or one of STEPS values from FAINTEST to DOUBTFUL.
    """
    known = np.nan_to_num(np.asarray(scores, dtype=np.float64), posinf=1.0, neginf=0.0)
    step = np.floor(np.clip(known / LOW_SCORE, 0.0, 1.0 - 1e-9) * STEPS) / (STEPS - 1)
    return np.where(known >= LOW_SCORE, 1.0, FAINTEST + (DOUBTFUL - FAINTEST) * step)


class Drawing(msgspec.Struct, frozen=True):
    """How people of one number of joints are drawn.

    Attributes:
        limbs: pairs of joint indices, 0-based; joint 17 of 17 joints is the added neck.
        points, lines: RGB of the first joints and of the first limbs; all further ones are white.
    """

    limbs: tuple[tuple[int, int], ...]
    points: tuple[Colour, ...]
    lines: tuple[Colour, ...]

    def point(self, joint: int) -> Colour:
        """RGB of a joint."""
        return self.points[joint] if joint < len(self.points) else WHITE

    def line(self, limb: int) -> Colour:
        """RGB of a limb."""
        return self.lines[limb] if limb < len(self.lines) else WHITE


def alphapose_drawing(joints: int) -> Drawing:
    """Return how AlphaPose draws people of so many joints.

    Raises:
        CallError: if it knows no drawing for that number.
    """
    found = _drawings().get(str(joints))
    if found is None:
        known = ", ".join(sorted(_drawings(), key=int))
        raise CallError(f"AlphaPose has no colours for {joints} joints, only for {known}.")
    return found


@cache
def _drawings() -> dict[str, Drawing]:
    return msgspec.json.decode(resource("skeletons/drawing/alphapose.json").read_bytes(), type=dict[str, Drawing])
