"""OKS AP against plain pycocotools and against what it must be."""

from __future__ import annotations

import contextlib
import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cocomade import annotation, dataset, image, keypoints, read_json, write_json

from poseviewer.core.errors import FormatError
from poseviewer.evaluation.coco import evaluate


def made(count: int = 6) -> dict[str, Any]:
    """A file of several images with two people each, far enough apart."""
    images = [image(number + 1, f"i{number}.png") for number in range(count)]
    rows = []
    for number in range(count):
        for side in (0, 1):
            joints = np.array(keypoints(2 * number + side)).reshape(17, 3)
            joints[joints[:, 2] > 0, 0] += 300 * side
            flat = [value for triple in joints.tolist() for value in triple]
            box = [300.0 * side, 0.0, 62.0, 62.0]
            rows.append(annotation(len(rows) + 1, number + 1, keypoints=flat, bbox=box, area=2000.0))
    return dataset(images, rows)


def results(source: dict[str, Any], shift: float = 0.0) -> list[dict[str, Any]]:
    """Every person of a file as a result, moved by some pixels."""
    rows = []
    for row in source["annotations"]:
        joints = np.array(row["keypoints"]).reshape(17, 3)
        joints[:, 0] += shift
        joints[:, 2] = 0.5
        flat = joints.ravel().tolist()
        rows.append(
            {"image_id": row["image_id"], "category_id": 1, "keypoints": flat, "score": 0.9, "bbox": row["bbox"]}
        )
    return rows


def write(folder: Path, truth: Any, found: Any) -> tuple[Path, Path]:
    return write_json(folder / "gt.json", truth), write_json(folder / "dt.json", found)


def test_a_file_against_itself_is_perfect(tmp_path: Path) -> None:
    truth, found = write(tmp_path, made(), results(made()))
    report = evaluate(truth, found)
    assert report.oks["AP"] == pytest.approx(1)
    assert report.box is not None
    assert report.box["AP"] == pytest.approx(1)
    assert report.pck == 1
    assert (report.images, report.persons, report.results, report.not_found) == (6, 12, 12, 0)
    assert evaluate(truth, truth).oks["AP"] == pytest.approx(1)


@pytest.mark.parametrize("found", [0, 1])
def test_images_on_which_nobody_is_annotated_have_no_figures_and_that_is_said(tmp_path: Path, found: int) -> None:
    source = made(2)
    rows = results(source)[:found]
    truth, answers = write(tmp_path, {**source, "annotations": []}, rows)
    report = evaluate(truth, answers)
    assert report.oks["AP"] is None
    assert report.pck is None
    assert (report.images, report.persons, report.results) == (2, 0, found)
    assert report.notes == ("gt.json has nobody with labelled joints, so there is no OKS AP and no PCK.",)
    assert f"Note: {report.notes[0]}" in report.lines()


