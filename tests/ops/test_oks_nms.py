"""OKS-NMS against the golden vectors and the core's OKS."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from poseviewer.core import geometry
from poseviewer.ops.oks_nms import (
    COCO_SIGMAS,
    HALPE_26_SIGMAS,
    HALPE_136_SIGMAS,
    MOST_SOFT,
    oks_matrix,
    oks_nms,
    rescored,
    soft_oks_nms,
)

torch.set_num_threads(1)
SIGMAS = {17: COCO_SIGMAS, 26: HALPE_26_SIGMAS, 136: HALPE_136_SIGMAS}


def test_equals_the_golden_vectors(golden: Path) -> None:
    cases = json.loads((golden / "alphapose" / "oks_nms.json").read_text())
    sets = golden / "hrnet_ae" / "keypoint_sets.json"
    sigmas = dict(SIGMAS)
    if sets.exists():
        sigmas[133] = json.loads(sets.read_text())["coco_wholebody"]["sigmas"]
    checked = 0
    for case in cases:
        items = case["items"]
        joints = torch.tensor([item["keypoints"] for item in items], dtype=torch.float64).view(len(items), -1, 3)
        if joints.shape[1] not in sigmas:
            continue
        own = torch.tensor(sigmas[joints.shape[1]])
        points, areas = joints[..., :2], torch.tensor([item["area"] for item in items])
        scores = torch.tensor([item["score"] for item in items], dtype=torch.float64)
        assert oks_nms(points, scores, areas, own).tolist() == case["keep_thr0_9"]
        assert soft_oks_nms(points, scores, areas, own).tolist() == case["soft_keep_thr0_9"]
        pose_scores = rescored(scores, joints[..., 2])
        kept = oks_nms(points, pose_scores, areas, own)
        np.testing.assert_allclose(pose_scores[kept].numpy(), case["oks_pose_nms_scores"], rtol=1e-9)
        checked += 1
    assert checked >= 7


def test_oks_is_the_core_s_where_areas_are_equal() -> None:
    rng = np.random.default_rng(0)
    poses = rng.uniform(0, 100, (5, 17, 2))
    matrix = oks_matrix(
        torch.from_numpy(poses), torch.full((5,), 900.0), torch.tensor(COCO_SIGMAS, dtype=torch.float64)
    ).numpy()
    for index in range(5):
        expected = geometry.oks(poses[index], np.ones(17, bool), poses, 900.0, np.array(COCO_SIGMAS))
        np.testing.assert_allclose(matrix[index], expected, rtol=1e-9)
    np.testing.assert_allclose(np.diag(matrix), 1.0)


@pytest.mark.parametrize("form", [oks_nms, soft_oks_nms])
def test_nobody_and_crowds(form) -> None:
    sigmas = torch.tensor(COCO_SIGMAS)
    assert form(torch.zeros(0, 17, 2), torch.zeros(0), torch.zeros(0), sigmas).tolist() == []
    rng = np.random.default_rng(1)
    poses = torch.from_numpy(rng.uniform(0, 5000, (40, 17, 2)))
    scores = torch.from_numpy(rng.random(40))
    kept = form(poses, scores, torch.full((40,), 500.0), sigmas).tolist()
    assert len(kept) == (40 if form is oks_nms else MOST_SOFT)
    assert scores[kept].tolist() == sorted(scores.tolist(), reverse=True)[: len(kept)]


def test_soft_form_keeps_a_double_but_last() -> None:
    rng = np.random.default_rng(2)
    pose = rng.uniform(0, 100, (17, 2))
    poses = torch.from_numpy(np.stack([pose, pose + 0.1, pose + 500]))
    scores, areas = torch.tensor([0.9, 0.85, 0.5]), torch.full((3,), 4000.0)
    assert oks_nms(poses, scores, areas, torch.tensor(COCO_SIGMAS)).tolist() == [0, 2]
    assert soft_oks_nms(poses, scores, areas, torch.tensor(COCO_SIGMAS)).tolist() == [0, 2, 1]
