"""Picture, scene and screen: the half pixel, boxes, grids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF
from PySide6.QtGui import QTransform

from poseviewer.core.geometry import transform
from poseviewer.core.skeleton import skeleton
from poseviewer.ui.canvas import hit
from poseviewer.ui.canvas.heat import contour, enlarge, heat_pixels, smoothstep
from poseviewer.ui.canvas.place import grid_polygon, grid_transform, half_pixel, screen_points, to_picture, to_scene

number = st.floats(-5000, 5000)


@given(number, number)
def test_there_and_back(x, y):
    assert to_picture(to_scene(x, y)) == pytest.approx((x, y), abs=1e-9)


def test_the_first_pixels_centre_is_half_a_pixel_inside_the_scene():
    assert to_scene(0, 0) == QPointF(0.5, 0.5)
    assert half_pixel([0.5, 0.5], to_scene=False).tolist() == [0.0, 0.0]


@given(st.floats(0.05, 32), number, number, number, number)
def test_screen_points_are_qts_own(scale, dx, dy, x, y):
    view = QTransform(scale, 0, 0, scale, dx, dy)
    mapped = view.map(to_scene(x, y))
    assert screen_points((x, y), view) == pytest.approx([mapped.x(), mapped.y()], abs=1e-6)


@given(
    st.tuples(*[st.floats(-4, 4)] * 4).filter(lambda a: abs(a[0] * a[3] - a[1] * a[2]) > 1e-3),
    number, number, st.integers(1, 8), st.floats(0, 48), st.floats(0, 64),
)  # fmt: skip
def test_an_enlarged_grid_lies_where_its_cells_lie(linear, tx, ty, factor, column, row):
    matrix = np.array([[linear[0], linear[1], tx], [linear[2], linear[3], ty]])
    # The centre of cell c is at (c + 0.5) * factor of the enlarged image.
    painted = grid_transform(matrix, factor).map(QPointF((column + 0.5) * factor, (row + 0.5) * factor))
    x, y = transform(matrix, np.array([column, row]))
    assert to_picture(painted) == pytest.approx((x, y), abs=1e-6)


def test_the_outline_of_an_identity_crop_is_its_pixels_outline():
    bounds = grid_polygon([[1, 0, 0], [0, 1, 0]], 10, 20).boundingRect()
    assert (bounds.x(), bounds.y(), bounds.width(), bounds.height()) == (0, 0, 10, 20)


def target(key, points, seen=None, box=(0, 0, 100, 100)):
    points = np.asarray(points, float)
    seen = np.full(len(points), 2, np.uint8) if seen is None else np.asarray(seen, np.uint8)
    return hit.Target(key, points, seen, np.asarray(box, float))


def seventeen(x, y):
    points = np.full((17, 2), -1000.0)
    points[9] = x, y
    return points


def test_the_selected_persons_joint_wins_though_another_is_nearer():
    people = [target("a", seventeen(50, 50)), target("b", seventeen(54, 50))]
    skeleton_ = skeleton()
    assert hit.find(people, 50, 50, None, skeleton_) == hit.Hit("joint", "a", 9)
    assert hit.find(people, 50, 50, "b", skeleton_) == hit.Hit("joint", "b", 9)
    assert hit.find(people, 50, 50, "b", skeleton_, skeletons=False).kind == "box"


def test_joints_beat_handles_and_handles_beat_limbs_and_boxes():
    points = np.full((17, 2), -1000.0)
    points[5], points[7] = (0, 0), (60, 0)
    people = [target("a", points, box=(20, 4, 90, 90))]
    skeleton_ = skeleton()
    assert hit.find(people, 2, 2, "a", skeleton_).kind == "joint"
    assert hit.find(people, 20, 4, "a", skeleton_) == hit.Hit("handle", "a", corner=0)
    assert hit.find(people, 40, 3, "a", skeleton_).kind == "limb"
    assert hit.find(people, 50, 50, "a", skeleton_) == hit.Hit("box", "a")
    assert hit.find(people, 200, 200, "a", skeleton_) is None


def test_the_smallest_of_nested_boxes_is_meant():
    none = np.full((17, 2), -1000.0)
    people = [target("large", none, box=(0, 0, 100, 100)), target("small", none, box=(40, 40, 60, 60))]
    assert hit.find(people, 50, 50, None, skeleton()).person == "small"


def test_heat_is_clear_below_and_full_above():
    values = np.array([[0.0, 0.04, 0.17, 0.30, 1.0]], np.float32)
    alpha = heat_pixels(values, 0.8)[0, :, 3] / 255
    assert alpha[:2].tolist() == [0, 0]
    assert alpha[2] == pytest.approx(0.4, abs=0.01)
    assert alpha[3:] == pytest.approx([0.8, 0.8], abs=0.01)
    pixels = heat_pixels(values, 0.8)
    assert (pixels[..., :3] <= pixels[..., 3:]).all(), "premultiplied"
    assert smoothstep(0, 1, np.array([-1.0, 0.5, 2.0])).tolist() == [0.0, 0.5, 1.0]


def test_enlarging_keeps_the_peak_in_its_place():
    y, x = np.mgrid[0:64, 0:48]
    small = np.exp(-((x - 20.3) ** 2 + (y - 31.6) ** 2) / 6).astype(np.float32)
    big = enlarge(small, 8)
    row, column = np.unravel_index(big.argmax(), big.shape)
    assert (column + 0.5) / 8 - 0.5 == pytest.approx(20.3, abs=0.2)
    assert (row + 0.5) / 8 - 0.5 == pytest.approx(31.6, abs=0.2)
    ring = contour(big, float(big.max()) / 2).boundingRect()
    # exp(-r^2 / 6) is a half at r = 2.04 cells, 16.3 px of the enlarged map.
    assert ring.width() == pytest.approx(2 * 16.3, abs=3)
