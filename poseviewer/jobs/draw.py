"""Skeletons, boxes and heat on pictures without a window, in the colours of the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.core.drawing import WITH_NECK, Colour, Drawing, strengths
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, OCCLUDED, Array, CropEvidence, Person, Pixels, Pose

NECK_OF = [5, 6]
"""The shoulders, between which AlphaPose draws the neck of people of 17 joints."""
SIDE_COLOURS: dict[str, Colour] = {"left": (255, 194, 71), "right": (61, 155, 255), "centre": (242, 242, 242)}
HALO: Colour = (8, 9, 11)
DOUBT_ALPHA = 0.4
"""Opacity of limbs and joints that score low."""
SHIFT = 4
"""cv2 draws at sixteenths of a pixel."""


def draw_people(
    pixels: Pixels,
    people: Sequence[Person | Pose],
    kit: Skeleton,
    *,
    boxes: bool = False,
    least_score: float = 0.05,
    drawing: Drawing | None = None,
) -> Pixels:
    """Return a copy of a frame with skeletons on it.

    Args:
        pixels: ``(H, W, 3)`` uint8 RGB.
        people: persons (their visibility decides) or poses (joints below ``least_score`` are left out).
        kit: joint names, limbs and sides.
        boxes: draw the boxes too.
        least_score: 0..1.
        drawing: limbs and colours of another program instead of the window's. Without one, predicted joints that
            score low, and limbs that end in one, are drawn faintly.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    picture = np.ascontiguousarray(pixels).copy()
    style = _style(kit, drawing)
    thick = max(round(min(picture.shape[:2]) / 240), 1)
    shapes: list[tuple[Array, npt.NDArray[np.uint8], npt.NDArray[np.bool_]]] = []
    for person in people:
        pose = person.pose if isinstance(person, Person) else person
        visibility = _visibility(person, least_score)
        if boxes:
            _box(picture, pose.box, thick)
        points = pose.keypoints
        if drawing is not None and len(points) == WITH_NECK:
            points = np.concatenate([points, points[NECK_OF].mean(axis=0, keepdims=True)])
            visibility = np.append(visibility, visibility[NECK_OF].min())
        shapes.append((points, visibility, _doubtful(person) if drawing is None else np.zeros(len(points), bool)))
    if any(doubtful.any() for _, _, doubtful in shapes):
        # Whoever is partly in doubt goes whole on a layer that shines through where the sure parts do not cover it.
        layer = picture.copy()
        for points, visibility, doubtful in shapes:
            if doubtful.any():
                _figure(layer, points, visibility, style, thick)
        picture = _mixed(picture, layer)
    for points, visibility, doubtful in shapes:
        _figure(picture, points, np.where(doubtful, ABSENT, visibility).astype(np.uint8), style, thick)
    return picture


def _figure(picture: Pixels, points: Array, visibility: npt.NDArray[np.uint8], style: _Style, thick: int) -> None:
    _limbs(picture, points, visibility, style, thick)
    _joints(picture, points, visibility, style, thick)


def _doubtful(person: Person | Pose) -> npt.NDArray[np.bool_]:
    """Return the ``(K,)`` joints that score low; none where a hand confirmed them."""
    pose = person.pose if isinstance(person, Person) else person
    if isinstance(person, Person) and person.state == "corrected":
        return np.zeros(len(pose.scores), bool)
    return strengths(pose.scores) < 1.0


def _mixed(picture: Pixels, layer: Pixels) -> Pixels:
    import cv2

    return np.asarray(cv2.addWeighted(layer, DOUBT_ALPHA, picture, 1.0 - DOUBT_ALPHA, 0.0), dtype=np.uint8)


def _visibility(person: Person | Pose, least_score: float) -> npt.NDArray[np.uint8]:
    if isinstance(person, Person):
        return person.visibility
    return np.where(person.scores >= least_score, 2, 0).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class _Style:
    """Limbs with their colours, the colour of every joint, and the joints that are drawn smaller."""

    limbs: tuple[tuple[tuple[int, int], Colour], ...]
    joints: tuple[Colour, ...]
    fine: frozenset[int]


def _style(kit: Skeleton, drawing: Drawing | None) -> _Style:
    if drawing is not None:
        limbs = tuple((limb, drawing.line(number)) for number, limb in enumerate(drawing.limbs))
        return _Style(limbs, tuple(drawing.point(joint) for joint in range(kit.count + 1)), kit.fine)
    sided = []
    for first, second in kit.limbs:
        sides = {kit.sides[first], kit.sides[second]}
        sided.append(((first, second), SIDE_COLOURS[sides.pop() if len(sides) == 1 else "centre"]))
    return _Style(tuple(sided), tuple(SIDE_COLOURS[side] for side in kit.sides), kit.fine)


