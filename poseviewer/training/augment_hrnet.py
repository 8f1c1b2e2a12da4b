"""The training augmentation of HRNet (also SimpleBaseline's) and of HigherHRNet, draw by draw.

Symbols: K joints, M people. Centres are pixels, scales are in units of 200 pixels, rotations in degrees.
Facts: reference/hrnet_ae_mmpose.md sections 6, 15 and 16.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from poseviewer.ops import affine_hrnet
from poseviewer.ops.affine_hrnet import UNIT
from poseviewer.ops.codec_hrnet import mirror_joints
from poseviewer.ops.multiscale_ae import square_matrix
from poseviewer.training.draws import Draws

Array = npt.NDArray[np.floating]
HALF_BODY_PADDING = 1.5
UPPER_BELOW = 0.5
"""The upper half is taken where a *normal* draw is below this, so in about 69 % of cases."""
ENOUGH = 2
"""More joints than this make a half worth cutting."""
LESS_THAN_WHOLE = 0.6
"""Share of crops that are turned."""


@dataclass(frozen=True, slots=True)
class HRNetAugment:
    """Strengths; the defaults are those of HRNet on COCO.

    Attributes:
        scale: the crop's scale is multiplied by 1 + this times a normal draw, clipped at 1 +- this.
        rotation: degrees, times a normal draw, clipped at +- twice this; 60 % of crops are turned.
        half_body: probability to keep one half of a person with more than ``half_body_joints`` visible joints.
        half_body_joints: see there.
        flip: whether half of the crops are mirrored.
    """

    scale: float = 0.35
    rotation: float = 45.0
    half_body: float = 0.3
    half_body_joints: int = 8
    flip: bool = True


class HRNetSample(NamedTuple):
    """One augmented person.

    Attributes:
        centre: ``(2,)`` float32 pixels (of the mirrored picture where ``mirrored``).
        scale: ``(2,)`` in units of 200 pixels.
        degrees: rotation.
        mirrored: whether the picture is to be mirrored before it is cut.
        joints: ``(K, 3)`` in network input pixels; those that are not visible stay as they were (zeros if mirrored).
        visible: ``(K, 3)`` as given, sides exchanged where mirrored.
        matrix: ``(2, 3)`` from (mirrored) picture pixels to network input pixels.
    """

    centre: Array
    scale: Array
    degrees: float
    mirrored: bool
    joints: Array
    visible: Array
    matrix: Array


def half_body(
    joints: Array, visible: Array, upper: Collection[int], draw: float, aspect: float
) -> tuple[Array, Array] | None:
    """Centre and scale of the upper or the lower half of a person.

    Args:
        joints: ``(K, 2+)`` pixels; visible: ``(K,)``, above 0 where labelled.
        upper: joint indices of the upper body; all others are the lower body.
        draw: a standard normal draw (not a uniform one).
        aspect: network input width / height.

    Returns:
        centre ``(2,)`` and scale ``(2,)`` float32; None where fewer than two joints are left.
    """
    seen = [joint for joint in range(len(joints)) if visible[joint] > 0]
    above = [joint for joint in seen if joint in upper]
    below = [joint for joint in seen if joint not in upper]
    chosen = above if (draw < UPPER_BELOW and len(above) > ENOUGH) or len(below) <= ENOUGH else below
    if len(chosen) < ENOUGH:
        return None
    points = np.asarray(joints, dtype=np.float32)[chosen, :2]
    centre = points.mean(axis=0)
    width, height = points.max(axis=0) - points.min(axis=0)
    if width > aspect * height:
        height = width / aspect
    elif width < aspect * height:
        width = height * aspect
    scale = np.array([width, height], dtype=np.float32) / np.float32(UNIT)
    return centre, scale * np.float32(HALF_BODY_PADDING)


def augment_person(
    joints: Array,
    visible: Array,
    centre: Array,
    scale: Array,
    picture_width: int,
    input_wh: tuple[int, int],
    flip: Sequence[int],
    upper: Collection[int],
    draws: Draws,
    config: HRNetAugment = HRNetAugment(),
) -> HRNetSample:
    """Augment one person as HRNet's data loader does.

    The draws: [uniform: half body, where enough joints are visible, and then normal: which half]; normal: scale;
    plain: whether to turn, and then normal: how far; plain: whether to mirror.

    Args:
        joints: ``(K, 3)`` pixels; visible: ``(K, 3)`` of 0 and 1, the same in the first two columns.
        centre: ``(2,)``, scale: ``(2,)`` of the crop (:func:`poseviewer.ops.affine_hrnet.centre_scale`).
        picture_width: pixels; input_wh: network input; flip, upper: of the skeleton.
        draws: the random numbers.
        config: strengths.
    """
    enough = visible[:, 0].sum() > config.half_body_joints
    if enough and draws.uniform() < config.half_body:
        half = half_body(joints, visible[:, 0], upper, draws.normal(), input_wh[0] / input_wh[1])
        centre, scale = half if half is not None else (centre, scale)
    factor = np.clip(draws.normal() * config.scale + 1, 1 - config.scale, 1 + config.scale)
    scale = scale.astype(np.float64) * factor
    degrees = 0.0
    if draws.plain() <= LESS_THAN_WHOLE:
        degrees = float(np.clip(draws.normal() * config.rotation, -2 * config.rotation, 2 * config.rotation))
    mirrored = config.flip and draws.plain() <= 0.5
    centre = np.array(centre, dtype=np.float32)
    if mirrored:
        turned, seen = mirror_joints(torch.from_numpy(joints), torch.from_numpy(visible), picture_width, flip)
        joints, visible = turned.numpy(), seen.numpy()
        centre[0] = picture_width - centre[0] - 1
    matrix = affine_hrnet.affine(
        torch.from_numpy(centre)[None], torch.from_numpy(scale)[None], input_wh, rotation=torch.tensor([degrees])
    )[0].numpy()
    moved = np.array(joints, dtype=np.float64)
    there = visible[:, 0] > 0
    moved[there, :2] = moved[there, :2] @ matrix[:, :2].T + matrix[:, 2]
    return HRNetSample(centre, scale, degrees, bool(mirrored), moved, visible, matrix)


@dataclass(frozen=True, slots=True)
class SquareAugment:
    """Strengths of HigherHRNet's random affine; the defaults are its COCO settings.

    Attributes:
        scale: lowest and highest factor on the side of the square that is cut.
        rotation: degrees, uniform within +- this.
        shift: the centre moves by whole pixels within +- this times the scale (in units of 200 pixels).
        side: "short" or "long", the picture's side that the square has before scaling.
    """

    scale: tuple[float, float] = (0.75, 1.5)
    rotation: float = 30.0
    shift: int = 40
    side: Literal["short", "long"] = "short"


class RandomSquare(NamedTuple):
    """A square window of a picture: centre in pixels, scale in units of 200 pixels, rotation in degrees."""

    centre: tuple[float, float]
    scale: float
    degrees: float

    def matrix(self, side: int) -> Array:
        """The ``(2, 3)`` float64 map from picture pixels to an output of ``side`` x ``side``.

        It is made anew for every output size, so maps of half the resolution have exactly half the coordinates.
        """
        centre = torch.tensor(self.centre, dtype=torch.float64)
        scale = torch.tensor(self.scale, dtype=torch.float64)
        return square_matrix(centre, scale, (side, side), rotation=self.degrees)[:2].numpy()

    def joints(self, joints: Array, side: int) -> Array:
        """Joints ``(..., 3)`` x, y, v in an output of ``side`` x ``side``; v is kept."""
        matrix = self.matrix(side)
        moved = np.array(joints, dtype=np.float64)
        moved[..., :2] = moved[..., :2] @ matrix[:, :2].T + matrix[:, 2]
        return moved

    def mask(self, mask: Array, side: int) -> npt.NDArray[np.float32]:
        """A crowd mask ``(H, W)`` of 0 and 1 warped to ``(side, side)``; what lies outside the picture is 0."""
        import cv2

        pixels = (np.asarray(mask) * 255).astype(np.uint8)
        warped = np.asarray(cv2.warpAffine(pixels, self.matrix(side), (side, side)))
        return (warped / 255 > 0.5).astype(np.float32)


def random_square(picture_wh: tuple[int, int], draws: Draws, config: SquareAugment = SquareAugment()) -> RandomSquare:
    """Draw the window of one picture as HigherHRNet's training does.

    The draws: uniform: scale; uniform: rotation; two whole numbers: shift in x and y.
    """
    side = min(picture_wh) if config.side == "short" else max(picture_wh)
    low, high = config.scale
    scale = side / UNIT * (draws.uniform() * (high - low) + low)
    degrees = (draws.uniform() * 2 - 1) * config.rotation
    x, y = picture_wh[0] / 2, picture_wh[1] / 2
    if config.shift > 0:
        far = int(config.shift * scale)
        x += draws.integer(-far, far)
        y += draws.integer(-far, far)
    return RandomSquare((x, y), scale, degrees)
