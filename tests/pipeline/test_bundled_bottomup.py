"""The bundled bottom-up network finds people on real pixels, and its tags tell them apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import Frame, FrameResult
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.loading import load_networks
from poseviewer.pipeline.workers import make_worker

# The two people of bus.jpg who stand apart with all their joints in sight, boxes by hand (xyxy).
STANDING = ((50, 398, 247, 905), (222, 405, 346, 860))
SHAPE = skeleton("coco_17")


@pytest.fixture(scope="module")
def result(people_picture: Path) -> FrameResult:
    config = PipelineConfig(pipeline="bottomup", device="cpu")
    pixels = np.ascontiguousarray(cv2.imread(str(people_picture))[..., ::-1])
    found: FrameResult = make_worker(load_networks(config), config).process(
        [Frame(0, 0.0, pixels)], keep_evidence=True
    )[0]
    return found


@pytest.mark.parametrize("box", STANDING)
def test_people_who_stand_apart_are_found_with_their_joints_in_order(result: FrameResult, box: tuple[int, ...]) -> None:
    x0, y0, x1, y1 = box
    inside = [
        ((pose.keypoints >= (x0 - 10, y0 - 10)) & (pose.keypoints <= (x1 + 10, y1 + 10))).all(axis=1).mean()
        for pose in result.poses
    ]
    pose = result.poses[int(np.argmax(inside))]
    assert max(inside) > 0.7
    height = {name: float(y) for name, y in zip(SHAPE.joints, pose.keypoints[:, 1], strict=True)}
    assert height["nose"] < height["left shoulder"] < height["left hip"] < height["left knee"] < height["left ankle"]


def test_tags_of_one_person_are_nearer_to_each_other_than_to_another_persons(result: FrameResult) -> None:
    evidence = result.evidence
    assert evidence is not None
    assert evidence.grouping is not None
    means, spreads = [], []
    for x0, y0, x1, y1 in STANDING:
        within = [
            ((pose.keypoints > (x0, y0)) & (pose.keypoints < (x1, y1))).all(axis=1).sum() for pose in result.poses
        ]
        candidate = int(evidence.suppression.kept[int(np.argmax(within))])
        tags = evidence.grouping.joint_tags[candidate, :, 0]
        means.append(np.nanmean(tags))
        spreads.append(np.nanstd(tags))
    assert abs(means[0] - means[1]) > 2 * max(spreads)
