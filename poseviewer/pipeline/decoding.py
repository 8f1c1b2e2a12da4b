"""From what an estimator answers to joints, in the way of the system that published it: the flip test and decoding.

Every step is a published function of ``ops`` on the device; here the estimator's facts choose which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.ops import flip_mmpose
from poseviewer.ops.codec_hrnet import HRNetCodec
from poseviewer.ops.codec_mmpose import MegviiCodec, MsraCodec, UdpCodec
from poseviewer.ops.codec_simcc import RegressionCodec, SimccCodec, normalised_rows
from poseviewer.ops.decode import decode_heatmaps, decode_integral, merge_flip

Answer = Tensor | tuple[Tensor, ...]
"""Heatmaps ``(n, K, h, w)``, SimCC's ``(n, K, X)`` and ``(n, K, Y)``, or coordinates ``(n, K, 2 or 4)``."""
MAP_CELL = 4
"""Input pixels per cell of the maps that stand for SimCC's distributions as evidence."""


class Decoded(NamedTuple):
    """Joints of crops.

    Attributes:
        points: ``(n, K, 2)`` in heatmap cells or in input pixels, as ``unit`` says.
        scores: ``(n, K)``.
        unit: of the points.
    """

    points: Tensor
    scores: Tensor
    unit: Literal["cells", "input"]


class Maps(NamedTuple):
    """What the evidence shows of an answer.

    Attributes:
        values: ``(n, K, h, w)``.
        scale, offset: cell i is at input pixel ``scale * i + offset``, x and y.
    """

    values: Tensor
    scale: tuple[float, float]
    offset: tuple[float, float]


def floats(answer: Answer) -> Answer:
    """The answer in float32."""
    return answer.float() if isinstance(answer, Tensor) else tuple(part.float() for part in answer)


def merged(spec: EstimatorSpec, plain: Answer, mirrored: Answer, flip: Sequence[int]) -> Answer:
    """The mean of an answer and the one to the mirrored crops (reference/hrnet_ae_mmpose.md section 9).

    Args:
        flip: for each joint the one on the other side.
    """
    if isinstance(plain, tuple) or isinstance(mirrored, tuple):
        back = flip_mmpose.flip_vectors(mirrored[0], mirrored[1], flip)
        return (plain[0] + back[0]) / 2, (plain[1] + back[1]) / 2
    if spec.output == "regression":
        pixel = 1 / spec.input_wh[0] if spec.flip_shift else 0.0
        back_points = flip_mmpose.flip_coordinates(mirrored[..., :2], flip, pixel=pixel)
        rest = mirrored[:, list(flip), 2:]
        return (plain + torch.cat((back_points, rest), dim=2)) / 2
    if spec.decode == "udp_combined":
        return (plain + flip_mmpose.flip_udp_combined(mirrored, flip)) / 2
    return merge_flip(plain, mirrored, flip, shift=spec.flip_shift)


def decode(spec: EstimatorSpec, answer: Answer) -> Decoded:
    """Joints and scores of an answer.

    Raises:
        ValueError: the estimator is none for crops.
    """
    if isinstance(answer, tuple):
        bins = answer[0].shape[2] / spec.input_wh[0]
        return Decoded(*SimccCodec(spec.input_wh, ratio=bins).decode(answer[0], answer[1]), "input")
    if spec.output == "regression":
        return Decoded(*RegressionCodec(spec.input_wh).decode(answer), "input")
    size = answer.shape[3], answer.shape[2]
    match spec.decode:
        case "master" | "old" | "integral":
            return Decoded(*decode_heatmaps(answer, version=spec.decode), "cells")
        case "combined":
            return Decoded(*_combined(answer), "cells")
        case "hrnet":
            return Decoded(*HRNetCodec(spec.input_wh, size).decode(answer), "cells")
        case "msra" | "dark":
            codec = MsraCodec(spec.input_wh, size, unbiased=spec.decode == "dark", blur=spec.kernel)
            return Decoded(*codec.decode(answer), "input")
        case "megvii":
            return Decoded(*MegviiCodec(spec.input_wh, size, spec.kernel).decode(answer), "input")
        case "udp" | "udp_combined":
            combined = spec.decode == "udp_combined"
            return Decoded(*UdpCodec(spec.input_wh, size, blur=spec.kernel, combined=combined).decode(answer), "input")
    raise ValueError(f"{spec.decode!r} decodes no crops")


def maps_of(spec: EstimatorSpec, answer: Answer) -> Maps:
    """What the evidence shows of an answer: its heatmaps, or for SimCC the product of its two distributions.

    A network that answers with coordinates makes no maps; zeros stand there.
    """
    width, height = spec.input_wh
    cells = width // MAP_CELL, height // MAP_CELL
    if isinstance(answer, tuple):
        x, y = (F.adaptive_max_pool1d(normalised_rows(rows), count) for rows, count in zip(answer, cells, strict=True))
        bin_px = width / answer[0].shape[2], height / answer[1].shape[2]
        first = (MAP_CELL - bin_px[0]) / 2, (MAP_CELL - bin_px[1]) / 2
        return Maps(y[..., :, None] * x[..., None, :], (MAP_CELL, MAP_CELL), first)
    if spec.output == "regression":
        zeros = torch.zeros(*answer.shape[:2], cells[1], cells[0], device=answer.device)
        return Maps(zeros, (MAP_CELL, MAP_CELL), (0.0, 0.0))
    values = answer[:, ::3] if spec.decode == "udp_combined" else answer
    size = values.shape[3], values.shape[2]
    last = 1 if spec.decode.startswith("udp") else 0
    scale = width / max(1, size[0] - last), height / max(1, size[1] - last)
    return Maps(values, scale, (0.0, 0.0))


def combined_hands(joints: int) -> int:
    """How many last joints of AlphaPose's combined models are regressed: both hands, or face and hands."""
    return 42 if joints == 68 else 110


def _combined(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Body and feet by their peaks, the rest by expectation (reference/alphapose.md section 3.3)."""
    body = maps.shape[1] - combined_hands(maps.shape[1])
    peaks, peak_scores = decode_heatmaps(maps[:, :body], "master")
    means, mean_scores = decode_integral(maps[:, body:], "sigmoid")
    return torch.cat((peaks, means), dim=1), torch.cat((peak_scores, mean_scores), dim=1)
