"""Loaded networks: the bundled estimator on a photograph, precision, flip, the record of a run."""

from __future__ import annotations

import json

import cv2
import msgspec
import numpy as np
import pytest
import torch
from dot_people import make_networks

from poseviewer.core.errors import WeightsError
from poseviewer.core.resources import resource_folder
from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import Frame
from poseviewer.pipeline.config import NmsConfig, PipelineConfig
from poseviewer.pipeline.engine import Engine
from poseviewer.pipeline.loading import BUNDLED_ESTIMATOR, load_networks, networks_key
from poseviewer.pipeline.topdown import TopDown

torch.set_num_threads(1)
PEOPLE = np.array([[221.0, 405, 345, 860], [50, 400, 245, 905], [668, 392, 809, 878]])
"""Three people of the photograph bus.jpg, 810 x 1080."""


@pytest.fixture(scope="module")
def bundled():
    """The bundled networks, and the photograph as a frame."""
    if not (resource_folder() / BUNDLED_ESTIMATOR).exists():
        pytest.skip("the bundled estimator is not here")
    return load_networks(PipelineConfig(device="cpu"))


@pytest.fixture(scope="module")
def photograph() -> Frame:
    from importlib.metadata import files

    for entry in files("ultralytics") or []:
        if entry.name == "bus.jpg":
            picture = cv2.cvtColor(cv2.imread(str(entry.locate())), cv2.COLOR_BGR2RGB)
            return Frame(0, 0.0, np.ascontiguousarray(picture))
    pytest.skip("the ultralytics package is not installed")


def poses_of(networks, frame, **change):
    config = msgspec.structs.replace(PipelineConfig(nms=NmsConfig(enabled=False)), **change)
    result = TopDown(networks, config).process([frame], boxes={0: PEOPLE}, keep_evidence=True)[0]
    return result.evidence.candidates


def test_the_bundled_estimator_finds_bodies_in_a_photograph(bundled, photograph) -> None:
    found = poses_of(bundled, photograph)
    names = skeleton("coco_17").joints
    at = {name: index for index, name in enumerate(names)}
    for points, scores, box in zip(found.keypoints, found.scores, PEOPLE, strict=True):
        height = box[3] - box[1]
        assert points[at["nose"], 1] < box[1] + 0.25 * height
        assert points[[at["left ankle"], at["right ankle"]], 1].min() > box[1] + 0.75 * height
        hips = points[[at["left hip"], at["right hip"]], 1].mean()
        assert box[1] + 0.35 * height < hips < box[1] + 0.65 * height
        assert np.median(scores) > 0.4


def test_flip_changes_little_and_is_used(bundled, photograph) -> None:
    plain, flipped = poses_of(bundled, photograph), poses_of(bundled, photograph, flip=True)
    moved = np.linalg.norm(plain.keypoints - flipped.keypoints, axis=2)
    assert 0 < np.median(moved) < 10
    assert (plain.scores != flipped.scores).any()


def test_bf16_agrees_with_float32(bundled, photograph) -> None:
    half = load_networks(PipelineConfig(device="cpu", precision="bf16"))
    plain, rough = poses_of(bundled, photograph), poses_of(half, photograph)
    assert half.precision == "bf16"
    assert np.median(np.linalg.norm(plain.keypoints - rough.keypoints, axis=2)) < 4
    assert np.abs(plain.scores - rough.scores).max() < 0.1


def test_the_record_of_a_run_names_weights_by_hash(bundled) -> None:
    record = json.loads(json.dumps(bundled.describe()))
    assert record["estimator"]["joints"] == 17
    assert len(record["estimator"]["sha256"]) == 64
    assert record["device"] == "cpu"
    assert record["precision"] == "float32"
    assert record["versions"]["torch"] == str(torch.__version__)
    assert make_networks().describe()["detector"]["name"] == "bright"


def test_only_what_matters_for_loading_makes_other_networks(tmp_path) -> None:
    config = PipelineConfig()
    assert networks_key(config) == networks_key(msgspec.structs.replace(config, confidence=0.9, flip=True))
    assert networks_key(config) != networks_key(msgspec.structs.replace(config, estimator="a.safetensors"))
    weights = tmp_path / "trained.safetensors"
    weights.write_bytes(b"first")
    trained = msgspec.structs.replace(config, estimator=str(weights))
    before = networks_key(trained)
    weights.write_bytes(b"trained further")
    assert networks_key(trained) != before


def test_the_engine_keeps_the_last_networks_loaded(bundled) -> None:
    engine = Engine("cpu")
    config = PipelineConfig()
    assert engine.device_name == "cpu"
    first = engine.networks(config)
    assert engine.networks(msgspec.structs.replace(config, confidence=0.5)) is first
    rough = engine.networks(msgspec.structs.replace(config, precision="bf16"))
    assert rough is not first
    assert engine.networks(config) is first
    engine.networks(msgspec.structs.replace(config, precision="float32"))  # the third: bf16 goes
    assert engine.networks(config) is first
    assert engine.networks(msgspec.structs.replace(config, precision="bf16")) is not rough


def test_missing_weights_are_one_sentence(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"nothing\.safetensors"):
        load_networks(PipelineConfig(estimator=str(tmp_path / "nothing.safetensors"), device="cpu"))
