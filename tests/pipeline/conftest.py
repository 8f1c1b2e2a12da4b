"""Fixtures of the pipeline's tests."""

from __future__ import annotations

import numpy as np
import pytest
from dot_people import DotFrames, draw_people


@pytest.fixture
def dots() -> DotFrames:
    """Nine frames of 0 to 2 people of dots."""
    rng = np.random.default_rng(5)
    made = [draw_people(rng, people) for people in (1, 2, 0, 2, 1, 1, 2, 0, 1)]
    return DotFrames([pixels for pixels, _ in made], [joints for _, joints in made])
