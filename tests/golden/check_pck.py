"""PCK, PCKh, AUC, NME and EPE of HRNet and MMPose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.skeleton import skeleton
from poseviewer.evaluation import pck_variants as pck

HRNET, MMPOSE = "hrnet_ae/pck_hrnet.npz", "hrnet_ae/pck_mmpose.npz"
MPII = skeleton("mpii_16").joints
JHMDB_GROUPS = {
    "Head": ("head",),
    "Sho": ("left shoulder", "right shoulder"),
    "Elb": ("left elbow", "right elbow"),
    "Wri": ("left wrist", "right wrist"),
    "Hip": ("left hip", "right hip"),
    "Knee": ("left knee", "right knee"),
    "Ank": ("left ankle", "right ankle"),
}


@check(HRNET, "heatmap accuracy")
def heatmap_accuracy(data: Vectors) -> Iterator[Comparison]:
    found = pck.heatmap_accuracy(data["acc_output"], data["acc_target"])
    yield close("mean and joints", [found.mean, *found.joints], data["acc"], 1e-12)
    yield close("mean", found.mean, data["acc_avg"], 1e-12)
    yield same("counted", found.counted, data["acc_cnt"])


@check(HRNET, "PCKh")
def pckh(data: Vectors) -> Iterator[Comparison]:
    boxes = data["mpii_headboxes"].reshape(4, -1).T
    truth = data["mpii_gt"].transpose(2, 0, 1)
    counts = data["mpii_missing"].T == 0
    found = pck.mpii_pckh(data["mpii_preds"][..., :2] + 1, truth, counts, pck.head_sizes(boxes), MPII)
    wanted = dict(zip(data["mpii_result_names"].tolist(), data["mpii_result"].tolist(), strict=True))
    for name, value in {**found.groups, "Mean": found.mean, "Mean@0.1": found.at_tenth}.items():
        yield close(name, value, wanted[name], 1e-9)


@check(MMPOSE, "PCK, AUC, NME and EPE")
def figures(data: Vectors) -> Iterator[Comparison]:
    given = data["pred"], data["gt"], data["mask"]
    for name in data.names("pck_acc_"):
        limit = name.removeprefix("pck_acc_")
        found = pck.pck(*given, data["norm"], float(limit))
        yield close(name, found.joints, data[name], 1e-9)
        yield close(f"mean at {limit}", found.mean, data[f"pck_avg_{limit}"], 1e-9)
        yield same(f"counted at {limit}", found.counted, data[f"pck_cnt_{limit}"])
    yield close("AUC", pck.area_under_curve(*given), data["auc"], 1e-9)
    yield close("NME", pck.mean_error(*given, data["norm"]), data["nme"], 1e-6)
    yield close("EPE", pck.mean_error(*given), data["epe"], 1e-5)


@check(MMPOSE, "heatmap accuracy")
def pose_accuracy(data: Vectors) -> Iterator[Comparison]:
    found = pck.pose_accuracy(data["pose_out"], data["pose_tgt"], data["pose_mask"], 0.2)
    yield close("joints", found.joints, data["pose_acc"], 1e-9)
    yield close("mean", found.mean, data["pose_avg"], 1e-9)
    yield same("counted", found.counted, data["pose_cnt"])


@check(MMPOSE, "metrics of data sets")
def metrics(data: Vectors) -> Iterator[Comparison]:
    for case, wanted in json.loads(str(data["metrics_json"])).items():
        found, truth, counts, head, box = (data[f"{case}_{part}"] for part in ("pred", "gt", "vis", "head", "bbox"))
        limit = int(re.sub(r"\D", "", case[-2:])) / 10
        norms = {"PCK": pck.box_norm(box), "PCKh": np.stack((head, head), axis=1), "tPCK": pck.torso_norm(found, truth)}
        if case.startswith("mpii"):
            # The truth counts from 1, as MPII does.
            score = pck.mpii_pckh(found + 1, truth, counts, head, MPII, threshold=limit, variant="mmpose")
            got = {f"{name} PCK": value for name, value in score.groups.items()}
            got |= {"PCK": score.mean, "PCK@0.1": score.at_tenth}
        else:
            scores = {name: pck.pck(found, truth, counts, norm, limit) for name, norm in norms.items()}
            got = {name: score.mean for name, score in scores.items()}
            if case.startswith("jhmdb"):
                for name, score in scores.items():
                    groups = pck.grouped(score.joints, skeleton("jhmdb_15").joints, JHMDB_GROUPS)
                    got |= {f"{group} {name}": value for group, value in groups.items()}
        for name, value in wanted.items():
            yield close(f"{case} {name}", got[name], value, 1e-6)
