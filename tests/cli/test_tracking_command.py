"""From a folder of pictures to PoseTrack through the command line, with the bundled weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from cocomade import read_json

from poseviewer.core.resources import resource_folder


def poseviewer(*argv: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "poseviewer", *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_people_are_tracked_over_pictures_and_exported(people_picture: Path, tmp_path: Path) -> None:
    for name in ("detector", "estimator"):
        if not (resource_folder() / "weights" / f"{name}.safetensors").is_file():
            pytest.skip(f"the bundled {name} is not in this tree")
    folder = tmp_path / "walk"
    folder.mkdir()
    picture = cv2.imread(str(people_picture))
    for index in range(3):
        # The camera moves a little between the pictures.
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(picture[6 * index :, 4 * index :], (405, 540)))
    out, project = tmp_path / "r.json", tmp_path / "r.poseproj"
    poseviewer("predict", folder, "--tracker", "oks", "--out", out, "--project", project, "--device", "cpu")
    frames: dict[int, list[int]] = {}
    for row in read_json(out):
        frames.setdefault(row["image_id"], []).append(row["track_id"])
    assert len(frames) == 3
    assert all(len(set(tracks)) == len(tracks) for tracks in frames.values())
    first, *others = (set(tracks) for tracks in frames.values())
    stayed = first.intersection(*others)
    assert len(stayed) >= 2, frames
    poseviewer("export", project, "--format", "posetrack", "--include", "all", "--out", tmp_path / "posetrack")
    data = read_json(tmp_path / "posetrack" / "posetrack" / "walk.json")
    assert [image["file_name"] for image in data["images"]] == [f"images/walk/{index}.png" for index in range(3)]
    tracks = [
        {entry["track_id"] for entry in data["annotations"] if entry["image_id"] == image["id"]}
        for image in data["images"]
    ]
    assert len(set.intersection(*tracks)) == len(stayed)
    assert {len(entry["keypoints"]) for entry in data["annotations"]} == {51}
