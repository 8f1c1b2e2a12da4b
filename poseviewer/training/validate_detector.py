"""Measure a person detector on human boxes: ``python -m poseviewer.training.validate_detector --data ../shared/data``.

COCO's box AP with pycocotools: crowd regions are ignored, at most 100 persons a picture.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from poseviewer.core.errors import FormatError
from poseviewer.pipeline.detector import LEAST_CONFIDENCE, Detector
from poseviewer.training.command import run_command


@dataclass(frozen=True, slots=True)
class BoxScores:
    """COCO box figures of one set, 0..1 (-1: nothing of that size).

    Attributes:
        ap, ap50, ap75: average precision over IoU 0.50:0.95, at 0.50, at 0.75.
        small, medium, large: AP by COCO's area classes (in the delivered pixels).
        recall: average recall at 100 persons a picture.
        precision_at, recall_at: at IoU 0.5 with the detector's own confidence.
        pictures, persons: how many were measured.
    """

    ap: float
    ap50: float
    ap75: float
    small: float
    medium: float
    large: float
    recall: float
    precision_at: float
    recall_at: float
    pictures: int
    persons: int


def validate_boxes(
    detector: Detector, annotations: Path, *, only_human: bool = False, limit: int | None = None
) -> BoxScores:
    """Run a detector over a COCO annotation file's pictures (beside it in ``images/``) and score its boxes.

    Args:
        detector: its own input size and NMS are used, every score from 0.01 counts.
        annotations: COCO JSON with person boxes.
        only_human: leave out pictures whose entry ``human`` is false.
        limit: only the first so many pictures.

    Raises:
        FormatError: the annotations or a picture cannot be read.
    """
    try:
        truth = json.loads(annotations.read_bytes())
        images = [image for image in truth["images"] if not only_human or image.get("human")][:limit]
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(f"{annotations} is not a readable COCO file: {error}.", file=annotations) from error
    found: list[dict[str, Any]] = []
    for image in images:
        path = annotations.parent / "images" / image["file_name"]
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise FormatError(f"The picture {path} cannot be read.", file=path)
        frame = torch.from_numpy(np.ascontiguousarray(picture[:, :, ::-1])).permute(2, 0, 1)[None]
        persons = detector(frame.to(detector.device), confidence=LEAST_CONFIDENCE)[0]
        for box, score in zip(persons.boxes.tolist(), persons.scores.tolist(), strict=True):
            x0, y0, x1, y1 = box
            found.append(
                {
                    "image_id": image["id"],
                    "category_id": 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": score,
                }
            )
    return _scored(truth, images, found, detector.spec.confidence)


def _scored(
    truth: dict[str, Any], images: list[dict[str, Any]], found: list[dict[str, Any]], confidence: float
) -> BoxScores:
    ids = {image["id"] for image in images}
    persons = [person for person in truth["annotations"] if person["image_id"] in ids]
    counted = sum(not person["iscrowd"] for person in persons)
    if not found:
        return BoxScores(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, len(images), counted)
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {**truth, "images": images, "annotations": persons}
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    ap, ap50, ap75, small, medium, large, _, _, recall = (float(value) for value in judge.stats[:9])
    precision_at, recall_at = _at_confidence(judge.evalImgs, confidence, counted)
    return BoxScores(ap, ap50, ap75, small, medium, large, recall, precision_at, recall_at, len(images), counted)


def _at_confidence(rows: Sequence[Any], confidence: float, persons: int) -> tuple[float, float]:
    """Precision and recall at IoU 0.5 of the detections that a person gets to see."""
    right = wrong = 0
    for row in rows:
        if row is None or row["aRng"] != [0, 1e10] or row["maxDet"] != 100:
            continue
        shown = np.asarray(row["dtScores"]) >= confidence
        counts = shown & ~np.asarray(row["dtIgnore"], bool)[0]
        hits = np.asarray(row["dtMatches"])[0] > 0
        right += int((counts & hits).sum())
        wrong += int((counts & ~hits).sum())
    return right / max(right + wrong, 1), right / max(persons, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m poseviewer.training.validate_detector", description=__doc__)
    parser.add_argument("--weights", type=Path, default=None, help="detector weights (default: the bundled ones)")
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds coco/ and photos/")
    parser.add_argument("--size", type=int, default=None, help="input size in pixels (default: as the weights say)")
    parser.add_argument("--confidence", type=float, default=None, help="for precision and recall only")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    return run_command(lambda: _main(options))


def _main(options: argparse.Namespace) -> None:
    detector = Detector.load(options.weights, input_size=options.size, confidence=options.confidence)
    results = {
        "coco/val": validate_boxes(detector, options.data / "coco" / "val.json"),
        "photos/val, human boxes": validate_boxes(detector, options.data / "photos" / "val.json", only_human=True),
    }
    if options.json:
        print(json.dumps({name: asdict(scores) for name, scores in results.items()}, indent=1))
        return
    spec = detector.spec
    print(f"{spec.name}, input {spec.input_size}, confidence {spec.confidence:g}, NMS IoU {spec.iou:g}")
    for name, scores in results.items():
        figures = ", ".join(
            f"{key} {value:.3f}" if isinstance(value, float) else f"{value} {key}"
            for key, value in asdict(scores).items()
        )
        print(f"{name}: {figures}")


if __name__ == "__main__":
    sys.exit(main())
