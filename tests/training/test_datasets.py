"""Keypoint files become people of the target skeleton; wrong files are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poseviewer.core.errors import FormatError, MediaError
from poseviewer.core.skeleton import skeleton
from poseviewer.media.pictures import read_picture
from poseviewer.training.datasets import (
    Source,
    human_people,
    load_source,
    read_annotations,
    standard_sources,
    teacher_people,
)
from poseviewer.training.pixels import PixelStore
from tests.training.people import draw_people

SHAPE = skeleton()


def test_joints_are_mapped_by_name(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 3)
    data = json.loads(file.read_text())
    straight = human_people("a", file, tmp_path / "images", SHAPE)
    data["categories"][0]["keypoints"].reverse()
    for annotation in data["annotations"]:
        triples = np.array(annotation["keypoints"]).reshape(-1, 3)[::-1]
        annotation["keypoints"] = triples.ravel().tolist()
    file.write_text(json.dumps(data))
    np.testing.assert_allclose(human_people("a", file, tmp_path / "images", SHAPE).joints, straight.joints)


def test_a_file_with_fewer_joints_leaves_the_others_unlabelled(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 2)
    data = json.loads(file.read_text())
    data["categories"][0]["keypoints"] = data["categories"][0]["keypoints"][5:]
    for annotation in data["annotations"]:
        annotation["keypoints"] = annotation["keypoints"][15:]
    file.write_text(json.dumps(data))
    people = human_people("body", file, tmp_path / "images", SHAPE)
    assert people.weights[:, :5].sum() == 0
    assert (people.weights[:, 5:] == 1).all()


def test_crowds_and_people_with_few_joints_are_left_out(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 3)
    data = json.loads(file.read_text())
    data["annotations"][0]["iscrowd"] = 1
    data["annotations"][1]["keypoints"][12:] = [0.0] * (51 - 12)
    file.write_text(json.dumps(data))
    assert len(human_people("few", file, tmp_path / "images", SHAPE)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("images"),
        lambda d: d["annotations"][0].pop("bbox"),
        lambda d: d["annotations"][0].update(image_id=99),
        lambda d: d["annotations"][0].update(keypoints=[1, 2]),
        lambda d: d["images"][0].update(file_name="../../etc/passwd"),
        lambda d: d["categories"].clear(),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, damage: object) -> None:
    file = draw_people(tmp_path, "train", 1)
    data = json.loads(file.read_text())
    damage(data)  # type: ignore[operator]
    file.write_text(json.dumps(data))
    with pytest.raises(FormatError, match=r"train\.json"):
        read_annotations(file, tmp_path / "images", SHAPE)


def teacher_file(human: Path, tmp_path: Path) -> Path:
    """The same people as a teacher saw them: the first with a weak wrist, the second not confident."""
    data = json.loads(human.read_text())
    for number, annotation in enumerate(data["annotations"]):
        scores = [0.9] * 17
        scores[9] = 0.2 if number == 0 else 0.9
        annotation.update(confident=number != 1, keypoint_scores=scores)
        if number == 2:
            annotation["human_id"] = 3
    file = tmp_path / "teacher_train.json"
    file.write_text(json.dumps(data))
    return file


def test_teacher_people_are_the_confident_ones_without_a_human(tmp_path: Path) -> None:
    file = teacher_file(draw_people(tmp_path, "train", 4), tmp_path)
    people = teacher_people("t", file, tmp_path / "images", SHAPE)
    assert len(people) == 2
    assert people.weights[0, 9] == 0
    assert people.weights[1].all()
    assert len(teacher_people("t", file, tmp_path / "images", SHAPE, without_human=False)) == 3


def test_a_teacher_adds_face_joints_to_labelled_bodies(tmp_path: Path) -> None:
    human = draw_people(tmp_path, "train", 2)
    teacher = teacher_file(human, tmp_path)
    data = json.loads(human.read_text())
    for annotation in data["annotations"]:
        annotation["keypoints"][:15] = [0.0] * 15
    human.write_text(json.dumps(data))
    people = load_source(Source("s", human, tmp_path / "images", teacher=teacher), SHAPE)
    assert people.weights[0, :5].all()
    assert not people.weights[1, :5].any()


def test_standard_sources_are_those_that_exist(tmp_path: Path) -> None:
    draw_people(tmp_path / "coco", "train", 1)
    assert [source.name for source in standard_sources(tmp_path)] == ["coco"]


def test_pixels_are_those_of_the_picture(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 3)
    people = human_people("a", file, tmp_path / "images", SHAPE)
    store = PixelStore(people.images, tmp_path / "cache")
    again = PixelStore(people.images, tmp_path / "cache")
    for place, path in enumerate(people.images):
        np.testing.assert_array_equal(store[place], read_picture(path))
        np.testing.assert_array_equal(again[place], store[place])


def test_a_missing_picture_is_named_and_leaves_no_store(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="absent"):
        PixelStore([tmp_path / "absent.png"], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
