"""The bundled estimator loads, says what it is, and finds sensible joints on real people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseviewer.core.resources import resource
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.weights import LoadedEstimator, load_estimator
from poseviewer.training import validate
from poseviewer.training.datasets import Annotation

# Standing people of bus.jpg, boxes by hand (xyxy).
STANDING = ((50, 400, 245, 905), (223, 405, 345, 860))


@pytest.fixture(scope="module")
def bundled() -> LoadedEstimator:
    return load_estimator(resource("weights/estimator.safetensors"))


def test_it_fits_its_own_description_and_the_size_limit(bundled: LoadedEstimator) -> None:
    spec = bundled.spec
    width, height = spec.input_wh
    with torch.no_grad():
        maps = bundled.module(torch.zeros(1, 3, height, width))
    assert maps.shape == (1, spec.joints, spec.heatmap_wh[1], spec.heatmap_wh[0])
    assert spec.skeleton == "coco_17"
    weights = resource("weights/estimator.safetensors").parent.glob("*.safetensors")
    assert sum(file.stat().st_size for file in weights) <= 40_000_000
    assert resource("weights/estimator.md").exists()


@pytest.mark.parametrize("box", STANDING)
def test_standing_people_are_found_head_up(
    bundled: LoadedEstimator, people_picture: Path, box: tuple[int, ...]
) -> None:
    shape = skeleton("coco_17")
    corners = np.array(box, dtype=np.float32)
    person = Annotation(people_picture, 1, 1, corners, np.zeros((17, 3), dtype=np.float32), {})
    given = validate.cut_given_boxes([person], bundled.spec.input_wh)
    found, scores = validate.predict(bundled.module, bundled.spec, given, shape)
    joints = dict(zip(shape.joints, found[0], strict=True))
    height, width = box[3] - box[1], box[2] - box[0]
    heights = [
        joints["nose"][1],
        (joints["left shoulder"] + joints["right shoulder"])[1] / 2,
        (joints["left hip"] + joints["right hip"])[1] / 2,
        (joints["left knee"] + joints["right knee"])[1] / 2,
        (joints["left ankle"] + joints["right ankle"])[1] / 2,
    ]
    steps = np.diff(heights) / height
    assert (steps > 0.05).all()
    assert (steps < 0.45).all()
    assert scores.mean() > 0.6
    # The boxes were drawn by hand, and a cell of the heatmap is ten pixels here.
    margin = 0.15 * width
    assert ((found[0] > np.array(box[:2]) - margin) & (found[0] < np.array(box[2:]) + margin)).all()
    # They face us: their left is on our right.
    assert joints["left shoulder"][0] > joints["right shoulder"][0]
