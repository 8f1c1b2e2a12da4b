"""OKS-NMS against the core's OKS, nobody and crowds; tests/golden/check_oks_alphapose.py has the published numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseviewer.core import geometry
from poseviewer.ops.oks_nms import (
    COCO_SIGMAS,
    MOST_SOFT,
    oks_matrix,
    oks_nms,
    soft_oks_nms,
)

torch.set_num_threads(1)


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
