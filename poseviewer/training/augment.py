"""Augmentation of person crops: which affine window is cut, and what happens to its pixels.

Everything geometric becomes one affine map, so a crop is warped once. Strength grows from gentle to full over
the first third of a training: wide rotations from the start leave a fresh network at the all-zero solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
ENLARGE = 1.25
LEAST_PART = 8
"""Pixels that a part of a picture has at least in width and height."""
PROPOSAL = 1.3
"""Proposals are enlarged a little more than the crops that an estimator is trained on (RMPE section 4)."""


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Full strength of every augmentation (reference/alphapose.md section 8 and RMPE section 4).

    Attributes:
        scale: crop size is multiplied by 1 +- this, uniformly.
        rotation: degrees, normal with this half-range clipped at +-`rotation`, applied with probability 0.6.
        box_noise: detector-like box error, standard deviation in box sizes for the centre.
        half_body: probability to keep only upper or lower body of a person with more than 8 joints.
        low_resolution: probability that the crop is shrunk and enlarged again.
        erase: probability that a rectangle of noise hides a part.
        flip: probability of mirroring.
        edge: probability that the picture ends at or near one or two sides of the box, as in a portrait.
    """

    scale: float = 0.35
    rotation: float = 45.0
    box_noise: float = 0.06
    half_body: float = 0.25
    low_resolution: float = 0.25
    erase: float = 0.25
    flip: float = 0.5
    edge: float = 0.0


NONE = AugmentConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Window:
    """A crop window: centre and size in picture pixels, clockwise turn in degrees, mirrored or not."""

    centre: tuple[float, float]
    size: tuple[float, float]
    degrees: float = 0.0
    mirrored: bool = False


def box_window(box: Float, input_wh: tuple[int, int], enlarge: float = ENLARGE) -> Window:
    """The window of a box xyxy: padded to the input's aspect, then enlarged (AlphaPose master)."""
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    aspect = input_wh[0] / input_wh[1]
    width, height = max(width, height * aspect, 1.0), max(height, width / aspect, 1.0)
    centre = (float(box[0]) + float(box[2] - box[0]) / 2, float(box[1]) + float(box[3] - box[1]) / 2)
    return Window(centre, (width * enlarge, height * enlarge))


def window_matrix(window: Window, input_wh: tuple[int, int]) -> Matrix:
    """(2, 3) map from picture pixels to crop pixels: the centre lands on (W / 2, H / 2) as in AlphaPose."""
    width, height = input_wh
    scale = width / window.size[0]
    angle = np.deg2rad(window.degrees)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[cos, sin], [-sin, cos]])
    shift = np.array([width / 2, height / 2]) - linear @ np.asarray(window.centre)
    matrix = np.column_stack([linear, shift])
    if window.mirrored:
        matrix[0] *= -1
        matrix[0, 2] += width - 1
    return matrix


def random_window(
    box: Float, input_wh: tuple[int, int], config: AugmentConfig, strength: float, rng: np.random.Generator
) -> Window:
    """Draw a window around a person's box (4,) xyxy; `strength` is 0 gentle .. 1 full."""
    window = box_window(box, input_wh)
    noise = rng.normal(0.0, config.box_noise * strength, 2) * (box[2:4] - box[0:2])
    factor = 1 + rng.uniform(-1, 1) * config.scale * strength
    degrees = 0.0
    if rng.random() < 0.6:
        limit = config.rotation * strength
        degrees = float(np.clip(rng.normal(0, limit / 1.5 + 1e-9), -limit, limit))
    return Window(
        (window.centre[0] + float(noise[0]), window.centre[1] + float(noise[1])),
        (window.size[0] * factor, window.size[1] * factor),
        degrees,
        bool(rng.random() < config.flip),
    )


def body_part(
    box: Float,
    joints: Float,
    weights: Float,
    config: AugmentConfig,
    strength: float,
    lower: Sequence[int],
    rng: np.random.Generator,
) -> Float:
    """The box xyxy of what is cut out of a person: now and then of one half of the body.

    Args:
        box: (4,) xyxy.
        joints: (K, 2) pixels; weights: (K,) 0 where unlabelled.
        strength: 0 gentle .. 1 full.
        lower: joint indices of the lower body.
        rng: source of the draws.
    """
    if rng.random() < config.half_body * strength and (weights > 0).sum() > 8:
        return half_body_box(box, joints, weights, lower, rng)
    return box


