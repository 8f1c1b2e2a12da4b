"""Frame lists as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseviewer.core.errors import CallError
from poseviewer.core.framerange import frame_range_text, parse_frames


@given(st.sets(st.integers(0, 500), min_size=1))
def test_text_and_frames_round_trip(frames: set[int]) -> None:
    assert parse_frames(frame_range_text(frames), 501) == tuple(sorted(frames))


def test_the_order_written_is_kept_and_nothing_comes_twice() -> None:
    assert parse_frames("120, 0-2,1", 200) == (120, 0, 1, 2)
    assert parse_frames("197-", 200) == (197, 198, 199)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a", "no frame"),
        ("5-3", "backwards"),
        ("0-200", "0 to 199"),
        ("-4", "no frame"),
        ("300-", "300"),
        ("", "names no frame"),
        ("9" * 5000, "no frame or range"),
        ("٣", "no frame or range"),
        (" , ", "names no frame"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, says: str) -> None:
    with pytest.raises(CallError, match=says):
        parse_frames(text, 200)
