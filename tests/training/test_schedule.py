"""When a training ends by the clock."""

from __future__ import annotations

import datetime

import pytest

from poseviewer.core.errors import CallError
from poseviewer.training.schedule import seconds_until

EVENING = datetime.datetime(2026, 3, 1, 23, 30, 15)


@pytest.mark.parametrize(("clock", "seconds"), [("23:45", 885), ("00:15", 2685), ("1:00", 5385), ("11:30", 43185)])
def test_the_next_time_that_a_clock_shows_it(clock: str, seconds: float) -> None:
    assert seconds_until(clock, EVENING) == seconds


@pytest.mark.parametrize("clock", ["23:30", "22:00", "11:31"])
def test_a_time_that_has_just_passed_is_not_meant_for_tomorrow(clock: str) -> None:
    with pytest.raises(CallError, match=f"{clock} has passed"):
        seconds_until(clock, EVENING)


@pytest.mark.parametrize("clock", ["noon", "25:00", "12", "12:00:00", "-1:10"])
def test_what_is_no_clock_time_is_refused(clock: str) -> None:
    with pytest.raises(CallError, match="not a clock time"):
        seconds_until(clock, EVENING)
