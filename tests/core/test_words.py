"""Counted things."""

from __future__ import annotations

from poseviewer.core.words import counted, people


def test_one_thing_has_no_plural() -> None:
    assert [counted(n, "frame") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
    assert [people(n) for n in (0, 1, 2)] == ["0 people", "1 person", "2 people"]
