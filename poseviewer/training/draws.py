"""Random numbers as the published training code draws them: three streams, each in its own order."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Draws:
    """Where random numbers come from; an augmentation takes them in the order of the code that it follows.

    Attributes:
        uniform: NumPy's uniform numbers in [0, 1).
        normal: NumPy's standard normal numbers.
        integer: NumPy's whole numbers in [low, high).
        plain: uniform numbers in [0, 1) of Python's own generator, which is another stream.
    """

    uniform: Callable[[], float]
    normal: Callable[[], float]
    integer: Callable[[int, int], int]
    plain: Callable[[], float]

    @classmethod
    def seeded(cls, seed: int, plain_seed: int | None = None) -> Draws:
        """Return the streams that ``numpy.random.seed`` and ``random.seed`` would start (one seed for both)."""
        numpy = np.random.RandomState(seed)
        plain = random.Random(seed if plain_seed is None else plain_seed)
        return cls(
            lambda: float(numpy.rand()),
            lambda: float(numpy.randn()),
            lambda low, high: int(numpy.randint(low, high)),
            plain.random,
        )
