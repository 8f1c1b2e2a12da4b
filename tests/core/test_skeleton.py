"""Skeleton files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poseviewer.core.errors import FormatError
from poseviewer.core.resources import resource
from poseviewer.core.skeleton import (
    add_own_skeleton,
    own_skeleton_files,
    read_skeleton,
    skeleton,
    skeleton_names,
)


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
        ("joints", ["nose"] * 17, "twice"),
        ("flip", [99] * 17, "inverse"),
        ("sigmas", [0.1] * 16 + [0], "above 0"),
        ("face", [17], "face"),
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


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A skeleton file of the user's, and an empty folder of settings."""
    monkeypatch.setenv("POSEVIEWER_CONFIG", str(tmp_path / "settings"))
    content = json.loads(resource("skeletons/mpii_16.json").read_text())
    path = tmp_path / "bench_press.json"
    path.write_text(json.dumps({**content, "name": "bench_press", "title": "Bench press"}))
    return path


def test_a_skeleton_of_the_users_own_is_there_like_a_bundled_one(own: Path) -> None:
    assert own_skeleton_files() == ()
    assert "bench_press" not in skeleton_names()
    target = add_own_skeleton(own)
    assert own_skeleton_files() == (target,)
    assert skeleton_names()[-1] == "bench_press"
    assert skeleton("bench_press").title == "Bench press"
    target.write_text(target.read_text().replace("Bench press", "Bench"))
    assert skeleton("bench_press").title == "Bench"


def test_a_broken_skeleton_of_the_users_own_does_not_hide_the_others(own: Path) -> None:
    add_own_skeleton(own)
    (own_skeleton_files()[0].parent / "broken.json").write_text("{}")
    assert "bench_press" in skeleton_names()
    assert "broken" not in skeleton_names()
    with pytest.raises(FormatError, match="broken"):
        skeleton("broken")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "another", "must agree"),
        ("name", "../bench_press", "must agree"),
        ("sides", ["left"] * 16, "mirrored"),
    ],
)
def test_a_skeleton_that_cannot_be_told_apart_is_refused(own: Path, field: str, value: object, says: str) -> None:
    own.write_text(json.dumps({**json.loads(own.read_text()), field: value}))
    with pytest.raises(FormatError, match=says):
        add_own_skeleton(own)


def test_a_bundled_name_is_taken(own: Path) -> None:
    taken = own.with_name("coco_17.json")
    taken.write_bytes(resource("skeletons/coco_17.json").read_bytes())
    with pytest.raises(FormatError, match="bundled"):
        add_own_skeleton(taken)


def test_hands_and_faces_of_a_body_are_fine_joints() -> None:
    halpe, hand = skeleton("halpe_136"), skeleton("onehand10k_21")
    assert set(halpe.face) | set(range(94, 136)) | set(range(20, 26)) == halpe.fine
    assert hand.fine == frozenset()
    assert skeleton().fine == frozenset(range(5))
