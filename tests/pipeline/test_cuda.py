"""The same answers on an accelerator; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dot_people import FixedTheta, make_networks

from poseviewer.pipeline.config import NmsConfig, PipelineConfig
from poseviewer.pipeline.devices import pick_device, pick_precision
from poseviewer.pipeline.run import run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
CONFIG = PipelineConfig(nms=NmsConfig(enabled=False), batch_frames=4, batch_people=5)


@pytest.mark.parametrize("decode", ["master", "old"])
@pytest.mark.parametrize("theta", [None, [[0.9, 0.25, 0.04], [-0.2, 0.85, -0.05]]])
def test_the_device_does_not_change_the_poses(dots, theta, decode: str) -> None:
    results = {}
    for device in ("cpu", "cuda:0"):
        stn = FixedTheta(theta) if theta else None
        networks = make_networks(stn, device=device, decode=decode)
        results[device] = list(run(dots, range(9), CONFIG, networks=networks, keep_evidence=True))
    for one, other in zip(results["cpu"], results["cuda:0"], strict=True):
        assert len(one.poses) == len(other.poses)
        for a, b in zip(one.evidence.crops, other.evidence.crops, strict=True):
            np.testing.assert_allclose(a.heatmaps, b.heatmaps, atol=2e-3)
            assert np.abs(a.picture.astype(int) - b.picture.astype(int)).max() <= 1
        for a, b in zip(one.poses, other.poses, strict=True):
            # A quarter cell may tip over where two neighbours are equal.
            assert np.median(np.abs(a.keypoints - b.keypoints)) < 1e-2


def test_auto_takes_the_accelerator() -> None:
    assert pick_device("auto").type == "cuda"
    assert pick_precision("auto", pick_device("auto")) in ("bf16", "float32")
