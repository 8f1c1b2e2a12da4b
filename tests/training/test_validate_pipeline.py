"""A whole pipeline against joints: its own answers are perfect, moved ones are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from poseviewer.core.errors import FormatError
from poseviewer.jobs.demo_clip import source_picture
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.training.validate_pipeline import main, validate_pipeline

CONFIG = PipelineConfig(device="cpu")


def truth_of_own_answers(folder: Path, shift: float) -> Path:
    """COCO annotations of a photograph: what the bundled pipeline finds in it, moved by ``shift`` pixels."""
    from poseviewer.core.values import Frame
    from poseviewer.media.pictures import read_picture
    from poseviewer.pipeline.loading import load_networks
    from poseviewer.pipeline.workers import make_worker

    (folder / "images").mkdir(parents=True, exist_ok=True)
    shutil.copy(source_picture("bus.jpg"), folder / "images" / "bus.jpg")
    pixels = read_picture(folder / "images" / "bus.jpg")
    poses = make_worker(load_networks(CONFIG), CONFIG).process([Frame(0, 0.0, pixels)])[0].poses
    people = [
        {
            "id": number,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "keypoints": np.column_stack([pose.keypoints + shift, np.full(17, 2)]).ravel().tolist(),
            "num_keypoints": 17,
            "bbox": [float(pose.box[0]), float(pose.box[1]), 100.0, 300.0],
            "area": 20000.0,
        }
        for number, pose in enumerate(poses, start=1)
    ]
    assert len(people) >= 3
    height, width = pixels.shape[:2]
    image = {"id": 1, "file_name": "bus.jpg", "width": width, "height": height}
    file = folder / "val.json"
    file.write_text(json.dumps({"images": [image], "annotations": people, "categories": [{"id": 1, "name": "person"}]}))
    return file


def test_own_answers_are_perfect_and_moved_ones_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = truth_of_own_answers(tmp_path / "coco", 0.0)
    assert validate_pipeline(CONFIG, file)["AP"] == pytest.approx(1.0)
    assert main(["--data", str(tmp_path)]) == 0
    assert "AP 1.000" in capsys.readouterr().out
    moved = validate_pipeline(CONFIG, truth_of_own_answers(tmp_path / "moved", 15.0))["AP"]
    assert moved is not None
    assert moved < 0.5


def test_a_file_that_is_no_coco_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "val.json"
    file.write_text("{}")
    with pytest.raises(FormatError, match=r"val\.json"):
        validate_pipeline(CONFIG, file)
