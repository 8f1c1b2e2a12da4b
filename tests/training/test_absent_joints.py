"""Joints that are not in the picture are taught to be absent; those that are merely unlabelled are not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from poseviewer.core.skeleton import skeleton
from poseviewer.ops.targets import gaussian_heatmaps
from poseviewer.training.augment import NONE
from poseviewer.training.batches import NOWHERE, Mixture
from poseviewer.training.datasets import beyond_the_edge, human_people, read_annotations
from tests.training.people import draw_people

SHAPE = skeleton()
LEGS = [SHAPE.joints.index(f"{side} {part}") for part in ("knee", "ankle") for side in ("left", "right")]


def cut_below_the_hips(folder: Path) -> Path:
    """One person whose legs end at the lower edge of the picture and are not labelled."""
    file = draw_people(folder, "train", 1)
    data = json.loads(file.read_text())
    joints = np.array(data["annotations"][0]["keypoints"]).reshape(-1, 3)
    joints[LEGS] = 0
    data["annotations"][0]["keypoints"] = joints.ravel().tolist()
    x, y, width, _ = data["annotations"][0]["bbox"]
    data["annotations"][0]["bbox"] = [x, y, width, data["images"][0]["height"] - y]
    file.write_text(json.dumps(data))
    return file


def test_legs_beyond_the_lower_edge_are_absent(tmp_path: Path) -> None:
    person = read_annotations(cut_below_the_hips(tmp_path), tmp_path / "images", SHAPE)[0]
    assert np.flatnonzero(beyond_the_edge(person, SHAPE)).tolist() == sorted(LEGS)
    inner = dataclasses.replace(person, box=person.box - [0, 0, 0, 20])
    assert not beyond_the_edge(inner, SHAPE).any()
    assert not beyond_the_edge(dataclasses.replace(person, size_wh=None), SHAPE).any()


def test_one_labelled_knee_says_that_the_other_may_be_hidden(tmp_path: Path) -> None:
    person = read_annotations(cut_below_the_hips(tmp_path), tmp_path / "images", SHAPE)[0]
    joints = person.joints.copy()
    joints[SHAPE.joints.index("left knee")] = (10, 10, 2)
    gone = beyond_the_edge(dataclasses.replace(person, joints=joints), SHAPE)
    assert {SHAPE.joints[k] for k in np.flatnonzero(gone)} == {"left ankle", "right ankle"}


def test_a_batch_puts_absent_joints_nowhere_and_counts_them(tmp_path: Path) -> None:
    people = human_people("cut", cut_below_the_hips(tmp_path), tmp_path / "images", SHAPE, min_joints=3)
    assert people.absent.sum() == len(LEGS)
    batch = Mixture([(1.0, people)], tmp_path / "cache", SHAPE, NONE).batch(0, 2, (64, 96), 0.0)
    assert (batch.joints[:, LEGS] == NOWHERE).all()
    assert (batch.weights[:, LEGS] == 1).all()


def test_a_joint_outside_has_an_empty_map_to_reach() -> None:
    joints = torch.tensor([[[4.0, 4.0], [NOWHERE, NOWHERE], [2.0, 2.0]]])
    weights = torch.tensor([[1.0, 1.0, 0.0]])
    maps, kept = gaussian_heatmaps(joints, weights, (8, 8), outside=0.5)
    assert kept.tolist() == [[1.0, 0.5, 0.0]]
    assert maps[0, 0].max() == 1
    assert maps[0, 1].abs().max() == 0
    _, plain = gaussian_heatmaps(joints, weights, (8, 8))
    assert plain.tolist() == [[1.0, 0.0, 0.0]]