def test_figures_equal_plain_pycocotools(tmp_path: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(3)
    source = made(20)
    rows = results(source)
    for row in rows:
        joints = np.array(row["keypoints"]).reshape(17, 3)
        joints[:, :2] += rng.normal(0, rng.uniform(0.5, 6), (17, 2))
        row["keypoints"], row["score"] = joints.ravel().tolist(), float(rng.uniform())
    rows += [{**row, "score": row["score"] * 0.5} for row in rows[::3]]
    truth, found = write(tmp_path, source, rows)
    report = evaluate(truth, found)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        scorer = COCOeval(coco, coco.loadRes(str(found)), "keypoints")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    ours = [report.oks[name] for name in ("AP", "AP50", "AP75")] + [report.oks["AR"]]
    assert 0.05 < report.oks["AP"] < 0.95  # type: ignore[operator]
    np.testing.assert_allclose(ours, [*scorer.stats[:3], scorer.stats[5]], rtol=1e-12)


def test_figures_of_a_teacher_on_real_people(shared_data: Path) -> None:
    """Near the figures that the data's README gives for this teacher (it ran once, these files hold flip tests)."""
    report = evaluate(shared_data / "coco/val.json", shared_data / "coco/teacher_val.json")
    assert report.oks["AP"] == pytest.approx(0.487, abs=0.02)
    assert (report.images, report.persons) == (345, 925)
    lspet = evaluate(shared_data / "lspet/val.json", shared_data / "lspet/teacher_val.json")
    assert lspet.pck_persons == 437
    assert lspet.pck == pytest.approx(0.55, abs=0.05)
    assert lspet.pck_joints["nose"] is None


def test_an_annotation_id_of_zero_counts(tmp_path: Path) -> None:
    source = made(1)
    for number, row in enumerate(source["annotations"]):
        row["id"] = number
    truth, found = write(tmp_path, source, results(source))
    assert evaluate(truth, found).oks["AP"] == pytest.approx(1)


def test_crowds_and_people_without_joints_do_not_count(tmp_path: Path) -> None:
    source = made(2)
    source["annotations"].append(annotation(50, 1, keypoints=[0] * 51))
    source["annotations"].append(annotation(51, 2, keypoints=[0] * 51, iscrowd=1))
    truth, found = write(tmp_path, source, results(made(2)))
    report = evaluate(truth, found)
    assert report.persons == 4
    assert report.oks["AP"] == pytest.approx(1)


def test_missing_areas_and_boxes_are_worked_out_and_told(tmp_path: Path) -> None:
    source = made(2)
    for row in source["annotations"]:
        for field in ("area", "iscrowd", "num_keypoints", "bbox", "id"):
            del row[field]
    truth, found = write(tmp_path, source, results(made(2)))
    report = evaluate(truth, found)
    assert report.oks["AP"] == pytest.approx(1)
    assert any("0.53" in note for note in report.notes)


def test_the_worse_the_results_the_lower_the_figures(tmp_path: Path) -> None:
    previous = (1.1, 1.1)
    for shift in (0.0, 3.0, 6.0, 12.0, 100.0):
        truth, found = write(tmp_path, made(), results(made(), shift))
        report = evaluate(truth, found)
        figures = (report.oks["AP"] or 0.0, report.pck or 0.0)
        assert figures <= previous
        previous = figures
    assert previous == (0.0, 0.0)


def test_results_by_file_name_and_by_companion(tmp_path: Path) -> None:
    source = made(3)
    rows = results(source)
    by_name = [{**row, "image_id": f"i{row['image_id'] - 1}.png"} for row in rows]
    truth, found = write(tmp_path, source, by_name)
    assert evaluate(truth, found).oks["AP"] == pytest.approx(1)
    other = [{**row, "image_id": {1: 2, 2: 3, 3: 1}[row["image_id"]]} for row in rows]
    truth, found = write(tmp_path, source, other)
    assert evaluate(truth, found).oks["AP"] == pytest.approx(0)
    write_json(
        tmp_path / "dt.images.json",
        {"images": [image(2, "somewhere/i0.png"), image(3, "somewhere/i1.png"), image(1, "somewhere/i2.png")]},
    )
    assert evaluate(truth, found).oks["AP"] == pytest.approx(1)


def test_no_results_score_zero(tmp_path: Path) -> None:
    truth, found = write(tmp_path, made(), [])
    report = evaluate(truth, found)
    assert (report.oks["AP"], report.pck, report.not_found) == (0.0, 0.0, report.pck_persons)


def test_other_joints_than_coco(tmp_path: Path) -> None:
    source = copy.deepcopy(made(2))
    source["categories"][0]["keypoints"] = ["a", "b", "c"]
    for row in source["annotations"]:
        row["keypoints"] = [10, 10, 2, 20, 20, 2, 30, 10, 1]
        row["num_keypoints"] = 3
    rows = [{**row, "keypoints": [10, 10, 1, 20, 20, 1, 30, 10, 1]} for row in results(made(2))]
    report = evaluate(*write(tmp_path, source, rows))
    assert report.pck is None
    assert any("sigmas" in note for note in report.notes)
    assert report.oks["AP"] is not None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda gt, dt: dt[0].update(image_id=77), r"dt\.json: entry \[0\] has the image_id 77, which gt\.json"),
        (lambda gt, dt: dt[1]["keypoints"].pop(), r"dt\.json: \[1\]\.keypoints has 50 numbers"),
        (lambda gt, dt: dt[1].pop("image_id"), r"dt\.json: \[1\] has no field image_id"),
        (lambda gt, dt: gt["categories"][0].pop("keypoints"), r"gt\.json.*51 numbers, 0 are expected"),
        (lambda gt, dt: gt.pop("annotations"), r"gt\.json: the file has no field annotations"),
    ],
)
def test_what_does_not_fit_is_said(change: Any, sentence: str, tmp_path: Path) -> None:
    source = made(2)
    rows = results(source)
    change(source, rows)
    with pytest.raises(FormatError, match=sentence):
        evaluate(*write(tmp_path, source, rows))


def test_a_results_list_is_no_truth(tmp_path: Path) -> None:
    truth, found = write(tmp_path, made(1), results(made(1)))
    with pytest.raises(FormatError, match="is a results list"):
        evaluate(found, truth)
    with pytest.raises(FormatError, match="cannot be read"):
        evaluate(tmp_path / "none.json", found)


def test_the_report_prints(tmp_path: Path) -> None:
    report = evaluate(*write(tmp_path, made(1), results(made(1))))
    text = "\n".join(report.lines())
    assert "OKS AP       1.000" in text
    assert "left_wrist" in text
    assert read_json(tmp_path / "gt.json")["images"]
