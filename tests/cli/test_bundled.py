"""The bundled weights on a real photograph, through the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cocomade import annotation, dataset, image, read_json, write_json

from poseviewer.core.resources import resource_folder
from poseviewer.core.skeleton import skeleton
from poseviewer.jobs.demo_clip import PEOPLE


@pytest.fixture(scope="module")
def weights() -> None:
    for name in ("detector", "estimator"):
        if not (resource_folder() / "weights" / f"{name}.safetensors").is_file():
            pytest.skip(f"the bundled {name} is not in this tree")


def predict(*argv: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "poseviewer", "predict", *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_hand_read_people_of_the_bus(weights: None, people_picture: Path, tmp_path: Path) -> None:
    """With the boxes of a COCO file every person is answered, under that file's image id, inside the picture."""
    joints = skeleton("coco_17").joints
    rows = []
    for number, person in enumerate(PEOPLE["bus.jpg"], start=1):
        flat = [value for name in joints for value in person.joints.get(name, (0, 0, 0))]
        x1, y1, x2, y2 = person.box
        rows.append(annotation(number, 40, keypoints=flat, bbox=[x1, y1, x2 - x1, y2 - y1]))
    boxes = write_json(tmp_path / "bus.json", dataset([image(40, "bus.jpg", (810, 1080))], rows))
    out = tmp_path / "r.json"
    predict(people_picture, "--boxes", boxes, "--out", out, "--device", "cpu")
    found = read_json(out)
    assert [row["image_id"] for row in found] == [40, 40]
    assert sorted(row["bbox"] for row in found) == sorted(row["bbox"] for row in rows)
    for row in found:
        triples = np.array(row["keypoints"]).reshape(17, 3)
        assert np.isfinite(triples).all()
        assert (triples[:, 2] >= 0).all()
    images = read_json(tmp_path / "r.images.json")
    assert [(entry["id"], entry["file_name"]) for entry in images["images"]] == [(40, "bus.jpg")]
    assert len(images["info"]["networks"]["estimator"]["sha256"]) == 64
