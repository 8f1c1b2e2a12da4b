"""Skeleton files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poseviewer.core.errors import FormatError
from poseviewer.core.resources import resource
from poseviewer.core.skeleton import read_skeleton, skeleton, skeleton_names


@pytest.mark.parametrize("name", skeleton_names())
def test_every_bundled_skeleton_is_consistent(name: str) -> None:
    found = skeleton(name)
    assert found.name == name
    for joint, other in enumerate(found.flip):
        swapped = {"left": "right", "right": "left", "centre": "centre"}
        assert found.sides[other] == swapped[found.sides[joint]]
    assert len(set(found.joints)) == found.count


def test_the_torso_of_coco() -> None:
    assert skeleton().torso() == ((5, 12), (6, 11))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("flip", [0] * 17, "inverse"),
        ("limbs", [[0, 17]], "limb"),
        ("sigmas", [0.1], "17 entries"),
        ("joints", None, "Expected"),
        ("surprise", 1, "unknown field"),
    ],
)
def test_a_wrong_skeleton_file_is_refused_in_one_sentence(tmp_path: Path, field: str, value: object, says: str) -> None:
    content = json.loads(resource("skeletons/coco_17.json").read_text())
    content[field] = value
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    with pytest.raises(FormatError, match=says) as caught:
        read_skeleton(path)
    assert "mine.json" in caught.value.sentence