def picture_part(
    box: Float, picture_wh: tuple[int, int], config: AugmentConfig, strength: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """The part x0, y0, x1, y1 of a picture that is used: the whole, or less with one or two sides near the box.

    The bottom is a side twice as often as another: portraits end below a chest. A side lies up to an eighth of the
    box inside it or outside it, in whole pixels.
    """
    part = [0, 0, *picture_wh]
    # No draw where it is off: a training made without it stays repeatable to the crop.
    if config.edge > 0 and rng.random() < config.edge * strength:
        for side in rng.choice((0, 1, 2, 3, 3), int(rng.integers(1, 3)), replace=False):
            moved = rng.uniform(-1, 1) / 8 * float(box[side % 2 + 2] - box[side % 2])
            part[side] = round(float(np.clip(box[side] + moved, 0, picture_wh[side % 2])))
    x0, y0, x1, y1 = part
    return (x0, y0, x1, y1) if min(x1 - x0, y1 - y0) >= LEAST_PART else (0, 0, *picture_wh)


def half_body_box(box: Float, joints: Float, weights: Float, lower: Sequence[int], rng: np.random.Generator) -> Float:
    """The box of the upper or the lower half of the labelled joints, or the whole box where too few are there."""
    low = np.zeros(len(joints), dtype=bool)
    low[list(lower)] = True
    present = weights > 0
    halves = [half for half in (present & ~low, present & low) if half.sum() > 2]
    if not halves:
        return box
    chosen = joints[halves[int(rng.integers(len(halves)))]]
    start, end = chosen.min(0), chosen.max(0)
    pad = 0.12 * max(float((end - start).max()), 8.0)
    return np.concatenate([start - pad, end + pad])


def cut(picture: Pixels, matrix: Matrix, input_wh: tuple[int, int]) -> Pixels:
    """Warp a picture to the crop (H, W, 3), bilinear, black outside."""
    return np.asarray(cv2.warpAffine(picture, matrix, input_wh, flags=cv2.INTER_LINEAR), dtype=np.uint8)


def cut_part(picture: Pixels, part: tuple[int, int, int, int], matrix: Matrix, input_wh: tuple[int, int]) -> Pixels:
    """`cut` from a part x0, y0, x1, y1 of a picture: black outside the part; `matrix` is that of the whole picture."""
    x0, y0, x1, y1 = part
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ (x0, y0)
    return cut(picture[y0:y1, x0:x1], shifted, input_wh)


def disturb(crop: Pixels, config: AugmentConfig, strength: float, rng: np.random.Generator) -> Pixels:
    """Lower resolution, colour and occlusion changes of one crop (H, W, 3) uint8."""
    height, width = crop.shape[:2]
    if rng.random() < config.low_resolution * strength:
        factor = rng.uniform(0.25, 0.9)
        small = (max(int(width * factor), 8), max(int(height * factor), 8))
        shrunk = cv2.resize(crop, small, interpolation=cv2.INTER_AREA)
        crop = np.asarray(cv2.resize(shrunk, (width, height)), dtype=np.uint8)
    gain = rng.uniform(1 - 0.3 * strength, 1 + 0.3 * strength, 3) if rng.random() < 0.3 else np.ones(3)
    gain = gain * rng.uniform(1 - 0.35 * strength, 1 + 0.35 * strength)
    offset = rng.uniform(-30, 30) * strength
    ramp = np.arange(256, dtype=np.float64)[:, None] * gain + offset
    table = np.clip(ramp, 0, 255).astype(np.uint8).reshape(256, 1, 3)
    crop = np.asarray(cv2.LUT(crop, table), dtype=np.uint8)
    if rng.random() < 0.05:
        crop = np.repeat(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < config.erase * strength:
        erase_width, erase_height = (rng.uniform(0.08, 0.3, 2) * (width, height)).astype(int)
        x, y = int(rng.integers(width - erase_width)), int(rng.integers(height - erase_height))
        crop[y : y + erase_height, x : x + erase_width] = rng.integers(0, 256, 3)
    return crop
