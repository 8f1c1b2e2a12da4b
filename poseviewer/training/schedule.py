"""Schedules over a wall-clock budget: how far a training is decides rate, augmentation and input size.

On a machine of unknown and changing speed a count of steps cannot promise an end; a budget of seconds can.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence

import msgspec

from poseviewer.core.errors import CallError

HALF_DAY = datetime.timedelta(hours=12)


class Stage(msgspec.Struct, frozen=True):
    """From which part of the training (0..1) on which input size and target width (in cells) are used."""

    start: float
    input_wh: tuple[int, int]
    sigma: float


def stage_at(stages: Sequence[Stage], progress: float) -> Stage:
    """The last stage that has begun at `progress`; the first where none has."""
    return next((stage for stage in reversed(stages) if stage.start <= progress), stages[0])


def cosine_rate(peak: float, progress: float, step: int, warm_up: int) -> float:
    """Learning rate: linear warm-up by steps, then half a cosine by progress, never quite zero."""
    warm = min(1.0, (step + 1) / max(warm_up, 1))
    return peak * warm * max(0.5 * (1 + math.cos(math.pi * min(progress, 1.0))), 0.002)


def step_rate(peak: float, progress: float, step: int, warm_up: int, drops: Sequence[float]) -> float:
    """Learning rate: linear warm-up by steps, then a tenth from each part in `drops` of the training on."""
    warm = min(1.0, (step + 1) / max(warm_up, 1))
    return peak * warm * 0.1 ** sum(progress >= part for part in drops)


def growing(progress: float, gentle: float, start: float = 0.2) -> float:
    """Strength of the augmentation: from `start` to 1 over the first part `gentle` of the training."""
    return min(1.0, start + (1 - start) * progress / max(gentle, 1e-9))


def seconds_until(clock: str, now: datetime.datetime) -> float:
    """Seconds from `now` to the next time that a clock shows HH:MM, which may be after midnight.

    Raises:
        CallError: it is no clock time, or more than twelve hours away: it has just passed.
    """
    try:
        hour, minute = (int(part) for part in clock.split(":"))
        end = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    except ValueError as error:
        raise CallError(f"{clock} is not a clock time such as 13:20.") from error
    if end <= now:
        end += 2 * HALF_DAY
    if end - now > HALF_DAY:
        raise CallError(f"{clock} has passed.")
    return (end - now).total_seconds()
