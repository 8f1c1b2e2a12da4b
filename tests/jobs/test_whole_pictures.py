"""The command line's way through the pipelines that see whole pictures, from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
import yaml
from cocomade import finish

from poseviewer.core.errors import CallError, MissingPartError, WeightsError
from poseviewer.core.resources import resource
from poseviewer.jobs.predict import config_of_run
from poseviewer.jobs.predicting import PredictOrder, predict_files
from poseviewer.nets.header import EstimatorHeader
from poseviewer.nets.higher_hrnet import HigherHRNet, HigherHRNetConfig
from poseviewer.nets.hrnet import TrunkConfig
from poseviewer.nets.weights import EstimatorSpec, save_estimator
from poseviewer.nets.yolo import build_yolo, save_yolo
from poseviewer.project import Project


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two pictures of noise."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 255, (64, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), noise)
    return folder


@pytest.fixture
def one_stage(tmp_path: Path) -> str:
    """A small untrained pose network of ultralytics, in our file."""
    layout = yaml.safe_load(resource("weights/detector.yaml").read_text(encoding="utf-8"))
    layout["head"][-1] = [layout["head"][-1][0], 1, "Pose", ["nc", "kpt_shape"]]
    layout |= {"width_multiple": 0.0625, "kpt_shape": [17, 3]}
    torch.manual_seed(1)
    network = build_yolo(layout)
    for score in network.model[-1].cv3:  # type: ignore[union-attr, index]
        torch.nn.init.constant_(score[-1].bias, 1.0)
    path = tmp_path / "pose.safetensors"
    save_yolo(path, network, layout, classes={0: "person"}, settings={"input_size": 96}, half=False)
    return str(path)


@pytest.fixture
def with_tags(tmp_path: Path) -> str:
    """A small untrained HigherHRNet, in our file."""
    torch.manual_seed(4)
    config = HigherHRNetConfig(trunk=TrunkConfig(width=4), width=4, blocks=1)
    spec = EstimatorSpec(
        "higher_hrnet", "coco_17", 17, (64, 64), (32, 32), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "higher", output="tags"
    )
    path = tmp_path / "tags.safetensors"
    save_estimator(path, HigherHRNet(config).eval(), EstimatorHeader(spec, config), half=False)
    return str(path)


@pytest.mark.parametrize("pipeline", ["onestage", "bottomup"])
def test_a_folder_is_predicted(pipeline: str, pictures: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    estimator = request.getfixturevalue("one_stage" if pipeline == "onestage" else "with_tags")
    order = PredictOrder(
        media=(str(pictures),), out=str(tmp_path / "r.json"), project=str(tmp_path / "p.poseproj"), pipeline=pipeline,
        estimator=estimator, device="cpu", changes={"confidence": 0.02, "scales": (1.0,), "backend": "eager"},
    )  # fmt: skip
    outcome = finish(predict_files(order))
    rows = json.loads((tmp_path / "r.json").read_text())
    assert outcome.frames == 2
    assert outcome.people == len(rows) > 0
    assert {len(row["keypoints"]) for row in rows} == {51}
    with Project.open(tmp_path / "p.poseproj") as project:
        (run,) = project.runs(1)
        config = config_of_run(run.config)
        assert (config.pipeline, config.estimator, config.confidence) == (pipeline, estimator, 0.02)
        assert config.flip is (pipeline == "bottomup"), "as the published systems do"
        assert run.networks["detector"] == {}
        assert run.networks["estimator"]["joints"] == 17
        assert len(project.people(1, 0)) + len(project.people(1, 1)) == len(rows)


def test_orders_that_do_not_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path, one_stage: str, with_tags: str
) -> None:
    # An installation without the bundled network.
    monkeypatch.setattr("poseviewer.pipeline.config.resource_folder", lambda: tmp_path)
    order = PredictOrder(media=(str(pictures),), out=str(tmp_path / "r.json"), device="cpu", pipeline="bottomup")
    for fields, error, words in (
        ({}, MissingPartError, "needs a network with tags"),
        ({"pipeline": "onestage"}, MissingPartError, "yolov8n-pose"),
        ({"estimator": one_stage}, WeightsError, "pose.safetensors"),
        ({"estimator": with_tags, "pipeline": "topdown"}, WeightsError, "not for topdown"),
        ({"boxes": "boxes.json"}, CallError, "--pipeline topdown"),
        ({"changes": {"scales": (2.0, 3.0)}}, CallError, "must hold 1"),
    ):
        with pytest.raises(error, match=words):
            finish(predict_files(msgspec.structs.replace(order, **fields)))
    assert not (tmp_path / "r.json").exists()
