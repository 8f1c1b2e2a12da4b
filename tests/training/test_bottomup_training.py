"""Bottom-up training: pictures keep their joints through every turn, crowds claim nothing, and the file opens."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from poseviewer.core.errors import FormatError
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.higher_hrnet import HigherHRNetConfig
from poseviewer.nets.hrnet import TrunkConfig
from poseviewer.nets.weights import load_estimator
from poseviewer.training.bottomup import BottomUpConfig, train_bottomup
from poseviewer.training.estimator import Finished, Step
from poseviewer.training.groups import GroupMixture, read_groups
from poseviewer.training.loop import LoopConfig
from tests.training.people import draw_people

SHAPE = skeleton()
TINY = HigherHRNetConfig(trunk=TrunkConfig(width=4, modules=(1, 1, 1), blocks=1), width=4, blocks=1)


def test_joints_stay_on_their_dots(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 6)
    mixture = GroupMixture(read_groups(file, tmp_path / "images", SHAPE), tmp_path / "pixels", SHAPE)
    batch = mixture.batch(3, 6, 128)
    assert batch.mask.min() == 1
    again = mixture.batch(3, 6, 128, part=(1, 2))
    assert torch.equal(again.pictures, batch.pictures[1::2])
    seen = 0
    for picture, people in zip(batch.pictures, batch.people, strict=True):
        for name in ("left wrist", "right ankle"):
            x, y, visible = people[0, SHAPE.joints.index(name)].tolist()
            if visible and 2 < x < 125 and 2 < y < 125:
                column, row = round(x), round(y)
                red, _, blue = picture[row - 1 : row + 2, column - 1 : column + 2].float().mean((0, 1)).tolist()
                # Dots of a side are red or blue; a mirrored left one is what was right.
                assert abs(red - blue) > 30
                seen += 1
    assert seen >= 6


def test_crowds_and_people_without_joints_claim_nothing(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 2)
    data = json.loads(file.read_text())
    crowd = {**data["annotations"][0], "id": 9, "iscrowd": 1, "bbox": [0, 0, 50, 120]}
    data["annotations"].append(crowd)
    file.write_text(json.dumps(data))
    groups = read_groups(file, tmp_path / "images", SHAPE)
    assert [len(group.unsure) for group in groups] == [1, 0]
    mixture = GroupMixture(groups[:1], tmp_path / "pixels", SHAPE, scale=0.0, rotation=0.0)
    mask = mixture.batch(0, 1, 128).mask[0].numpy()
    assert 0.25 < 1 - mask.mean() < 0.6
    with pytest.raises(FormatError, match="nobody"):
        GroupMixture([], tmp_path / "pixels", SHAPE)


def test_a_training_lowers_the_loss_goes_on_and_leaves_weights_that_open(tmp_path: Path) -> None:
    file = draw_people(tmp_path / "data", "train", 6)
    loop = LoopConfig(steps=12, rate=5e-3, warm_up=2, precision="float32", average=0.5)
    config = BottomUpConfig(
        ((file, tmp_path / "data" / "images"),), tmp_path / "out", loop, network=TINY, side=64, batch=4,
        report_every=0.0, save_every=0.0,
    )  # fmt: skip
    events = list(train_bottomup(config))
    losses = [event.loss for event in events if isinstance(event, Step)]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    longer = msgspec.structs.replace(config, loop=msgspec.structs.replace(loop, steps=14))
    steps = [event.step for event in train_bottomup(longer) if isinstance(event, Step)]
    assert steps == [13, 14]
    assert isinstance(events[-1], Finished)
    loaded = load_estimator(events[-1].weights)
    assert (loaded.spec.output, loaded.spec.decode) == ("tags", "higher")
    lower, higher = loaded.module(torch.zeros(1, 3, 64, 64))
    assert (lower.shape, higher.shape) == ((1, 34, 16, 16), (1, 17, 32, 32))
