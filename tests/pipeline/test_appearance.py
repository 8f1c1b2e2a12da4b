"""A run whose tracker compares what people look like."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from dot_people import make_networks

from poseviewer.core.errors import CallError, WeightsError
from poseviewer.nets.osnet import OSNet, OSNetConfig
from poseviewer.pipeline.appearance import appearance_for
from poseviewer.pipeline.config import NmsConfig, PipelineConfig, config_hash
from poseviewer.pipeline.run import run


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(0)
    path = tmp_path / "reid.pth"
    torch.save(OSNet(OSNetConfig(features=16, widths=(8, 64, 64, 64))).state_dict(), path)
    return str(path)


def test_a_run_asks_the_network_that_is_named(dots, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = PipelineConfig(nms=NmsConfig(enabled=False), tracker="kalman", reid=weights, batch_people=2, device="cpu")
    asked: list[int] = []
    network = appearance_for(config)
    assert network is not None
    ask = type(network).__call__

    def counted(self, frame, poses):
        asked.append(len(poses))
        features = ask(self, frame, poses)
        assert features.shape == (len(poses), 16)
        return features

    monkeypatch.setattr(type(network), "__call__", counted)
    results = list(run(dots, range(5), config, networks=make_networks()))
    assert asked == [len(result.poses) for result in results]
    assert {pose.track for result in results for pose in result.poses} >= {1}
    assert config_hash(config) == config_hash(msgspec.structs.replace(config, tracker="", reid=""))


def test_without_a_name_nobody_is_asked() -> None:
    assert appearance_for(PipelineConfig()) is None


def test_trackers_that_do_not_compare_looks_are_refused(dots, weights: str, tmp_path: Path) -> None:
    config = PipelineConfig(tracker="oks", reid=weights)
    with pytest.raises(CallError, match="kalman"):
        list(run(dots, range(2), config, networks=make_networks()))
    absent = PipelineConfig(tracker="kalman", reid=str(tmp_path / "absent.pth"), device="cpu")
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        list(run(dots, range(2), absent, networks=make_networks()))
