"""Measure a whole pipeline, boxes and joints together, on pictures that nobody trained on.

    python -m poseviewer.training.validate_pipeline --data ../shared/data

OKS AP by pycocotools over all pictures of coco/val, from the pixels alone. `--estimator`, `--detector` and `--pipeline`
measure other weights, `--confidence 0.05` what AP asks for: it counts people that nobody would want to see.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from poseviewer.core.errors import FormatError
from poseviewer.core.files import inside
from poseviewer.core.values import Frame, Pose
from poseviewer.formats.coco_eval import coco_scores, load_coco
from poseviewer.media.pictures import read_picture
from poseviewer.pipeline.config import PipelineConfig, check_config
from poseviewer.pipeline.loading import load_networks
from poseviewer.pipeline.workers import make_worker
from poseviewer.training.command import run_command


def validate_pipeline(
    config: PipelineConfig, annotations: Path, *, limit: int | None = None
) -> Mapping[str, float | None]:
    """COCO's keypoint figures of a pipeline.

    Args:
        config: weights and thresholds.
        annotations: COCO JSON with persons' joints, pictures beside it in ``images/``.
        limit: only the first so many pictures.

    Raises:
        FormatError: the annotations cannot be read.
        MediaError: a picture cannot be read.
        WeightsError: the networks cannot be loaded.
    """
    check_config(config)
    try:
        truth = msgspec.json.decode(annotations.read_bytes())
        images = truth["images"][:limit]
        names = {int(i["id"]): inside(annotations.parent / "images", i["file_name"], file=annotations) for i in images}
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{annotations} is not a readable COCO file: {error!r}.", file=annotations) from error
    worker = make_worker(load_networks(config), config)
    found: list[dict[str, Any]] = []
    for identifier, path in names.items():
        result = worker.process([Frame(0, 0.0, read_picture(path))])[0]
        found += [_row(identifier, pose) for pose in result.poses]
    truth["annotations"] = [person for person in truth["annotations"] if person["image_id"] in names]
    truth["images"] = images
    return coco_scores(load_coco(truth), found, "keypoints")


def _row(image: int, pose: Pose) -> dict[str, Any]:
    """One line of a COCO results list."""
    joints = np.column_stack([pose.keypoints, pose.scores]).ravel().round(3).tolist()
    return {"image_id": image, "category_id": 1, "keypoints": joints, "score": float(pose.score)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m poseviewer.training.validate_pipeline", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds coco/")
    parser.add_argument("--pipeline", default="topdown", choices=["topdown", "bottomup", "onestage"])
    parser.add_argument("--detector", default="", help="weights (default: the bundled ones)")
    parser.add_argument("--estimator", default="", help="weights (default: the bundled ones)")
    parser.add_argument("--confidence", type=float, default=PipelineConfig().confidence, help="least score of a box")
    parser.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="average with the answer to the mirrored crop or picture (default: as the program does)",
    )
    parser.add_argument("--no-stn", action="store_true", help="without the spatial transformer")
    parser.add_argument("--limit", type=int, help="only the first so many pictures")
    options = parser.parse_args(arguments)
    return run_command(lambda: _main(options))


def _main(options: argparse.Namespace) -> None:
    config = PipelineConfig(
        pipeline=options.pipeline,
        detector=options.detector,
        estimator=options.estimator,
        confidence=options.confidence,
        flip=options.flip,
        stn=not options.no_stn,
    )
    figures = validate_pipeline(config, options.data / "coco" / "val.json", limit=options.limit)
    print("coco/val " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if value is not None))


if __name__ == "__main__":
    sys.exit(main())
