"""Where things are: picture pixels, Qt's scene, and the screen.

Keypoints and boxes have the centre of the top-left pixel at (0, 0). Qt paints a picture so that the *corner* of the
top-left pixel is at (0, 0) of the scene. :func:`half_pixel` is the one place that knows the difference.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPolygonF, QTransform

Points = npt.NDArray[np.float64]


def half_pixel(points: npt.ArrayLike, *, to_scene: bool) -> Points:
    """Return ``(..., 2)`` picture pixels as scene coordinates, or the other way round."""
    shift = 0.5 if to_scene else -0.5
    return np.asarray(points, dtype=np.float64) + shift


def to_scene(x: float, y: float) -> QPointF:
    """Return a picture place as a scene point."""
    u, v = half_pixel((x, y), to_scene=True)
    return QPointF(float(u), float(v))


def to_picture(point: QPointF) -> tuple[float, float]:
    """Return a scene point as a picture place."""
    x, y = half_pixel((point.x(), point.y()), to_scene=False)
    return float(x), float(y)


def screen_points(points: npt.ArrayLike, view: QTransform) -> Points:
    """Return ``(..., 2)`` picture pixels as screen px, under the view's transform (scene to screen)."""
    scene = half_pixel(points, to_scene=True)
    x = scene[..., 0] * view.m11() + scene[..., 1] * view.m21() + view.dx()
    y = scene[..., 0] * view.m12() + scene[..., 1] * view.m22() + view.dy()
    return np.stack([x, y], axis=-1)


def screen_box(box: npt.ArrayLike, view: QTransform) -> QRectF:
    """Return an xyxy box in picture pixels as a rectangle in screen px."""
    corners = screen_points(np.asarray(box, dtype=np.float64).reshape(2, 2), view)
    return QRectF(QPointF(*corners[0].tolist()), QPointF(*corners[1].tolist())).normalized()


def grid_transform(matrix: npt.ArrayLike, scale: float = 1.0) -> QTransform:
    """Return how to paint an image whose grid ``matrix`` maps to picture pixels.

    Args:
        matrix: ``(2, 3)``, cell centres -> picture pixels.
        scale: image px per cell, where the image is an enlarged grid.

    Returns:
        image coordinates as Qt counts them (corners of pixels) -> scene.
    """
    a = np.asarray(matrix, dtype=np.float64)
    linear = a[:, :2] / scale
    # The image's corner (0, 0) is half a cell before the first cell's centre.
    origin = half_pixel(a[:, 2] + a[:, :2] @ half_pixel((0.0, 0.0), to_scene=False), to_scene=True)
    return QTransform(linear[0, 0], linear[1, 0], linear[0, 1], linear[1, 1], float(origin[0]), float(origin[1]))


def grid_polygon(matrix: npt.ArrayLike, width: float, height: float) -> QPolygonF:
    """Return the outline in scene coordinates of a grid of ``width`` x ``height`` cells that ``matrix`` places."""
    place = grid_transform(matrix)
    return place.map(QPolygonF(QRectF(0, 0, width, height)))
