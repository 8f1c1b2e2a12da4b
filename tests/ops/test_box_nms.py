"""Suppression of boxes: the greedy loop's answer, a true report, and indifference to what does not matter."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.core.geometry import box_iou
from poseviewer.core.values import BELOW_FLOOR, BY_SIMILARITY, KEPT
from poseviewer.ops.box_nms import suppress_boxes


def loop(boxes: np.ndarray, scores: np.ndarray, limit: float, floor: float) -> list[int]:
    """The straightforward form."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        overlaps = [np.float32(box_iou(boxes[k], boxes[i])[0, 0]) for k in kept]
        if scores[i] > floor and not any(overlap > limit for overlap in overlaps):
            kept.append(i)
    return kept


@st.composite
def crowds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(0, 14))
    corners = draw(st.lists(st.tuples(*[st.integers(0, 30)] * 2), min_size=count, max_size=count))
    sides = draw(st.lists(st.tuples(*[st.integers(5, 30)] * 2), min_size=count, max_size=count))
    scores = draw(st.lists(st.integers(0, 20), min_size=count, max_size=count))
    low = np.array(corners, dtype=np.float32).reshape(-1, 2)
    boxes = np.concatenate([low, low + np.array(sides, dtype=np.float32).reshape(-1, 2)], axis=1)
    return boxes, np.array(scores, dtype=np.float32) / 20


@given(crowds(), st.sampled_from([0.1, 0.5, 0.7, 1.0]), st.sampled_from([0.0, 0.3]))
@settings(max_examples=150, deadline=None)
def test_it_keeps_what_the_loop_keeps_and_says_why(
    crowd: tuple[np.ndarray, np.ndarray], limit: float, floor: float
) -> None:
    boxes, scores = crowd
    report = suppress_boxes(boxes, scores, limit=limit, floor=floor)
    assert report.kept.tolist() == loop(boxes, scores, limit, floor)
    assert (np.diff(scores[report.kept]) <= 0).all()
    kept = set(report.kept.tolist())
    for i in range(len(scores)):
        other = int(report.nearest[i])
        if other >= 0:
            assert report.similarity[i] == np.float32(box_iou(boxes[other], boxes[i])[0, 0])
        if report.outcome[i] == BY_SIMILARITY:
            assert report.by[i] == other
            assert other in kept
            assert report.similarity[i] > limit
            assert scores[other] >= scores[i]
        else:
            assert report.by[i] == -1
            assert report.outcome[i] == (KEPT if i in kept else BELOW_FLOOR)
            assert report.similarity[i] <= limit
            assert (scores[i] > floor) == (i in kept)


@given(crowds(), st.floats(-500, 500, width=16), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_place_and_size_do_not_matter(crowd: tuple[np.ndarray, np.ndarray], shift: float, scale: int) -> None:
    boxes, scores = crowd
    first = suppress_boxes(boxes, scores, limit=0.55)
    moved = suppress_boxes(boxes.astype(np.float64) * scale + shift, scores, limit=0.55)
    assert first.kept.tolist() == moved.kept.tolist()
    assert first.by.tolist() == moved.by.tolist()
