"""Decoding, targets, losses and suppression of the HRNet repository."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.skeleton import skeleton
from poseviewer.ops import codec_hrnet, decode, oks_hrnet
from poseviewer.ops.codec_hrnet import HRNetCodec

DECODE, TARGETS, OKS = (f"hrnet_ae/{name}_hrnet.npz" for name in ("decode", "targets", "oks"))
COCO_WEIGHTS = (*(1.0,) * 7, 1.2, 1.2, 1.5, 1.5, 1.0, 1.0, 1.2, 1.2, 1.5, 1.5)


@check(DECODE, "decoding")
def decoding(data: Vectors) -> Iterator[Comparison]:
    maps = data.tensor("heatmaps")
    size = (maps.shape[3], maps.shape[2])
    codec = HRNetCodec((size[0] * 4, size[1] * 4), size)
    xy, values = codec.decode(maps, shift=False)
    where = data.tensor("center"), data.tensor("scale")
    for row in range(len(maps)):
        yield same(f"arg-max {row}", xy[row], data["max_preds"][row])
        yield same(f"values {row}", values[row], data["max_vals"][row, :, 0])
    for flag in (0, 1):
        joints, scores = codec.decode_to_picture(maps, *where, shift=bool(flag))
        for row in range(len(maps)):
            yield close(f"joints {flag} {row}", joints[row], data[f"preds_pp{flag}"][row], 1e-3)
            yield same(f"scores {flag} {row}", scores[row], data[f"maxvals_pp{flag}"][row, :, 0])


@check(DECODE, "flip")
def flipping(data: Vectors) -> Iterator[Comparison]:
    flip = skeleton().flip
    maps, mirrored = data.tensor("flip_a"), data.tensor("flip_b")
    yield same("back", decode.flip_back(mirrored, flip, shift=False), data["flip_back_b"])
    yield close("merged", decode.merge_flip(maps, mirrored, flip, shift=False), data["merged_noshift"], 1e-6)
    yield close("shifted", decode.merge_flip(maps, mirrored, flip), data["merged_shift"], 1e-6)
    before = data.tensor("flip_joints_in"), data.tensor("flip_vis_in")
    joints, seen = codec_hrnet.mirror_joints(*before, int(data["flip_width"]), flip)
    yield close("joints", joints, data["flip_joints_out"], 1e-9)
    yield same("visible", seen, data["flip_vis_out"])


def codec_of(maps: np.ndarray, sigma: float = 2) -> HRNetCodec:
    """The codec of heatmaps ``(..., h, w)``, a quarter of the input."""
    height, width = maps.shape[-2:]
    return HRNetCodec((width * 4, height * 4), (width, height), sigma=sigma)


@check(TARGETS, "targets")
def targets(data: Vectors) -> Iterator[Comparison]:
    joints, seen = data.tensor("joints")[..., :2], data.tensor("joints_vis")[..., 0]
    maps, weights = codec_of(data["target"]).encode(joints, seen)
    for row in range(len(joints)):
        yield close(f"maps {row}", maps[row], data["target"][row], 1e-6)
        yield same(f"weights {row}", weights[row], data["target_weight"][row, :, 0])


@check(TARGETS, "joint weights and 288x384")
def other_targets(data: Vectors) -> Iterator[Comparison]:
    joints, seen = data.tensor("joints")[..., :2], data.tensor("joints_vis")[..., 0]
    _, weights = codec_of(data["target"]).encode(joints, seen, joint_weights=COCO_WEIGHTS)
    for name in data.names("weight_with_joint_weights_case"):
        yield close(name, weights[int(name.rpartition("case")[2])], data[name][:, 0], 1e-6)
    for name in data.names("target_s"):
        sigma, case = (int(number) for number in re.findall(r"\d+", name))
        codec = codec_of(data[name], sigma)
        maps, weights = codec.encode(joints[case : case + 1], seen[case : case + 1])
        yield close(name, maps[0], data[name], 1e-6)
        yield same(f"weights of {name}", weights[0], data[f"weight_s{sigma}_case{case}"][:, 0])


@check(TARGETS, "losses and gradients")
def losses(data: Vectors) -> Iterator[Comparison]:
    wanted, weights = data.tensor("loss_target"), data.tensor("loss_weight")[..., 0]
    found = data.tensor("loss_out").requires_grad_()
    loss = codec_hrnet.joints_mse(found, wanted, weights)
    yield close("weighted", loss, data["mse_weighted"], 1e-6)
    yield close("gradient", torch.autograd.grad(loss, found)[0], data["mse_weighted_grad"], 1e-6)
    yield close("unweighted", codec_hrnet.joints_mse(found, wanted), data["mse_unweighted"], 1e-6)
    loss = codec_hrnet.hardest_joints_mse(found, wanted, weights)
    yield close("hardest", loss, data["ohkm8"], 1e-6)
    yield close("hardest gradient", torch.autograd.grad(loss, found)[0], data["ohkm8_grad"], 1e-6)


@check(OKS, "similarity")
def similarity(data: Vectors) -> Iterator[Comparison]:
    poses = data.tensor("keypoints"), data.tensor("area"), torch.tensor(skeleton().sigmas)
    yield close("all joints", oks_hrnet.oks_table(*poses), data["oks"], 1e-6)
    yield close("seen joints", oks_hrnet.oks_table(*poses, seen_from=0.2), data["oks_visthr02"], 1e-6)


@check(OKS, "hard and soft suppression")
def suppression(data: Vectors) -> Iterator[Comparison]:
    sigmas = torch.tensor(skeleton().sigmas)
    scenes = [("", "keypoints", "area", "scores"), ("big_keep_", "big_kpts", "big_area", "big_score")]
    for prefix, points, area, score in scenes:
        table = oks_hrnet.oks_table(data.tensor(points), data.tensor(area), sigmas)
        scores = data.tensor(score)
        for name in data.names(prefix + "nms_"):
            kept = oks_hrnet.oks_nms(table, scores, float(name.rsplit("_", 1)[1]))
            yield same(name, kept, data[name])
        for name in data.names(prefix + "soft_"):
            kept = oks_hrnet.soft_oks_nms(table, scores, float(name.rsplit("_", 1)[1]))
            yield same(name, kept, data[name])


@check(OKS, "rescoring and boxes")
def rescoring(data: Vectors) -> Iterator[Comparison]:
    overlap, scores = data.tensor("rescore_overlap"), data.tensor("rescore_scores")
    yield close("gauss", oks_hrnet.decayed(overlap, scores, 0.5), data["rescore_gauss_0p5"], 1e-9)
    yield close("linear", oks_hrnet.decayed(overlap, scores, 0.5, linear=True), data["rescore_linear_0p5"], 1e-9)
    boxes = data.tensor("boxes")
    yield same("boxes", oks_hrnet.box_nms(boxes[:, :4], boxes[:, 4], 0.5), data["box_nms_0p5"])
