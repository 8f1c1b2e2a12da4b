"""Half bodies, flips and random windows of the published training code."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.skeleton import skeleton
from poseviewer.ops.codec_hrnet import HRNetCodec
from poseviewer.training import augment_hrnet, augment_mmpose, augment_tutorial
from poseviewer.training.draws import Draws

UPPER = range(11)
INPUT_WH, MAP_WH = (192, 256), (48, 64)
FLIP = skeleton().flip


@check("hrnet_ae/halfbody_hrnet.npz", "half body")
def half_body_hrnet(data: Vectors) -> Iterator[Comparison]:
    for case, seed in enumerate(data["seeds"]):
        draw = Draws.seeded(int(seed)).normal()
        yield close(f"draw {case}", draw, data["draw"][case], 1e-12)
        joints, seen = data["joints"][case], data["vis"][case][:, 0]
        found = augment_hrnet.half_body(joints, seen, UPPER, draw, INPUT_WH[0] / INPUT_WH[1])
        yield same(f"valid {case}", found is not None, data["valid"][case])
        centre, scale = found if found is not None else (np.zeros(2), np.zeros(2))
        yield close(f"centre {case}", centre, data["center"][case], 1e-4)
        yield close(f"scale {case}", scale, data["scale"][case], 1e-6)


@check("hrnet_ae/trainaug_hrnet.npz", "persons")
def training_hrnet(data: Vectors) -> Iterator[Comparison]:
    codec = HRNetCodec(INPUT_WH, MAP_WH)
    for case, (seed, plain) in enumerate(zip(data["np_seed"], data["py_seed"], strict=True)):
        given = [data[name][case] for name in ("joints_in", "vis_in", "center_in", "scale_in")]
        draws = Draws.seeded(int(seed), int(plain))
        found = augment_hrnet.augment_person(*given, int(data["img_hw"][1]), INPUT_WH, FLIP, UPPER, draws)
        yield close(f"centre {case}", found.centre, data["center_out"][case], 1e-4)
        yield close(f"scale {case}", found.scale, data["scale_out"][case], 1e-6)
        yield close(f"rotation {case}", found.degrees, data["rotation"][case], 1e-9)
        yield close(f"joints {case}", found.joints, data["joints_out"][case], 1e-3)
        yield same(f"visible {case}", found.visible, data["vis_out"][case])
        joints, seen = (torch.from_numpy(part)[None] for part in (found.joints[:, :2], found.visible[:, 0]))
        maps, weights = codec.encode(joints, seen)
        yield same(f"weights {case}", weights[0], data["target_weight"][case][:, 0])
        yield same(f"peaks {case}", maps[0].flatten(1).argmax(dim=1), data["target_argmax"][case])
        yield close(f"sums {case}", maps[0].sum(dim=(1, 2)), data["target_sum"][case], 1e-4)


@check("hrnet_ae/sizes_higher.npz", "random affine")
def squares_higher(data: Vectors) -> Iterator[Comparison]:
    for case, seed in enumerate(data["aff_seed"]):
        height, width = (int(side) for side in data["aff_hw"][case])
        config = augment_hrnet.SquareAugment(side="long" if data["aff_long"][case] else "short")
        square = augment_hrnet.random_square((width, height), Draws.seeded(int(seed)), config)
        for side in (int(name.removeprefix("aff_mask")) for name in data.names("aff_mask")):
            wanted = data[f"aff_joints{side}"][case]
            yield close(f"joints {side} {case}", square.joints(data["aff_joints"][case], side), wanted, 1e-4)
            mask = square.mask(np.ones((height, width)), side)
            yield close(f"mask {side} {case}", mask, data[f"aff_mask{side}"][case], 0)


@check("hrnet_ae/halfbody_flip_wz.npz", "half body, flip and padding")
def tutorial(data: Vectors) -> Iterator[Comparison]:
    for case, seed in enumerate(data["seed"]):
        first = Draws.seeded(int(seed))
        yield close(f"draws {case}", [first.plain(), first.plain()], data["draws"][case], 1e-12)
        given = [data[name][case] for name in ("box_in", "kps", "visible")]
        found = augment_tutorial.half_body(*given, UPPER, Draws.seeded(int(seed)), probability=data["p"][case])
        yield close(f"box {case}", found, data["box_out"][case], 1e-4)
    for case, seed in enumerate(data["flip_seed"]):
        given = [data[name][case] for name in ("flip_kps", "flip_vis")]
        joints, seen = augment_tutorial.mirror(*given, INPUT_WH[0], FLIP, Draws.seeded(int(seed)))
        yield close(f"mirrored {case}", joints, data["flip_kps_out"][case], 1e-4)
        yield same(f"mirrored visibility {case}", seen, data["flip_vis_out"][case])
    for case, size in enumerate(data["resize_pad_size_hw"]):
        picture = int(data["resize_pad_w"][case]), int(data["resize_pad_h"][case])
        matrix = augment_tutorial.padded_matrix(picture, (int(size[1]), int(size[0])))
        yield close(f"padding {case}", matrix, data["resize_pad_reverse"][case], 1e-5)


@check("hrnet_ae/halfbody_mmpose.npz", "half body")
def half_body_mmpose(data: Vectors) -> Iterator[Comparison]:
    for case, seed in enumerate(data["np_seed"]):
        given = [data[name][case] for name in ("keypoints", "visible", "center_in", "scale_in")]
        rules = augment_mmpose.HalfBodyRules(probability=float(data["prob"][case]))
        centre, scale = augment_mmpose.half_body(*given, UPPER, Draws.seeded(int(seed)), rules)
        yield close(f"centre {case}", centre, data["center_out"][case], 1e-4)
        yield close(f"scale {case}", scale, data["scale_out"][case], 1e-4)
