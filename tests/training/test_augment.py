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
    box_window,
    cut,
    disturb,
    half_body_box,
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
    window = random_window(box, np.zeros((17, 2)), np.ones(17), INPUT, config, 0.0, [11, 12], rng)
    plain = box_window(box, INPUT)
    assert window.centre == pytest.approx(plain.centre)
    assert window.size == pytest.approx(plain.size)
    assert window.degrees == 0


def test_random_windows_stay_within_their_limits() -> None:
    rng = np.random.default_rng(0)
    box = np.array([10.0, 20.0, 40.0, 120.0])
    config = AugmentConfig(half_body=0.0)
    plain = box_window(box, INPUT)
    windows = [
        random_window(box, np.zeros((17, 2)), np.ones(17), INPUT, config, 1.0, [11, 12], rng) for _ in range(300)
    ]
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


def test_disturbing_keeps_shape_and_type_and_nothing_at_strength_zero() -> None:
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (64, 48, 3), dtype=np.uint8)
    config = AugmentConfig(low_resolution=1.0, erase=1.0)
    for _ in range(20):
        changed = disturb(crop.copy(), config, 1.0, rng)
        assert changed.shape == crop.shape
        assert changed.dtype == np.uint8
    assert any((disturb(crop.copy(), config, 0.0, rng) == crop).all() for _ in range(3))
