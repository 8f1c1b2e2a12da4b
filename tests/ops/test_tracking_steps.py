"""The steps of tracking: against plain loops and exhaustive search, and where they must not depend on anything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_tracking import loop_kalman, loop_poses

from poseviewer.ops import kalman, poseflow
from poseviewer.ops.assignment import cosine_distances, limited_assignment, pixel_iou, pose_likeness
from poseviewer.ops.association import AssociationConfig, Tracks, appearance, step, told

SIZE = (640, 360)
FLOW = poseflow.PoseFlowConfig()


def best_total(cost: np.ndarray, limit: float) -> float:
    """The least total of all assignments, pairs above the limit at a little more than the limit."""
    capped = np.where(cost > limit, limit + 1e-4, cost)
    if capped.shape[0] > capped.shape[1]:
        capped = capped.T
    orders = itertools.permutations(range(capped.shape[1]), capped.shape[0])
    return min(sum(capped[row, column] for row, column in enumerate(order)) for order in orders)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_the_assignment_is_the_cheapest_of_all(seed: int, rows: int, columns: int) -> None:
    cost = np.random.default_rng(seed).uniform(0, 1.2, (rows, columns))
    found = limited_assignment(cost, 0.7)
    assert sorted([row for row, _ in found.pairs] + list(found.rows)) == list(range(rows))
    assert sorted([column for _, column in found.pairs] + list(found.columns)) == list(range(columns))
    assert all(cost[pair] <= 0.7 for pair in found.pairs)
    total = sum(cost[pair] for pair in found.pairs) + (min(rows, columns) - len(found.pairs)) * (0.7 + 1e-4)
    assert total == pytest.approx(best_total(cost, 0.7), abs=1e-9)


def test_impossible_and_meaningless_costs_are_never_taken() -> None:
    cost = np.array([[np.inf, 0.1], [np.nan, np.inf]])
    found = limited_assignment(cost, 0.7)
    assert (found.pairs, found.rows, found.columns) == (((0, 1),), (1,), (0,))
    for shape in ((0, 3), (3, 0), (0, 0)):
        empty = limited_assignment(np.zeros(shape), 0.5)
        assert (empty.pairs, len(empty.rows), len(empty.columns)) == ((), *shape)


def test_overlaps_are_those_of_plain_loops() -> None:
    rng = np.random.default_rng(3)
    poses, others = people(3) + rng.normal(0, 8, (3, 17, 2)), people(4, 1)
    places = rng.uniform(0, 400, (80, 2))
    points = poseflow.Correspondences(places, places + rng.normal(0, 5, places.shape))
    np.testing.assert_allclose(poseflow.pose_overlaps(poses, others, FLOW), loop_poses(poses, others, None, FLOW))
    found = poseflow.pose_shared_points(poses, others, points, FLOW)
    np.testing.assert_allclose(found, loop_poses(poses, others, points, FLOW))
    assert found.max() > 0


def test_many_at_once_is_one_by_one() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 200, (5, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(30, 90, (5, 2))], axis=1)
    measured = kalman.measurements(boxes)
    np.testing.assert_allclose(kalman.state_boxes(np.pad(measured, ((0, 0), (0, 4)))), boxes)
    start = kalman.begin(measured)
    means, spreads = kalman.update(*kalman.predict(*start), measured + 3)
    plain_means, plain_spreads = loop_kalman(*start, measured + 3)
    np.testing.assert_allclose(means, plain_means, rtol=1e-9)
    np.testing.assert_allclose(spreads, plain_spreads, rtol=1e-9, atol=1e-9)
    assert (np.linalg.eigvalsh(spreads) > 0).all()


def test_a_steady_walk_is_foreseen() -> None:
    """After ten frames of constant speed the filter expects the eleventh within half a pixel."""
    boxes = [np.array([[10.0 + 4 * at, 20, 70 + 4 * at, 200]]) for at in range(12)]
    mean, spread = kalman.begin(kalman.measurements(boxes[0]))
    for box in boxes[1:11]:
        mean, spread = kalman.update(*kalman.predict(mean, spread), kalman.measurements(box))
    mean, _ = kalman.predict(mean, spread)
    assert np.abs(kalman.state_boxes(mean) - boxes[11]).max() < 0.5


def test_distances_of_features_and_boxes() -> None:
    near = cosine_distances(np.array([[2.0, 0], [0, 3]]), np.array([[1.0, 0], [1, 1], [-1, 0]]))
    np.testing.assert_allclose(near, [[0, 1 - 0.5**0.5, 2], [1, 1 - 0.5**0.5, 1]], atol=1e-12)
    assert pixel_iou(np.array([[0, 0, 9, 9]]), np.array([[0, 0, 9, 9]]))[0, 0] == 1.0
    assert pixel_iou(np.array([[0, 0, 9, 9]]), np.array([[5, 0, 14, 9]]))[0, 0] == pytest.approx(50 / 150)
    assert pixel_iou(np.array([[0, 0, 9, 9]]), np.array([[10, 0, 19, 9]]))[0, 0] == 0.0


def test_poses_with_too_few_joints_in_common_are_not_alike() -> None:
    points = np.zeros((1, 5, 2))
    seen = np.array([[True, True, True, False, False]])
    sigmas = np.full(5, 0.07)
    area = np.array([1000.0])
    assert pose_likeness(points, seen, area, points, seen, area, sigmas)[0, 0] == 1.0
    assert pose_likeness(points, seen, area, points, ~seen, area, sigmas)[0, 0] == 0.0


def people(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 40, (count, 17, 2)) + np.arange(count)[:, None, None] * [90, 0] + [40, 100]


@pytest.mark.parametrize("first_empty", [True, False])
def test_an_empty_frame_leaves_poseflow_usable(*, first_empty: bool) -> None:
    still = poseflow.Correspondences.still(*SIZE)
    history = poseflow.History()
    empty = np.zeros((0, 17, 2))
    if first_empty:
        history, found = poseflow.link(history, empty, still, SIZE, FLOW)
        assert found.numbers.shape == (0,)
    history, found = poseflow.link(history, people(2), still, SIZE, FLOW)
    assert found.numbers.tolist() == [1, 2]
    history, found = poseflow.link(history, empty, still, SIZE, FLOW)
    assert found.boxes.shape == (0, 4)
    _, found = poseflow.link(history, people(2)[::-1], still, SIZE, FLOW)
    assert found.numbers.tolist() == [2, 1]


def test_poseflow_forgets_after_its_reach() -> None:
    config = poseflow.PoseFlowConfig(link=3)
    still = poseflow.Correspondences.still(*SIZE)
    history, _ = poseflow.link(poseflow.History(), people(1), still, SIZE, config)
    for _ in range(3):
        history, _ = poseflow.link(history, np.zeros((0, 17, 2)), still, SIZE, config)
    _, found = poseflow.link(history, people(1), still, SIZE, config)
    assert found.numbers.tolist() == [2]


def test_nothing_moved_is_every_pixel_to_itself() -> None:
    """The closed form for whole boxes against the list of all pixels."""
    width, height = 40, 30
    x, y = np.meshgrid(np.arange(width), np.arange(height), indexing="ij")
    grid = np.stack([x.reshape(-1), y.reshape(-1)], axis=1).astype(float)
    stored = poseflow.Correspondences(grid, grid)
    rng = np.random.default_rng(1)
    left, top = rng.uniform(-10, 30, (2, 8))
    boxes = np.stack([left, left + rng.uniform(1, 25, 8), top, top + rng.uniform(1, 25, 8)], axis=1)
    still = poseflow.Correspondences.still(width, height)
    np.testing.assert_allclose(
        poseflow.shared_points(boxes[:5], boxes[3:], still), poseflow.shared_points(boxes[:5], boxes[3:], stored)
    )


def test_the_order_of_detections_does_not_decide_who_is_who() -> None:
    rng = np.random.default_rng(2)
    corners = np.array([[20.0, 30], [200, 40], [400, 20]])
    features = np.eye(3)
    config = AssociationConfig()
    tracks = Tracks()
    numbers = []
    for at in range(6):
        order = rng.permutation(3) if at else np.arange(3)
        boxes = np.concatenate([corners + 2 * at, corners + 2 * at + [60, 150]], axis=1)[order]
        tracks = step(tracks, boxes, appearance(features[order]), config, features=features[order])
        numbers.append({track.number: int(order[track.detection]) for track in tracks.present})
    assert numbers == [{1: 0, 2: 1, 3: 2}] * 6


def test_lost_tracks_wait_at_the_border_where_the_size_is_known() -> None:
    config = AssociationConfig(sure_at_once=True)
    for size, inside in (((640, 360), True), (None, False)):
        tracks = Tracks()
        for at in range(60):
            boxes = np.array([[500.0 + 8 * at, 100, 560 + 8 * at, 250]]) if at < 12 else np.zeros((0, 4))
            nothing = np.zeros((1, len(boxes)))
            tracks = step(tracks, boxes, lambda pool, table=nothing: table[: len(pool)], config, size_wh=size)
        (lost,) = tracks.lost
        assert (lost.mean[0] <= 640) == inside


def test_what_is_told_is_confirmed_and_nobody_else_is_there() -> None:
    box = np.array([[10.0, 20, 60, 180]])
    tracks = told(Tracks(), box, [5])
    tracks = told(tracks, box + 300, [9])
    assert [(track.number, track.confirmed) for track in tracks.present] == [(9, True)]
    assert [track.number for track in tracks.lost] == [5]
    assert (tracks.highest, tracks.frame) == (9, 2)
