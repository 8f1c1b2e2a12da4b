"""MMPose's flip test, aggregation and suppression."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.skeleton import skeleton
from poseviewer.ops import decode, flip_mmpose, oks_hrnet

FILE = "hrnet_ae/tta_nms_mmpose.npz"


@check(FILE, "flip test")
def flipping(data: Vectors) -> Iterator[Comparison]:
    flip = skeleton().flip
    maps = data.tensor("hm")
    for shift in (0, 1):
        found = decode.flip_back(maps, flip, shift=bool(shift))
        yield same(f"maps {shift}", found, data[f"flip_hm_shift{shift}"])
    yield same("combined", flip_mmpose.flip_udp_combined(data.tensor("hm3"), flip), data["flip_udp_combined"])
    yield same("offsets", flip_mmpose.flip_offsets(data.tensor("hm2"), flip), data["flip_offset"])
    x, y = flip_mmpose.flip_vectors(data.tensor("vx"), data.tensor("vy"), flip)
    yield same("vectors x", x, data["vx_f"])
    yield same("vectors y", y, data["vy_f"])
    joints = data.tensor("coords")
    yield close("coordinates", flip_mmpose.flip_coordinates(joints, flip), data["coords_f"], 1e-6)
    shifted = flip_mmpose.flip_coordinates(joints, flip, pixel=1 / 192)
    yield close("coordinates, shifted", shifted, data["coords_f_shift"], 1e-6)


@check(FILE, "aggregation and peaks")
def aggregation(data: Vectors) -> Iterator[Comparison]:
    maps, others = data.tensor("hm"), data.tensor("agg_b")
    size = (maps.shape[3], maps.shape[2])
    for corners in (0, 1):
        parts = flip_mmpose.aggregate([maps, others], size, align_corners=bool(corners))
        yield close(f"average {corners}", sum(parts) / 2, data[f"agg_avg_ac{corners}"], 1e-5)
    for name in data.names("agg_concat_"):
        width, height = map(int, name.removeprefix("agg_concat_").split("x"))
        parts = flip_mmpose.aggregate([maps[:1, :2], others[:1, :3]], (width, height))
        yield close(name, torch.cat(parts, dim=1), data[name], 1e-5)
    for name in data.names("nms_heat"):
        yield same(name, flip_mmpose.keep_peaks(maps, int(name.removeprefix("nms_heat"))), data[name])


@check(FILE, "similarity and suppression")
def suppression(data: Vectors) -> Iterator[Comparison]:
    poses = data.tensor("oks_kp"), data.tensor("oks_area"), torch.tensor(skeleton().sigmas)
    scores = data.tensor("oks_sc")
    table = oks_hrnet.oks_table(*poses, variant="mmpose")
    seen = oks_hrnet.oks_table(*poses, seen_from=0.2, variant="mmpose")
    yield close("similarity", table, data["oks"], 1e-6)
    yield close("similarity of seen joints", seen, data["oks_vis02"], 1e-6)
    # The stored lists that look at scores were made with 0.3, the stored table with 0.2.
    seen = oks_hrnet.oks_table(*poses, seen_from=0.3, variant="mmpose")
    for name in data.names():
        found = re.match(r"(oksnms|softoks|oksnms_vis)_([\d.]+)$", name)
        if found is None:
            continue
        run = oks_hrnet.soft_oks_nms if found[1] == "softoks" else oks_hrnet.oks_nms
        yield same(name, run(seen if "vis" in name else table, scores, float(found[2])), data[name])
    points = poses[0][..., :2]
    yield same("near joints", oks_hrnet.near_joints_nms(points, scores), data["nearby"])
    near = oks_hrnet.near_joints_nms(points, scores, distance=0.2, joints=3)
    yield same("near joints, 3", near, data["nearby_thr3"])
