"""The report of an evaluation in words."""

from __future__ import annotations

from poseviewer.evaluation.report import Report


def test_one_result_of_one_person_in_one_image_is_told_without_plurals() -> None:
    one = Report({"AP": 0.5}, None, 0.5, {}, images=1, persons=1, pck_persons=1, not_found=0, results=1)
    lines = one.lines()
    assert lines[0] == "1 result, 1 person with joints in 1 image"
    assert any(line.endswith("(1 person, 0 not found)") for line in lines)
    two = Report({"AP": 0.5}, None, 0.5, {}, images=2, persons=3, pck_persons=3, not_found=1, results=4)
    assert two.lines()[0] == "4 results, 3 people with joints in 2 images"
