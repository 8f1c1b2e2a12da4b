"""Affine maps, boxes and OKS."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseviewer.core.geometry import box_iou, compose, invert, keypoints_box, oks, transform
from poseviewer.core.skeleton import skeleton

numbers = st.floats(-500, 500)


@st.composite
def affine_maps(draw: st.DrawFn) -> np.ndarray:
    angle, scale, stretch = draw(st.floats(-3.1, 3.1)), draw(st.floats(0.05, 20)), draw(st.floats(0.3, 3))
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([scale, scale * stretch])
    return np.concatenate([linear, [[draw(numbers)], [draw(numbers)]]], axis=1)


@given(affine_maps(), st.tuples(numbers, numbers))
def test_a_map_and_its_inverse_meet(matrix: np.ndarray, point: tuple[float, float]) -> None:
    there = transform(matrix, np.array(point))
    np.testing.assert_allclose(transform(invert(matrix), there), point, atol=1e-6)


@given(affine_maps(), affine_maps(), st.tuples(numbers, numbers))
def test_composition_applies_the_inner_map_first(
    outer: np.ndarray, inner: np.ndarray, point: tuple[float, float]
) -> None:
    expected = transform(outer, transform(inner, np.array(point)))
    np.testing.assert_allclose(transform(compose(outer, inner), np.array(point)), expected, rtol=1e-9, atol=1e-6)


def test_iou_of_known_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(box_iou(boxes[:1], boxes), [[1, 50 / 150, 0]])


def test_the_box_of_keypoints_ignores_absent_ones() -> None:
    points = np.array([[10, 10], [30, 20], [999, 999]])
    np.testing.assert_allclose(keypoints_box(points, np.array([True, True, False])), [8, 8, 32, 22])
    assert not keypoints_box(points, np.zeros(3, bool)).any()


def test_oks_equals_pycocotools() -> None:
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(3)
    sigmas = skeleton().sigma_array
    truth = rng.uniform(0, 200, (17, 2))
    visibility = rng.integers(0, 3, 17)
    others = truth + rng.normal(0, 6, (5, 17, 2))
    area = 5321.0
    evaluator = cocoeval.COCOeval(iouType="keypoints")
    flat = np.concatenate([truth, visibility[:, None]], axis=1).ravel().tolist()
    evaluator._gts[1, 1] = [{"keypoints": flat, "bbox": [0, 0, 200, 200], "area": area}]
    evaluator._dts[1, 1] = [
        {"keypoints": np.concatenate([o, np.ones((17, 1))], axis=1).ravel().tolist(), "score": 1 - i / 10}
        for i, o in enumerate(others)
    ]
    expected = evaluator.computeOks(1, 1)[:, 0]
    np.testing.assert_allclose(oks(truth, visibility > 0, others, area, sigmas), expected, rtol=1e-9)
