"""Files of Leeds Sports Poses and MPII, made as these sets describe theirs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from poseviewer.core.errors import FormatError
from poseviewer.core.geometry import keypoints_box
from poseviewer.core.skeleton import skeleton
from poseviewer.training.layouts import read_layout
from tests.training.people import draw_people

TARGET = skeleton()
LSP, MPII = skeleton("lsp_14"), skeleton("mpii_16")


def at(kit_joints: tuple[str, ...], joint: str) -> int:
    return kit_joints.index(joint)


@pytest.mark.parametrize(("extended", "name"), [(False, "im0002.jpg"), (True, "im00002.jpg")])
def test_leeds_sports_poses(tmp_path: Path, extended: bool, name: str) -> None:
    xy = np.random.default_rng(0).uniform(1, 90, (3, 14, 2))
    flag = np.zeros((3, 14))
    flag[:, at(LSP.joints, "left knee")] = 1
    people = np.concatenate([xy, flag[..., None]], axis=2)
    savemat(tmp_path / "joints.mat", {"joints": people.transpose(1, 2, 0) if extended else people.transpose(2, 1, 0)})
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name.replace("2", "1")).touch()
    found = read_layout(tmp_path / "joints.mat", tmp_path / "images", TARGET)
    # In the extended set the flag says that a joint is labelled, in the first that it is hidden.
    assert len(found) == 3
    assert found[1].image == tmp_path / "images" / name
    knee, wrist, nose = (at(TARGET.joints, joint) for joint in ("left knee", "right wrist", "nose"))
    expected = xy[1, at(LSP.joints, "left knee")] - 1
    np.testing.assert_allclose(found[1].joints[knee], [*expected, 2 if extended else 1], rtol=1e-6)
    if extended:
        assert found[1].joints[wrist].tolist() == [0, 0, 0]
    else:
        np.testing.assert_allclose(found[1].joints[wrist], [*(xy[1, at(LSP.joints, "right wrist")] - 1), 2], rtol=1e-6)
        np.testing.assert_allclose(found[1].box, keypoints_box(xy[1] - 1, np.ones(14, bool)), rtol=1e-6)
    assert found[1].joints[nose].tolist() == [0, 0, 0]


def test_people_of_mpii(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(1, 90, (2, 16, 2))
    vis = np.ones((2, 16), dtype=int)
    joints[0, 0], vis[0, 0] = (-1, -1), 0
    entries = [
        {"image": "015.jpg", "joints": xy.tolist(), "joints_vis": v.tolist(), "center": [50.0, 50.0], "scale": 0.5}
        for xy, v in zip(joints, vis, strict=True)
    ]
    nobody = {"image": "016.jpg", "joints": joints[0].tolist(), "joints_vis": [0] * 16}
    file = tmp_path / "train.json"
    file.write_text("\n " + json.dumps([*entries, nobody]))
    found = read_layout(file, tmp_path, TARGET)
    assert [(person.image.name, person.image_id, person.annotation_id) for person in found] == [
        ("015.jpg", 1, 1), ("015.jpg", 1, 2),
    ]  # fmt: skip
    ankle = at(TARGET.joints, "right ankle")
    assert found[0].joints[ankle].tolist() == [0, 0, 0]
    np.testing.assert_allclose(found[1].joints[ankle], [*(joints[1, 0] - 1), 2], rtol=1e-6)
    assert (found[0].box > 0).any()
    assert read_layout(file, tmp_path, skeleton("halpe_26"))[1].joints[18, 2] == 2


def test_other_files(tmp_path: Path) -> None:
    assert len(read_layout(draw_people(tmp_path, "train", 2), tmp_path / "images", TARGET)) == 2
    (tmp_path / "joints.mat").write_bytes(b"MATLAB 5.0 MAT-file, not really")
    with pytest.raises(FormatError, match="Leeds Sports Poses"):
        read_layout(tmp_path / "joints.mat", tmp_path, TARGET)
    savemat(tmp_path / "joints.mat", {"joints": np.zeros((3, 15, 2))})
    with pytest.raises(FormatError, match="the shape"):
        read_layout(tmp_path / "joints.mat", tmp_path, TARGET)
    savemat(tmp_path / "joints.mat", {"others": np.zeros(3)})
    with pytest.raises(FormatError, match="Leeds Sports Poses"):
        read_layout(tmp_path / "joints.mat", tmp_path, TARGET)
    with pytest.raises(FormatError, match="cannot be read"):
        read_layout(tmp_path / "none.json", tmp_path, TARGET)
    with pytest.raises(FormatError, match="cannot be read"):
        read_layout(tmp_path / "none.mat", tmp_path, TARGET)
    file = tmp_path / "list.json"
    for odd in (
        [1], [{}], [{"image": "a", "joints": [[1, 2]], "joints_vis": [1]}], [{"image": "a", "joints": "x"}],
        [{"image": "../a", "joints": [[1, 2]] * 16, "joints_vis": [1] * 16}],
    ):  # fmt: skip
        file.write_text(json.dumps(odd))
        with pytest.raises(FormatError):
            read_layout(file, tmp_path, TARGET)
    file.write_text("[{")
    with pytest.raises(FormatError, match="not MPII"):
        read_layout(file, tmp_path, TARGET)
    file.write_text("[]")
    assert read_layout(file, tmp_path, TARGET) == []
