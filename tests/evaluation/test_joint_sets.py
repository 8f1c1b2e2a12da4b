"""Truth and results of different joint sets, results without joints, and crowdedness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cocomade import write_json

from poseviewer.core.skeleton import skeleton
from poseviewer.evaluation.coco import evaluate
from poseviewer.formats.alphapose_json import AlphaImage, AlphaPerson, bodies


def people(name: str, count: int = 4) -> tuple[dict[str, Any], list[np.ndarray]]:
    """An annotation file of one person an image with the joints of a set, and the joints ``(K, 3)``."""
    kit = skeleton(name)
    rng = np.random.default_rng(kit.count)
    images, rows, joints = [], [], []
    for number in range(1, count + 1):
        points = np.concatenate([rng.uniform(10, 190, (kit.count, 2)), np.full((kit.count, 1), 2.0)], axis=1)
        joints.append(points)
        images.append({"id": number, "file_name": f"i{number}.png", "width": 200, "height": 200})
        rows.append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [5, 5, 190, 190], "area": 20000.0}
            | {"iscrowd": 0, "keypoints": points.ravel().tolist(), "num_keypoints": kit.count}
        )
    category = {"id": 1, "name": "person", "keypoints": [joint.replace(" ", "_") for joint in kit.joints]}
    return {"images": images, "annotations": rows, "categories": [category]}, joints


def results(joints: list[np.ndarray]) -> list[dict[str, Any]]:
    return [
        {"image_id": number, "category_id": 1, "keypoints": points.ravel().tolist(), "score": 0.9}
        for number, points in enumerate(joints, start=1)
    ]


def test_results_of_more_joints_are_scored_on_those_of_the_truth(tmp_path: Path) -> None:
    truth, joints = people("coco_17")
    many = [np.concatenate([points, np.zeros((119, 3))]) for points in joints]
    report = evaluate(write_json(tmp_path / "gt.json", truth), write_json(tmp_path / "dt.json", results(many)))
    assert report.oks["AP"] == pytest.approx(1)
    assert report.pck == 1
    assert "136 joints; 17 are joints of the truth" in report.notes[0]


def test_joints_that_the_results_have_not_are_not_scored(tmp_path: Path) -> None:
    truth, joints = people("halpe_26")
    few = results([points[:17] for points in joints])
    report = evaluate(write_json(tmp_path / "gt.json", truth), write_json(tmp_path / "dt.json", few))
    assert report.oks["AP"] == pytest.approx(1)
    assert report.pck_joints["head"] is None
    assert "head, neck, hip" in report.notes[0]
    assert "not scored" in report.notes[0]


def test_names_decide_where_the_results_have_some(tmp_path: Path) -> None:
    truth, joints = people("crowdpose_14")
    aic = skeleton("aic_14")
    crowd = [{"head top": "top head"}.get(name, name) for name in aic.joints]
    order = [skeleton("crowdpose_14").joints.index(name) for name in crowd]
    found, _ = people("aic_14")
    for row, points in zip(found["annotations"], joints, strict=True):
        row["keypoints"] = points[order].ravel().tolist()
    report = evaluate(write_json(tmp_path / "gt.json", truth), write_json(tmp_path / "dt.json", found))
    assert report.oks["AP"] == pytest.approx(1)
    assert "14 are joints of the truth" in report.notes[0]


def test_alphapose_forms_are_scored(tmp_path: Path) -> None:
    truth, joints = people("coco_17")
    for number, image in enumerate(truth["images"]):
        image["file_name"] = f"{number}.jpg"
    images = [AlphaImage(f"{number}.jpg", (AlphaPerson(points),)) for number, points in enumerate(joints)]
    file = write_json(tmp_path / "dt.json", bodies(images, "cmu"))
    assert evaluate(write_json(tmp_path / "gt.json", truth), file).oks["AP"] == pytest.approx(1)


def test_boxes_without_joints_have_no_oks(tmp_path: Path) -> None:
    truth, _ = people("coco_17")
    boxes = [
        {"image_id": row["image_id"], "category_id": 1, "bbox": row["bbox"], "score": 0.9}
        for row in truth["annotations"]
    ]
    report = evaluate(write_json(tmp_path / "gt.json", truth), write_json(tmp_path / "dt.json", boxes))
    assert set(report.oks.values()) == {None}
    assert report.box is not None
    assert report.box["AP"] == pytest.approx(1)
    text = "\n".join(report.lines())
    assert "OKS" not in text
    assert "PCK" not in text
    assert "no keypoints" in text


def test_how_crowded_the_images_are(tmp_path: Path) -> None:
    truth, joints = people("crowdpose_14")
    for image, crowded in zip(truth["images"], (0.0, 0.1, 0.5, 1.0), strict=True):
        image["crowdIndex"] = crowded
    joints[3] = joints[3] + [500, 0, 0]
    report = evaluate(write_json(tmp_path / "gt.json", truth), write_json(tmp_path / "dt.json", results(joints)))
    assert report.oks["AP easy"] == pytest.approx(1)
    assert report.oks["AP medium"] == pytest.approx(1)
    assert report.oks["AP hard"] == 0
    assert "OKS AP hard" in "\n".join(report.lines())
