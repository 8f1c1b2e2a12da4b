"""Decoding, flip test, targets and SIKR of AlphaPose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import torch
from goldenfolder import Comparison, Vectors, check, close, same
from netfill import beside

from poseviewer.core.skeleton import skeleton
from poseviewer.ops import codec_hrnet, decode, reference_crops, sikr, targets

OLD, MASTER, INTEGRAL, FLIP, SIKR, TARGETS = (
    f"alphapose/{name}.npz" for name in ("decode_old", "decode_master", "decode_integral", "flip", "sikr", "targets")
)
NORMS = ("softmax", "sigmoid", "divide_sum")
PAIRS_OF = {17: "mscoco", 26: "halpe_26", 136: "halpe_136", 133: "coco_wholebody", 68: "halpe_68_noface"}
SKELETON_OF = {"mscoco": "coco_17", "halpe_26": "halpe_26", "halpe_136": "halpe_136"} | {
    "halpe_68_noface": "halpe_68",
    "coco_wholebody": "coco_wholebody_133",
    "halpe_coco_wholebody_136": "halpe_136",
    "halpe_coco_wholebody_26": "halpe_26",
}
INPUT, HEATMAP = (192, 256), (48, 64)


@check(OLD, "joints and scores")
def old(data: Vectors) -> Iterator[Comparison]:
    maps = data.tensor("hms").float()
    xy, scores = decode.decode_heatmaps(maps, "old")
    yield close("cells", xy, data["preds_hm"], 1e-4)
    yield close("scores", scores, data["maxval"][..., 0], 1e-4)
    sizes = [tuple(int(side) for side in data[name][::-1]) for name in ("inp", "res")]
    found = reference_crops.old_to_frame(xy, data.tensor("pt1"), data.tensor("pt2"), sizes[0], sizes[1])
    yield close("joints", found, data["preds_img"], 1e-3)


@check(MASTER, "joints and scores")
def master(data: Vectors) -> Iterator[Comparison]:
    maps, boxes = data.tensor("hms").float(), data.tensor("bbox")
    size = (maps.shape[3], maps.shape[2])
    xy, scores = decode.argmax_joints(maps)
    yield same("arg-max", xy, data["argmax_xy"])
    yield close("scores", scores, data["maxvals"][..., 0], 1e-4)
    both = decode.merge_flip(maps, data.tensor("hms_flip").float().flip(3), range(maps.shape[1]), shift=False)
    for name, given in (("", maps), ("_avg", both)):
        xy, scores = decode.decode_heatmaps(given, "master")
        yield close(f"joints{name}", reference_crops.master_to_frame(xy, boxes, size), data[f"preds{name}"], 1e-3)
        yield close(f"scores{name}", scores, data[f"maxvals{name}"][..., 0], 1e-4)


@check(INTEGRAL, "joints and scores")
def integral(data: Vectors) -> Iterator[Comparison]:
    boxes = data.tensor("bbox")
    for norm in NORMS:
        found = []
        for name in ("logits", "logits_flip"):
            logits = data.tensor(name).float()
            found.append(decode.decode_integral(logits.abs() + 0.01 if norm == "divide_sum" else logits, norm))
        logits = data.tensor("logits").float()
        size = (logits.shape[3], logits.shape[2])
        coordinates, scores = sikr.sikr_coordinates(logits.abs() + 0.01 if norm == "divide_sum" else logits, norm)
        yield close(f"{norm} coordinates", coordinates, data[f"{norm}_jts"], 1e-5)
        yield close(f"{norm} confidence", scores, data[f"{norm}_score"][..., 0], 1e-4)
        mean = [(one + other) / 2 for one, other in zip(*found, strict=True)]
        for name, (xy, values) in (("", found[0]), ("_avg", mean)):
            joints = reference_crops.master_to_frame(xy, boxes, size)
            yield close(f"{norm} joints{name}", joints, data[f"{norm}_preds{name}"], 1e-3)
            yield close(f"{norm} scores{name}", values, data[f"{norm}_predscore{name}"][..., 0], 1e-4)


@check("alphapose/joint_pairs.json", "flip pairs")
def pairs(data: Vectors) -> Iterator[Comparison]:
    for name, listed in json.loads(data.path.read_text()).items():
        if name in SKELETON_OF:
            flip = skeleton(SKELETON_OF[name]).flip
            yield same(name, flip, order_of(listed, len(flip)))


def order_of(listed: list[list[int]], joints: int) -> list[int]:
    order = list(range(joints))
    for one, other in listed:
        order[one], order[other] = other, one
    return order


@check(FLIP, "maps of mirrored pictures")
def flips(data: Vectors) -> Iterator[Comparison]:
    listed = json.loads(beside(data.path, "joint_pairs.json").read_text())
    for name in data.names():
        found = re.fullmatch(r"(\w+)_hm", name)
        if not found:
            continue
        prefix, maps, mirrored = found[1], data.tensor(name), data.tensor(f"{name}_of_flipped")
        flip = order_of(listed[PAIRS_OF[maps.shape[1]]], maps.shape[1])
        if prefix == "old":
            merged = decode.merge_flip(maps, mirrored, flip, shift=False)
            yield close("old merged", merged, data["old_merged"], 1e-6)
            continue
        plain = decode.flip_back(mirrored, flip, shift=False)
        yield same(f"{prefix} back", plain, data[f"{prefix}_back_noshift"])
        yield same(f"{prefix} shifted", decode.flip_back(mirrored, flip), data[f"{prefix}_back_shift"])
        yield close(f"{prefix} merged", decode.merge_flip(maps, mirrored, flip), data[f"{prefix}_merged_shift"], 1e-6)


@check(TARGETS, "heatmaps")
def heatmaps(data: Vectors) -> Iterator[Comparison]:
    for name in data.names("m"):
        if not name.endswith("_joints"):
            continue
        case, joints = name.removesuffix("_joints"), data.tensor(name)[None]
        wanted = data[f"{case}_target"]
        maps, weights = targets.master_heatmaps(
            joints[:, :, :2, 0], joints[:, :, 0, 1], (wanted.shape[2], wanted.shape[1])
        )
        yield close(f"{case} maps", maps[0], wanted, 1e-6)
        yield same(f"{case} weights", weights[0], data[f"{case}_weight"][:, 0, 0])
    size = (data["old_gauss"].shape[2], data["old_gauss"].shape[1])
    for row, (point, wanted) in enumerate(zip(data.tensor("old_pts"), data["old_gauss"], strict=True)):
        maps = targets.old_heatmaps(point[None, None, :2], size, sigma=int(point[2]))
        yield close(f"old {row}", maps[0, 0], wanted, 1e-6)


@check(TARGETS, "integral targets")
def coordinates(data: Vectors) -> Iterator[Comparison]:
    for name in data.names():
        found = re.fullmatch(r"(?:i(\d+)_|(j\d+)_i)target", name)
        if not found:
            continue
        joints = data.tensor(f"m{found[1]}_joints" if found[1] else f"{found[2]}_joints")[None]
        values, weights = targets.integral_targets(joints[:, :, :2, 0], joints[:, :, 0, 1], INPUT)
        yield close(name, values[0], data[name], 1e-5)
        yield same(f"weights of {name}", weights[0], data[name.replace("target", "weight")])


@check(TARGETS, "mirrored joints")
def mirrored(data: Vectors) -> Iterator[Comparison]:
    joints = data.tensor("flip_joints_in")
    for name in data.names("flip_joints_w"):
        width = int(name.removeprefix("flip_joints_w"))
        xyz, seen = codec_hrnet.mirror_joints(joints[..., 0], joints[..., 1], width, skeleton().flip)
        yield close(name, torch.stack((xyz, seen), dim=2), data[name], 1e-4)


@check(SIKR, "loss and gradient")
def losses(data: Vectors) -> Iterator[Comparison]:
    for name in data.names():
        found = re.fullmatch(r"(\d+)_x", name)
        if not found:
            continue
        case, maps = found[1], data.tensor(name).requires_grad_()
        given = data.tensor(f"{case}_gt"), data.tensor(f"{case}_vis")
        loss = sikr.sikr_loss(maps, *given, str(data[f"{case}_norm"]))
        gradient, wanted = torch.autograd.grad(loss, maps)[0], data[f"{case}_grad"]
        yield close(f"{case} loss", loss, data[f"{case}_loss"], 1e-4, relative=True)
        yield close(f"{case} gradient", gradient, wanted, 1e-6 + 1e-4 * float(np.abs(wanted).max(initial=0.0)))


@check(SIKR, "operator")
def operator(data: Vectors) -> Iterator[Comparison]:
    for name in data.names("op"):
        if not name.endswith("_in"):
            continue
        case, marginal = name.removesuffix("_in"), data.tensor(name).requires_grad_()
        out = sikr.SymmetricIntegral.apply(marginal)
        gradient = torch.autograd.grad(out, marginal, data.tensor(f"{case}_gout"))[0]
        yield close(f"{case} out", out.detach(), data[f"{case}_out"], 1e-5, relative=True)
        yield close(f"{case} gradient", gradient, data[f"{case}_gin"], 1e-6)
