"""A joint and the pixel under it move together, whatever the window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.core.geometry import transform
from poseviewer.training.augment import (
    AugmentConfig,
    Window,
    body_part,
    box_window,
    cut,
    cut_part,
    disturb,
    half_body_box,
    picture_part,
    random_window,
    window_matrix,
)

INPUT = (96, 128)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(70, 130),
    st.floats(70, 130),
    st.floats(60, 140),
    st.floats(-180, 180),
    st.booleans(),
    st.tuples(st.integers(90, 110), st.integers(90, 110)),
)
def test_a_dot_lands_where_the_matrix_says(
    x: float, y: float, size: float, degrees: float, mirrored: bool, dot: tuple[int, int]
) -> None:
    picture = np.zeros((200, 200, 3), dtype=np.uint8)
    picture[dot[1] - 1 : dot[1] + 2, dot[0] - 1 : dot[0] + 2] = 255
    window = Window((x, y), (size, size * 4 / 3), degrees, mirrored)
    matrix = window_matrix(window, INPUT)
    crop = cut(picture, matrix, INPUT)[..., 0].astype(float)
    wanted = transform(matrix, np.array([dot], dtype=float))[0]
    margin = 4 * INPUT[0] / size
    if not (margin < wanted[0] < INPUT[0] - margin and margin < wanted[1] < INPUT[1] - margin):
        return
    rows, columns = np.mgrid[: INPUT[1], : INPUT[0]]
    found = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()
    np.testing.assert_allclose(found, wanted, atol=0.35)


def test_the_window_of_a_box_is_alphapose_masters() -> None:
    window = box_window(np.array([10.0, 20.0, 40.0, 120.0]), (192, 256))
    assert window.centre == (25.0, 70.0)
    assert window.size == pytest.approx((75 * 1.25, 100 * 1.25))
    matrix = window_matrix(window, (192, 256))
    np.testing.assert_allclose(transform(matrix, np.array([[25.0, 70.0]])), [[96.0, 128.0]])


def test_mirroring_twice_is_the_original() -> None:
    plain = window_matrix(Window((50.0, 60.0), (30.0, 40.0)), INPUT)
    mirrored = window_matrix(Window((50.0, 60.0), (30.0, 40.0), mirrored=True), INPUT)
    points = np.random.default_rng(0).uniform(0, 100, (5, 2))
    a, b = transform(plain, points), transform(mirrored, points)
    np.testing.assert_allclose(a[:, 0] + b[:, 0], INPUT[0] - 1)
    np.testing.assert_allclose(a[:, 1], b[:, 1])


def test_strength_zero_is_the_plain_window_but_for_mirroring() -> None:
    rng = np.random.default_rng(0)
    box = np.array([10.0, 20.0, 40.0, 120.0])
    config = AugmentConfig(flip=0.0)
    window = random_window(box, INPUT, config, 0.0, rng)
    plain = box_window(box, INPUT)
    assert window.centre == pytest.approx(plain.centre)
    assert window.size == pytest.approx(plain.size)
    assert window.degrees == 0


def test_random_windows_stay_within_their_limits() -> None:
    rng = np.random.default_rng(0)
    box = np.array([10.0, 20.0, 40.0, 120.0])
    config = AugmentConfig()
    plain = box_window(box, INPUT)
    windows = [random_window(box, INPUT, config, 1.0, rng) for _ in range(300)]
    ratios = np.array([window.size[0] / plain.size[0] for window in windows])
    turns = np.array([window.degrees for window in windows])
    assert 0.65 <= ratios.min() < 0.75
    assert 1.25 < ratios.max() <= 1.35
    assert 30 < np.abs(turns).max() <= 45
    assert 0.3 < (turns == 0).mean() < 0.5


def test_half_a_body_holds_only_its_joints() -> None:
    rng = np.random.default_rng(1)
    joints = np.column_stack([np.arange(17.0), np.arange(17.0) * 10])
    lower = [11, 12, 13, 14, 15, 16]
    seen = {bool(half_body_box(np.zeros(4), joints, np.ones(17), lower, rng)[1] > 90) for _ in range(20)}
    assert seen == {True, False}
    few = np.zeros(17)
    few[:2] = 1
    box = np.array([1.0, 2.0, 3.0, 4.0])
    assert half_body_box(box, joints, few, lower, rng) is box


def test_half_bodies_come_as_often_as_asked_and_of_people_with_enough_joints() -> None:
    rng = np.random.default_rng(2)
    box = np.array([0.0, 0.0, 16.0, 160.0])
    joints = np.column_stack([np.arange(17.0), np.arange(17.0) * 10])
    weights = np.ones(17)
    config = AugmentConfig(half_body=0.5)
    halves = [body_part(box, joints, weights, config, 0.5, [11, 12, 13, 14, 15, 16], rng) for _ in range(400)]
    assert 0.19 < np.mean([half is not box for half in halves]) < 0.31
    weights[8:] = 0
    assert all(body_part(box, joints, weights, config, 1.0, [11, 12], rng) is box for _ in range(20))


def test_a_picture_ends_near_the_box_or_nowhere() -> None:
    rng = np.random.default_rng(3)
    box, whole = np.array([40.0, 30.0, 80.0, 110.0]), (200, 150)
    assert {picture_part(box, whole, AugmentConfig(), 1.0, rng) for _ in range(20)} == {(0, 0, 200, 150)}
    parts = np.array([picture_part(box, whole, AugmentConfig(edge=0.5), 1.0, rng) for _ in range(600)])
    ended = parts != (0, 0, *whole)
    assert 0.43 < ended.any(1).mean() < 0.57
    assert ended.sum(1).max() == 2
    assert ended[:, 3].mean() > 1.3 * ended[:, :3].mean(0).max()
    sides = np.array([40, 80, 40, 80]) / 8
    assert (np.abs(parts - box)[ended] <= np.broadcast_to(sides, parts.shape)[ended] + 0.5).all()
    beyond = np.array([-40.0, -90.0, -5.0, -10.0])
    assert {picture_part(beyond, whole, AugmentConfig(edge=1.0), 1.0, rng) for _ in range(50)} == {(0, 0, *whole)}


def test_a_part_is_cut_as_the_whole_picture_is_and_black_outside() -> None:
    rng = np.random.default_rng(4)
    picture = rng.integers(1, 256, (150, 200, 3), dtype=np.uint8)
    matrix = window_matrix(Window((90.0, 80.0), (96.0, 128.0), mirrored=True), INPUT)
    whole, part = cut(picture, matrix, INPUT), cut_part(picture, (60, 30, 130, 101), matrix, INPUT)
    x, y = transform(np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2], np.indices(INPUT).reshape(2, -1).T).T
    inside = ((x >= 60) & (x <= 129) & (y >= 30) & (y <= 100)).reshape(INPUT).T
    np.testing.assert_array_equal(part[inside], whole[inside])
    assert not part[~inside].any()
    assert inside.any()
    assert not inside.all()


def test_disturbing_keeps_shape_and_type_and_nothing_at_strength_zero() -> None:
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (64, 48, 3), dtype=np.uint8)
    config = AugmentConfig(low_resolution=1.0, erase=1.0)
    for _ in range(20):
        changed = disturb(crop.copy(), config, 1.0, rng)
        assert changed.shape == crop.shape
        assert changed.dtype == np.uint8
    assert any((disturb(crop.copy(), config, 0.0, rng) == crop).all() for _ in range(3))
