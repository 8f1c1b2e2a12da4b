"""HRNet's evaluation on COCO: rescoring, OKS-NMS and the ten figures."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.skeleton import skeleton
from poseviewer.formats.coco_eval import coco_scores, load_coco
from poseviewer.ops import oks_hrnet
from poseviewer.ops.oks_nms import rescored

NAMES = {"AP": "AP", "Ap .5": "AP50", "AP .75": "AP75", "AP (M)": "APm", "AP (L)": "APl"} | {
    "AR": "AR", "AR .5": "AR50", "AR .75": "AR75", "AR (M)": "ARm", "AR (L)": "ARl"
}  # fmt: skip


def detections(given: dict[str, Any], *, soft: bool) -> list[dict[str, Any]]:
    """Results as HRNet writes them: image by image, suppressed, best first."""
    sigmas = torch.from_numpy(skeleton().sigma_array)
    rows: dict[int, list[int]] = defaultdict(list)
    for number, path in enumerate(given["image_path"]):
        rows[int(Path(path).stem)].append(number)
    found = []
    for image, numbers in rows.items():
        poses = torch.tensor([given["preds"][number] for number in numbers], dtype=torch.float64)
        boxes = torch.tensor([given["all_boxes"][number] for number in numbers], dtype=torch.float64)
        scores = rescored(boxes[:, 5], poses[..., 2], sure=given["in_vis_thre"])
        table = oks_hrnet.oks_table(poses, boxes[:, 4], sigmas)
        suppress = oks_hrnet.soft_oks_nms if soft else oks_hrnet.oks_nms
        for index in suppress(table, scores, given["oks_thre"]).tolist():
            row = {"image_id": image, "category_id": 1, "score": float(scores[index])}
            found.append({**row, "keypoints": poses[index].flatten().tolist()})
    return found


@check("hrnet_ae/coco_eval.json", "results and figures")
def evaluation(data: Vectors) -> Iterator[Comparison]:
    given = json.loads(data.path.read_text())
    for name, wanted in given["results"].items():
        found = detections(given, soft=name == "soft")
        yield same(f"{name} images", [row["image_id"] for row in found], [r["image_id"] for r in wanted["detections"]])
        for case, (mine, theirs) in enumerate(zip(found, wanted["detections"], strict=False)):
            yield close(f"{name} keypoints {case}", mine["keypoints"], theirs["keypoints"], 1e-4)
            yield close(f"{name} score {case}", mine["score"], theirs["score"], 1e-6)
        figures = coco_scores(load_coco(given["gt"]), found, "keypoints", sigmas=skeleton().sigma_array)
        for label, value in wanted["table"].items():
            got = figures[NAMES[label]]
            yield close(f"{name} {label}", np.float64(-1.0 if got is None else got), value, 1e-9)
