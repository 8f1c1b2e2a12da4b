"""Re-ID networks from files, and the features of a picture's people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poseviewer.core.errors import WeightsError
from poseviewer.core.values import Frame, Pose
from poseviewer.nets.osnet import OSNet, OSNetConfig
from poseviewer.nets.reid import load_reid
from poseviewer.nets.reid_resnet import ReIDResNet, ReIDResNetConfig
from poseviewer.nets.se_resnet import ResidualConfig
from poseviewer.ops.assignment import cosine_distances
from poseviewer.pipeline.appearance import NetworkAppearance

SMALL = OSNetConfig(features=32, widths=(8, 64, 64, 64), people=7)
PEOPLE = ([48, 398, 245, 903], [222, 407, 345, 860], [669, 391, 809, 879])


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "osnet_ain.pth"
    state = {f"module.{key}": value for key, value in OSNet(SMALL).state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, path)
    return path


def pose(box: list[float]) -> Pose:
    return Pose(np.zeros((17, 2), np.float32), np.zeros(17, np.float32), np.array(box, np.float32), 1.0)


@pytest.fixture
def frame(people_picture: Path) -> Frame:
    return Frame(0, 0.0, np.ascontiguousarray(cv2.imread(str(people_picture))[:, :, ::-1]))


def test_a_file_says_which_network_it_holds(weights: Path, tmp_path: Path) -> None:
    loaded = load_reid(weights)
    assert (loaded.family, loaded.features) == ("osnet_ain", 32)
    assert not any(parameter.requires_grad for parameter in loaded.module.parameters())
    backbone = ResidualConfig(stem_width=8, depths=(1, 1, 1, 1), planes=(4, 4, 8, 8))
    other = tmp_path / "resnet.pth"
    torch.save(ReIDResNet(ReIDResNetConfig(16, backbone)).state_dict(), other)
    assert load_reid(other).family == "resnet_fc"


def test_other_and_incomplete_files_are_refused(weights: Path, tmp_path: Path) -> None:
    state = OSNet(SMALL).state_dict()
    del state["conv5.conv.weight"]
    torch.save(state, weights)
    with pytest.raises(WeightsError, match=r"osnet_ain\.pth.*1 tensors missing"):
        load_reid(weights)
    torch.save({"weight": torch.zeros(3)}, weights)
    with pytest.raises(WeightsError, match="not a re-ID network"):
        load_reid(weights)
    with pytest.raises(WeightsError):
        load_reid(tmp_path / "absent.pth")


def test_people_keep_their_features_whoever_else_is_there(weights: Path, frame: Frame) -> None:
    look = NetworkAppearance(load_reid(weights), torch.device("cpu"), batch=2)
    together = look(frame, [pose(box) for box in PEOPLE])
    assert together.shape == (3, 32)
    for number, box in enumerate(PEOPLE):
        np.testing.assert_allclose(look(frame, [pose(box)])[0], together[number], atol=1e-4)
    table = cosine_distances(together, together)
    assert table[~np.eye(3, dtype=bool)].min() > table.diagonal().max()
    assert look(frame, []).shape == (0, 32)
