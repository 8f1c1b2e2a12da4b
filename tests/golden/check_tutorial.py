"""The HRNet tutorial's crops, heatmaps and decoding."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.skeleton import skeleton
from poseviewer.ops import affine_hrnet, decode, tutorial_hrnet
from poseviewer.ops.codec_hrnet import HRNetCodec

AFFINE, HEATMAPS, DECODE = (f"hrnet_ae/{name}_wz.npz" for name in ("affine", "heatmap", "decode"))


@check(AFFINE, "boxes, maps and joints")
def crops(data: Vectors) -> Iterator[Comparison]:
    size = data.tensor("fixed_size_hw").flip(1)
    boxes = tutorial_hrnet.adjusted_boxes(data.tensor("box"), size)
    # A draw that does not exist is NaN.
    draws = data.tensor("draw_scale").nan_to_num(1.0), data.tensor("draw_angle").nan_to_num(0.0)
    forward, back = tutorial_hrnet.crop_maps(boxes, size, scale=draws[0], rotation=draws[1])
    for row in range(len(boxes)):
        yield close(f"box {row}", boxes[row], data["adjusted_xyxy"][row], 1e-4)
        yield close(f"map {row}", forward[row], data["trans"][row], 1e-6)
        yield close(f"reverse {row}", back[row], data["reverse_trans"][row], 1e-6)
        joints = data.tensor("kps_in")[row : row + 1]
        joints = joints.long() if data["kps_is_int"][row] else joints
        moved = tutorial_hrnet.crop_joints(forward[row : row + 1], joints)
        yield close(f"joints {row}", moved[0], data["kps_out"][row], 1e-3)


@check(HEATMAPS, "maps and weights")
def maps(data: Vectors) -> Iterator[Comparison]:
    height, width = data["heatmap"].shape[2:]
    for row in range(len(data["kps"])):
        joints = data.tensor("kps")[row : row + 1]
        seen = data.tensor("visible")[row : row + 1]
        seen = seen if data["has_visible"][row] else torch.ones_like(seen)
        weights = data["joint_weights"].tolist() if data["with_weights"][row] else None
        found, kept = tutorial_hrnet.heatmaps(joints, seen, (width, height), joint_weights=weights)
        yield close(f"maps {row}", found[0], data["heatmap"][row], 1e-6)
        yield close(f"weights {row}", kept[0], data["kps_weights"][row], 1e-6)


@check(DECODE, "decoding and flip")
def decoding(data: Vectors) -> Iterator[Comparison]:
    found = data.tensor("heatmaps")
    size = (found.shape[3], found.shape[2])
    codec = HRNetCodec((size[0] * 4, size[1] * 4), size)
    for flag in (0, 1):
        xy, scores = codec.decode(found, shift=bool(flag))
        joints = affine_hrnet.apply(data.tensor("trans"), xy)
        yield close(f"joints {flag}", joints, data[f"preds_pp{flag}"], 1e-3)
        yield same(f"scores {flag}", scores, data["scores"][..., 0])
    flip = skeleton().flip
    mirrored = data.tensor("flip_in")
    yield same("flip", decode.flip_back(mirrored, flip, shift=False), data["flip_back"])
    yield close("merged", decode.merge_flip(found, mirrored, flip), data["merged"], 1e-6)


@check(DECODE, "loss and gradient")
def loss(data: Vectors) -> Iterator[Comparison]:
    found = data.tensor("heatmaps").requires_grad_()
    value = tutorial_hrnet.heatmap_loss(found, data.tensor("flip_in"), data.tensor("loss_weights"))
    gradient = torch.autograd.grad(value, found)[0]
    yield close("loss", value, data["loss"], 1e-6)
    yield close("sum of the gradient", gradient.sum(dim=(2, 3)), data["loss_grad_sum"], 1e-6)
    yield close("size of the gradient", gradient.abs().sum(dim=(2, 3)), data["loss_grad_abs"], 1e-6)


@check(DECODE, "joints by stretching")
def stretching(data: Vectors) -> Iterator[Comparison]:
    height, width = data["decode_keypoints_hw"].tolist()
    joints, scores = tutorial_hrnet.stretched_joints(data.tensor("heatmaps")[:1], (width, height))
    yield close("joints", joints[0], data["decode_keypoints"], 1e-3)
    yield close("scores", scores[0], data["decode_scores"], 1e-6)
