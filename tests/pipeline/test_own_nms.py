"""Pose NMS follows the estimator: which form and numbers belong to which network, and where a person's choice stays."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
import torch
from dot_people import make_networks

from poseviewer.nets import fastpose
from poseviewer.nets.weights import load_estimator
from poseviewer.ops.nms_config import NmsConfig, reference_nms
from poseviewer.pipeline.config import PipelineConfig, applied_nms, config_hash, own_nms, with_nms, with_own_nms
from poseviewer.pipeline.networks import Networks
from poseviewer.pipeline.topdown import TopDown

torch.set_num_threads(1)
REGRESSION = NmsConfig(mu=1.65, delta2=8.0, gamma=3.6, score_floor=0.01, match_threshold=3.0, alpha=0.15)
"""reference/alphapose.md section 6.3, where the loss is not the plain heatmap loss."""


@pytest.mark.parametrize(
    ("joints", "decode", "wanted"),
    [
        *(
            (joints, decode, NmsConfig())
            for joints in (17, 21, 26, 68)
            for decode in ("master", "integral", "combined")
        ),
        (17, "old", NmsConfig(version="old")),
        (17, "hrnet", NmsConfig()),
        (136, "master", NmsConfig()),
        (133, "master", NmsConfig()),
        *((joints, decode, REGRESSION) for joints in (133, 136) for decode in ("integral", "combined", "simcc")),
    ],
)
def test_numbers_follow_joints_loss_and_code(joints: int, decode: str, wanted: NmsConfig) -> None:
    assert own_nms(joints, decode) == wanted


def test_what_a_person_chose_stays() -> None:
    auto = PipelineConfig()
    assert with_own_nms(auto, 136, "integral").nms == REGRESSION
    assert with_own_nms(auto, 136, "integral", auto=True).nms == msgspec.structs.replace(REGRESSION, auto=True)
    chosen = with_nms(auto, msgspec.structs.replace(applied_nms(auto), gamma=9.0))
    assert with_own_nms(chosen, 136, "integral") == chosen
    off = msgspec.structs.replace(auto, nms=NmsConfig(enabled=False, auto=True))
    assert with_own_nms(off, 136, "integral").nms == msgspec.structs.replace(REGRESSION, enabled=False)
    others = msgspec.structs.replace(auto, pipeline="onestage")
    assert with_own_nms(others, 136, "integral") == others


def test_following_and_having_chosen_the_same_answer_alike() -> None:
    assert config_hash(PipelineConfig()) == config_hash(PipelineConfig(nms=NmsConfig()))
    assert config_hash(PipelineConfig()) != config_hash(PipelineConfig(nms=REGRESSION))


def test_a_run_recorded_by_an_older_version_keeps_its_numbers() -> None:
    raw = msgspec.to_builtins(PipelineConfig())
    raw["nms"] = msgspec.to_builtins(reference_nms("old"))
    del raw["nms"]["auto"]
    assert with_own_nms(msgspec.convert(raw, PipelineConfig), 136, "integral").nms == reference_nms("old")


@pytest.mark.parametrize(
    ("name", "wanted"), [("fast50_regression_256x192.pth", REGRESSION), ("halpe136_fast_256x192.pth", NmsConfig())]
)
def test_a_published_file_brings_its_numbers(name: str, wanted: NmsConfig, tmp_path) -> None:
    config = fastpose.FastPoseConfig(joints=136, depths=(1, 1, 1, 1), planes=(8, 8, 16, 32), duc=(64, 64))
    torch.save(fastpose.FastPose(config).state_dict(), tmp_path / name)
    networks = Networks(load_estimator(tmp_path / name), torch.device("cpu"))
    assert TopDown(networks, PipelineConfig()).config.nms == wanted
    mine = PipelineConfig(nms=NmsConfig(version="corrected"))
    assert TopDown(networks, mine).config.nms == mine.nms
    assert networks.describe()["estimator"]["decode"] == networks.spec.decode


def test_facts_beside_a_file_count_as_other_weights() -> None:
    networks = make_networks()
    before = networks.loaded_weights()["estimator"]["fed"]
    spec = msgspec.structs.replace(networks.spec, decode="dark")
    networks.estimator = replace(networks.estimator, spec=spec)
    assert networks.loaded_weights()["estimator"]["fed"] != before
