"""What a crop holds, in figures: how much of the person, of the picture, and what the STN changed. No Qt in here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import IDENTITY, invert, transform
from poseviewer.core.values import CropEvidence

Points = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Region:
    """Figures of one crop, before or after the STN.

    Attributes:
        filled: share of the crop that the person's box covers, 0..1.
        outside: share of the crop that lies outside the picture, 0..1.
        kept: share of the person's box that lies inside the crop, 0..1.
        cut: joints outside the crop or within two input pixels of its edge.
        pixels: frame pixels per input pixel.
    """

    filled: float
    outside: float
    kept: float
    cut: int
    pixels: float


@dataclass(frozen=True, slots=True)
class StnMove:
    """What theta does to the window, in words' figures.

    Attributes:
        zoom: above 1 the window shrank, so the person grew.
        right, down: movement of the window's centre in frame pixels.
        rotation: degrees, clockwise on screen.
        shear: of the axes in degrees; 0 keeps right angles.
        stretch: width's scale over height's scale; 1 keeps the aspect.
        identity: whether nothing changed.
    """

    zoom: float
    right: float
    down: float
    rotation: float
    shear: float
    stretch: float
    identity: bool


def corners(matrix: Matrix, size_wh: tuple[int, int]) -> Points:
    """Return the ``(4, 2)`` frame pixels of a crop's corners (outer edges of its corner pixels), clockwise."""
    width, height = size_wh
    edge = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64) - 0.5
    return transform(matrix, edge)


def box_corners(box: npt.NDArray[np.floating]) -> Points:
    """Return the ``(4, 2)`` corners of an xyxy box, clockwise."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def area(polygon: Points) -> float:
    """Return the area of a simple ``(n, 2)`` polygon; 0 for fewer than three corners."""
    if len(polygon) < 3:
        return 0.0
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def overlap(first: Points, second: Points) -> Points:
    """Return the common part of two convex polygons (Sutherland-Hodgman clipping), maybe without corners."""
    turn = np.dot(second[:, 0], np.roll(second[:, 1], -1)) - np.dot(second[:, 1], np.roll(second[:, 0], -1))
    clip = second if turn >= 0 else second[::-1]
    result = list(np.asarray(first, dtype=np.float64))
    for start, end in zip(clip, np.roll(clip, -1, axis=0), strict=True):
        edge = end - start
        result = _clipped(result, start, edge)
        if not result:
            break
    return np.array(result).reshape(-1, 2)


def _clipped(polygon: list[Points], start: Points, edge: Points) -> list[Points]:
    result: list[Points] = []
    sides = [float(edge[0] * (p[1] - start[1]) - edge[1] * (p[0] - start[0])) for p in polygon]
    for index, (point, side) in enumerate(zip(polygon, sides, strict=True)):
        before, side_before = polygon[index - 1], sides[index - 1]
        if (side >= 0) != (side_before >= 0):
            part = side_before / (side_before - side)
            result.append(before + part * (point - before))
        if side >= 0:
            result.append(point)
    return result


def region(
    matrix: Matrix,
    size_wh: tuple[int, int],
    box: npt.NDArray[np.floating],
    keypoints: npt.NDArray[np.floating],
    picture_wh: tuple[int, int],
) -> Region:
    """Return the figures of the crop that ``matrix`` (input pixels to frame pixels) defines.

    Args:
        matrix: ``(2, 3)``.
        size_wh: network input size.
        box: ``(4,)`` of the person, xyxy frame pixels, before enlargement.
        keypoints: ``(K, 2)`` frame pixels.
        picture_wh: size of the frame.
    """
    window = corners(matrix, size_wh)
    whole = max(area(window), 1e-9)
    person = box_corners(box)
    shared = area(overlap(person, window))
    picture = box_corners(np.array([-0.5, -0.5, picture_wh[0] - 0.5, picture_wh[1] - 0.5]))
    inside_picture = area(overlap(picture, window))
    seen = transform(invert(matrix), keypoints)
    low, high = 1.5, np.asarray(size_wh, dtype=np.float64) - 2.5
    cut = int(((seen < low) | (seen > high)).any(axis=-1).sum())
    return Region(
        filled=shared / whole,
        outside=max(1.0 - inside_picture / whole, 0.0),
        kept=shared / max(area(person), 1e-9),
        cut=cut,
        pixels=float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))),
    )


def stn_move(crop: CropEvidence) -> StnMove:
    """Return what the STN did to the proposal of ``crop``.

    Theta maps target coordinates to source coordinates on [-1, 1] squares, so a scale below 1 zooms in
    (reference/alphapose.md section 9). The angles are those of the window in frame pixels, which is where a person
    sees them: the map's change from proposal to crop.
    """
    height, width = crop.picture.shape[:2]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = transform(crop.crop, centre) - transform(crop.proposal, centre)
    change = crop.crop[:, :2] @ np.linalg.inv(crop.proposal[:, :2])
    scale_x = float(np.hypot(change[0, 0], change[1, 0]))
    determinant = float(np.linalg.det(change))
    rotation = float(np.degrees(np.arctan2(change[1, 0], change[0, 0])))
    scale_y = determinant / max(scale_x, 1e-9)
    skew = float(change[:, 0] @ change[:, 1]) / max(scale_x, 1e-9)
    shear = float(np.degrees(np.arctan2(skew, abs(scale_y) or 1e-9)))
    zoom = 1.0 / max(float(np.sqrt(abs(determinant))), 1e-9)
    identity = np.allclose(crop.theta, IDENTITY, atol=1e-6) and np.allclose(crop.crop, crop.proposal)
    return StnMove(zoom, float(shift[0]), float(shift[1]), rotation, shear, abs(scale_x / (scale_y or 1e-9)), identity)
