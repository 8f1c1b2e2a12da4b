"""AlphaPose's OKS-NMS, greedy and soft."""

from __future__ import annotations

import json
from collections.abc import Iterator

import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.skeleton import skeleton
from poseviewer.ops.oks_nms import COCO_SIGMAS, HALPE_26_SIGMAS, HALPE_136_SIGMAS, oks_nms, rescored, soft_oks_nms

SIGMAS = {26: HALPE_26_SIGMAS, 136: HALPE_136_SIGMAS, 133: skeleton("coco_wholebody_133").sigmas}


@check("alphapose/oks_nms.json", "kept poses and their scores")
def kept(data: Vectors) -> Iterator[Comparison]:
    for number, case in enumerate(json.loads(data.path.read_text())):
        items = case["items"]
        joints = torch.tensor([item["keypoints"] for item in items], dtype=torch.float64)
        joints = joints.reshape(len(items), -1, 3) if items else torch.zeros(0, 17, 3, dtype=torch.float64)
        sigmas = torch.tensor(SIGMAS.get(joints.shape[1], COCO_SIGMAS), dtype=torch.float64)
        points, areas = joints[..., :2], torch.tensor([item["area"] for item in items], dtype=torch.float64)
        scores = torch.tensor([item["score"] for item in items], dtype=torch.float64)
        yield same(f"{number} greedy", oks_nms(points, scores, areas, sigmas), case["keep_thr0_9"])
        yield same(f"{number} soft", soft_oks_nms(points, scores, areas, sigmas), case["soft_keep_thr0_9"])
        own = rescored(scores, joints[..., 2])
        left = oks_nms(points, own, areas, sigmas)
        yield close(f"{number} scores", own[left], case["oks_pose_nms_scores"], 1e-9)
