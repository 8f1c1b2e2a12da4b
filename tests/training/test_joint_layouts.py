"""Training files of other joint sets, read for one target skeleton."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseviewer.core.errors import FormatError
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.formats.whole_body import WHOLE_BODY_PARTS, WHOLE_BODY_SIZES
from poseviewer.training.datasets import Annotation, read_annotations


def read(folder: Path, annotation: dict[str, Any], names: tuple[str, ...] | None, target: Skeleton) -> Annotation:
    """The one person of a file that is made so."""
    file = folder / "people.json"
    category = {"id": 1, "name": "person"} | ({"keypoints": list(names)} if names else {})
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 90], **annotation}
    images = [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}]
    file.write_text(json.dumps({"images": images, "annotations": [person], "categories": [category]}))
    return read_annotations(file, folder, target)[0]


def triples(count: int, *, score: float = 1.0) -> np.ndarray:
    """Joint k lies at (k + 1, 2k + 1)."""
    places = np.arange(count, dtype=np.float32)
    return np.stack((places + 1, 2 * places + 1, np.full(count, score, np.float32)), axis=1)


@pytest.mark.parametrize(
    ("name", "joint", "source"),
    [("mpii_16", "neck", "upper neck"), ("lsp_14", "head", "head top"), ("aic_14", "left knee", "left knee")],
)
def test_layouts_with_names(tmp_path: Path, name: str, joint: str, source: str) -> None:
    kit, target = skeleton(name), skeleton("halpe_26")
    names = tuple(word.replace(" ", "_") for word in kit.joints)
    person = read(tmp_path, {"keypoints": triples(kit.count).ravel().tolist()}, names, target)
    assert person.joints[target.joints.index(joint)].tolist() == triples(kit.count)[kit.joints.index(source)].tolist()
    assert person.joints[target.joints.index("nose")].tolist() == [0, 0, 0]


def test_whole_body_files_keep_feet_face_and_hands(tmp_path: Path) -> None:
    joints = triples(133)
    joints[30, 2] = 0.2
    parts = np.split(joints, np.cumsum(WHOLE_BODY_SIZES)[:-1])
    annotation = {name: part.ravel().tolist() for name, part in zip(WHOLE_BODY_PARTS, parts, strict=True)}
    target = skeleton("halpe_136")
    person = read(tmp_path, annotation, skeleton().joints, target)
    assert person.joints[target.joints.index("right small toe")].tolist() == joints[21].tolist()
    assert person.joints[target.joints.index("right pinky finger 4")].tolist() == joints[132].tolist()
    unsure = person.joints[target.joints.index("face 7")]
    assert unsure.tolist() == [31, 61, 0]
    assert (person.joints[17:20] == 0).all()


def test_halpe_files_name_no_joints(tmp_path: Path) -> None:
    person = read(tmp_path, {"keypoints": triples(136, score=0.9).ravel().tolist()}, None, skeleton())
    np.testing.assert_allclose(person.joints, triples(136, score=0.9)[:17])


def test_joints_without_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="names its joints"):
        read(tmp_path, {"keypoints": triples(15).ravel().tolist()}, None, skeleton())
