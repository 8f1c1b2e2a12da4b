"""Bottom-up training: pictures keep their joints through every turn, crowds claim nothing, and the file opens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch

from poseviewer.core.errors import CallError, FormatError
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.fastpose import FastPose, FastPoseConfig
from poseviewer.nets.header import EstimatorHeader
from poseviewer.nets.higher_hrnet import HigherHRNetConfig
from poseviewer.nets.hrnet import TrunkConfig
from poseviewer.nets.weights import load_estimator, save_estimator
from poseviewer.training.bottomup import BottomUpConfig, Measured, Trainer, train_bottomup
from poseviewer.training.estimator import Finished, Step, TrainConfig, estimator_spec
from poseviewer.training.groups import GroupMixture, GroupSource, read_groups
from poseviewer.training.loop import LoopConfig
from poseviewer.training.schedule import Stage
from tests.training.people import draw_people

SHAPE = skeleton()
TINY = HigherHRNetConfig(trunk=TrunkConfig(width=4, modules=(1, 1, 1), blocks=1), width=4, blocks=1)


def test_joints_stay_on_their_dots(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 6)
    mixture = GroupMixture(
        read_groups(GroupSource(file, tmp_path / "images"), SHAPE), tmp_path / "pixels", SHAPE, strength=0.0
    )
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
    groups = read_groups(GroupSource(file, tmp_path / "images"), SHAPE)
    assert [len(group.unsure) for group in groups] == [1, 0]
    mixture = GroupMixture(groups[:1], tmp_path / "pixels", SHAPE, scale=(1.2, 1.2), rotation=0.0)
    mask = mixture.batch(0, 1, 128).mask[0].numpy()
    assert 0.25 < 1 - mask.mean() < 0.6
    with pytest.raises(FormatError, match="nobody"):
        GroupMixture([], tmp_path / "pixels", SHAPE)


def test_a_training_lowers_the_loss_goes_on_and_leaves_weights_that_open(tmp_path: Path) -> None:
    file = draw_people(tmp_path / "data", "train", 6)
    loop = LoopConfig(steps=12, rate=5e-3, warm_up=2, precision="float32", average=0.5)
    config = BottomUpConfig(
        (GroupSource(file, tmp_path / "data" / "images"),), tmp_path / "out", loop, network=TINY,
        stages=(Stage(0.0, (64, 64), 1.5),), batch=4, report_every=0.0, save_every=0.0,
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


def test_a_teacher_adds_who_is_not_labelled_and_hides_whom_it_is_not_sure_of(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 4)
    data = json.loads(file.read_text())
    box = data["annotations"][0]["bbox"]
    away = [100.0 - 25, 5.0, 20.0, 40.0] if box[0] < 40 else [2.0, 5.0, 20.0, 40.0]
    doubt = {"confident": False, "keypoint_scores": [0.9] * 17}
    taught = [
        # The labelled person once more, and the half of it: nobody new.
        {**data["annotations"][0], **doubt, "confident": True},
        {**data["annotations"][0], **doubt, "bbox": [box[0], box[1], box[2], box[3] * 0.4]},
        {**data["annotations"][1], **doubt, "bbox": [0.0, 0.0, 12.0, 12.0]},
        {**data["annotations"][2], "confident": True, "keypoint_scores": [0.9] * 8 + [0.2] * 9, "bbox": away},
    ]
    # Nobody labelled picture 3's person, and picture 4 is said to show nobody.
    data["annotations"] = data["annotations"][:2]
    data["images"][3]["no_person"] = True
    file.write_text(json.dumps(data))
    teacher = tmp_path / "teacher.json"
    teacher.write_text(json.dumps({**data, "annotations": [{**t, "id": n + 1} for n, t in enumerate(taught)]}))
    groups = read_groups(GroupSource(file, tmp_path / "images", teacher), SHAPE)
    assert [len(group.joints) for group in groups] == [1, 1, 1, 0]
    assert [len(group.unsure) for group in groups] == [0, 1, 0, 0]
    assert groups[2].joints[0, :, 2].astype(bool).tolist() == [True] * 8 + [False] * 9


def test_the_mask_follows_the_picture_through_its_turns(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 1)
    group = read_groups(GroupSource(file, tmp_path / "images"), SHAPE)[0]
    # A white patch in a black picture is where nothing is claimed.
    cv2.imwrite(str(group.image), np.pad(np.full((40, 30, 3), 255, np.uint8), ((30, 50), (40, 30), (0, 0))))
    unsure = np.array([[40.0, 30.0, 70.0, 70.0]])
    mixture = GroupMixture([replace(group, unsure=unsure)], tmp_path / "pixels", SHAPE, strength=0.0)
    batch = mixture.batch(0, 8, 128)
    white = batch.pictures[:, 2::4, 2::4].float().mean(3) > 127
    assert white.float().mean() > 0.05
    assert ((batch.mask == 0) != white).float().mean() < 0.02


def test_it_begins_with_an_estimator_of_one_person(tmp_path: Path) -> None:
    file = draw_people(tmp_path / "data", "train", 4)
    small = FastPoseConfig(
        stem="strided", stem_width=8, block="basic", depths=(1, 1, 1, 1), planes=(8, 8, 16, 16), se_reduction=4,
        duc=(32, 16), laterals=True,
    )  # fmt: skip
    stage = Stage(0.0, (64, 64), 1.5)
    single = FastPose(small)
    spec = estimator_spec(TrainConfig((), tmp_path, 1.0, network=small), stage)
    save_estimator(tmp_path / "single.safetensors", single, EstimatorHeader(spec, small))
    config = BottomUpConfig(
        (GroupSource(file, tmp_path / "data" / "images"),), tmp_path / "out", LoopConfig(steps=1, precision="float32"),
        network=msgspec.structs.replace(small, tags=17), start_from=tmp_path / "single.safetensors", stages=(stage,),
        batch=2, report_every=0.0,
    )  # fmt: skip
    net = Trainer(config).learner.net.eval()
    picture = torch.rand(1, 3, 64, 64)
    known = load_estimator(tmp_path / "single.safetensors").module(picture)
    assert torch.allclose(net(picture)[:, :17], known, atol=1e-5)
    assert net(picture).shape == (1, 34, 16, 16)
    loaded = load_estimator(next(e.weights for e in train_bottomup(config) if isinstance(e, Finished)))
    assert (loaded.spec.output, loaded.spec.joints, loaded.module(picture).shape[1]) == ("tags", 17, 34)
    other = msgspec.structs.replace(config, network=msgspec.structs.replace(config.network, planes=(8, 8, 16, 32)))
    with pytest.raises(CallError, match="another network"):
        Trainer(other)


def test_it_is_measured_as_the_pipeline_runs_it(tmp_path: Path) -> None:
    file = draw_people(tmp_path / "coco", "val", 2)
    file.rename(tmp_path / "coco" / "val.json")
    config = BottomUpConfig(
        (GroupSource(tmp_path / "coco" / "val.json", tmp_path / "coco" / "images"),), tmp_path / "out",
        LoopConfig(steps=1, precision="float32"), network=TINY, stages=(Stage(0.0, (64, 64), 1.5),), batch=2,
        validation=tmp_path,
    )  # fmt: skip
    measured = [event for event in train_bottomup(config) if isinstance(event, Measured)]
    assert len(measured) == 1
    assert 0 <= measured[0].coco_ap <= measured[0].coco_ap50 <= 1