def _limbs(picture: Pixels, points: Array, visibility: npt.NDArray[np.uint8], style: _Style, thick: int) -> None:
    import cv2

    for outline in (True, False):
        for (first, second), colour in style.limbs:
            if ABSENT in (visibility[first], visibility[second]):
                continue
            width = thick + 2 if outline else thick
            start, end = _fixed(points[first]), _fixed(points[second])
            cv2.line(picture, start, end, HALO if outline else colour, width, cv2.LINE_AA, SHIFT)


def _joints(picture: Pixels, points: Array, visibility: npt.NDArray[np.uint8], style: _Style, thick: int) -> None:
    import cv2

    for joint, seen in enumerate(visibility):
        if seen == ABSENT:
            continue
        radius = (thick + (0 if joint in style.fine else 1)) << SHIFT
        centre = _fixed(points[joint])
        cv2.circle(picture, centre, radius + (1 << SHIFT), HALO, -1, cv2.LINE_AA, SHIFT)
        filled = 1 if seen == OCCLUDED else -1
        cv2.circle(picture, centre, radius, style.joints[joint], filled, cv2.LINE_AA, SHIFT)


def _box(picture: Pixels, box: npt.NDArray[np.floating], thick: int) -> None:
    import cv2

    low, high = _fixed(box[:2]), _fixed(box[2:])
    cv2.rectangle(picture, low, high, HALO, thick + 2, cv2.LINE_AA, SHIFT)
    cv2.rectangle(picture, low, high, SIDE_COLOURS["centre"], max(thick - 1, 1), cv2.LINE_AA, SHIFT)


def _fixed(point: npt.NDArray[np.floating]) -> tuple[int, int]:
    """Return a point in sixteenths of a pixel, kept within what cv2's integers hold."""
    x, y = np.clip(np.nan_to_num(np.asarray(point, dtype=np.float64)), -30000, 30000)
    return round(float(x) * (1 << SHIFT)), round(float(y) * (1 << SHIFT))


def contact_sheet(crops: Sequence[CropEvidence], kit: Skeleton, *, cell_px: int = 104, columns: int = 10) -> Pixels:
    """Return one picture with, for each person, the proposal crop, the STN crop, and every joint's heatmap over it.

    The scale of all heatmaps is 0..1; each is titled with its joint and peak.

    Args:
        crops: evidence of the persons, one block of rows each.
        kit: joint names.
        cell_px: width of a cell.
        columns: cells in a row.

    Returns:
        ``(H, W, 3)`` uint8 RGB; a plain small picture if there are no crops.
    """
    if not crops:
        return _title(np.full((cell_px, cell_px * columns, 3), 24, np.uint8), "nobody was found in this frame")
    blocks: list[Pixels] = []
    for number, crop in enumerate(crops, start=1):
        cells = [
            _title(_cell(crop.proposal_picture, cell_px), f"{number}: box"),
            _title(_cell(crop.picture, cell_px), "STN crop"),
        ]
        for joint, heat in enumerate(crop.heatmaps):
            name = kit.joints[joint] if joint < kit.count else f"joint {joint}"
            cells.append(_title(_heat_over(crop.picture, heat, cell_px), f"{name} {float(heat.max()):.2f}"))
        cells += [np.full_like(cells[0], 24)] * (-len(cells) % columns)
        rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
        blocks.append(np.pad(np.vstack(rows), ((0, 8), (0, 0), (0, 0)), constant_values=24))
    return np.vstack(blocks)


def _cell(picture: Pixels, width: int) -> Pixels:
    import cv2

    height = round(picture.shape[0] * width / picture.shape[1])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _heat_over(picture: Pixels, heat: npt.NDArray[np.float32], width: int) -> Pixels:
    """Blend a heatmap in the inferno palette over the grey crop; low values stay transparent."""
    import cv2

    under = _cell(picture, width)
    grey = np.repeat(under.mean(axis=2, keepdims=True), 3, axis=2) * 0.55
    size = (under.shape[1], under.shape[0])
    values = np.clip(cv2.resize(np.asarray(heat, dtype=np.float32), size, interpolation=cv2.INTER_LINEAR), 0, 1)
    level = (255 * (0.12 + 0.88 * values)).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    step = np.clip((values - 0.04) / 0.26, 0, 1)
    alpha = (0.8 * step * step * (3 - 2 * step))[..., None]
    mixed: Pixels = np.clip(grey * (1 - alpha) + coloured * alpha, 0, 255).astype(np.uint8)
    return mixed


def _title(picture: Pixels, text: str) -> Pixels:
    import cv2

    strip = np.full((15, picture.shape[1], 3), 24, np.uint8)
    cv2.putText(strip, text, (2, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (230, 230, 230), 1, cv2.LINE_AA)
    return np.vstack([strip, picture])


def grid(pictures: Sequence[Pixels], columns: int = 3) -> Pixels:
    """Return pictures of one size side by side in rows."""
    cells = list(pictures)
    cells += [np.full_like(cells[0], 24)] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)])
