"""What the rest of the program must know about an estimator, whoever published it."""

from __future__ import annotations

from typing import Literal

import msgspec

Output = Literal["heatmaps", "simcc", "regression", "tags"]
Crop = Literal["alphapose", "alphapose_master", "hrnet", "mmpose", "mmpose_udp"]
Decode = Literal[
    "master",
    "old",
    "integral",
    "combined",
    "hrnet",
    "msra",
    "dark",
    "udp",
    "udp_combined",
    "megvii",
    "simcc",
    "regression",
    "newell",
    "higher",
    "mmpose_ae",
]


class EstimatorSpec(msgspec.Struct, frozen=True):
    """What the rest of the program must know about an estimator.

    Attributes:
        family: network family, e.g. "fastpose".
        skeleton: name of the joint set, e.g. "coco_17"; "" where no bundled skeleton fits.
        joints: K.
        input_wh: network input in pixels; for tags the size that the network was trained with.
        heatmap_wh: heatmap size in cells; bins per axis for SimCC; the input itself for coordinates.
        mean, std: normalisation of 0..1 pixels, ``(x - mean) / std``, in the order R, G, B whatever order the network
            takes the channels in.
        decode: how outputs become joints.
        stn: the file carries a spatial transformer.
        output: what the network answers with: heatmaps ``(B, K, h, w)``; SimCC's two ``(B, K, bins)``; coordinates
            ``(B, K, 2 or 4)`` as shares of the input; maps with tags, for bottom-up pipelines.
        crop: whose way of cutting people out. "alphapose" is RMPE's for our own files, and the 2018 code's for
            `decode` "old".
        flip_shift: the flip test moves mirrored maps by one column, mirrored coordinates by one pixel.
        bgr: the network takes blue first.
        kernel: side in cells of the blur before DARK, UDP and Megvii decoding: 11 for sigma 2, 17 for sigma 3.
    """

    family: str
    skeleton: str
    joints: int
    input_wh: tuple[int, int]
    heatmap_wh: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    decode: Decode
    stn: bool = False
    output: Output = "heatmaps"
    crop: Crop = "alphapose"
    flip_shift: bool = True
    bgr: bool = False
    kernel: int = 11
