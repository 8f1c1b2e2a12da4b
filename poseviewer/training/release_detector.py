"""Put a trained detector among the resources: ``python -m poseviewer.training.release_detector --help``.

The numbers are stored as float16; input size, thresholds and what the card needs go into the file itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poseviewer.core.errors import CallError
from poseviewer.nets.yolo import load_yolo, save_yolo
from poseviewer.pipeline.detector import LEAST_CONFIDENCE
from poseviewer.training.command import run_command

LICENCE = "AGPL-3.0-or-later; trained on photographs under many licences, see detector.md"


def release_detector(weights: Path, out: Path, settings: dict[str, Any]) -> str:
    """Write a trained detector with its recommended settings.

    Args:
        weights: what a training left in its folder.
        out: the file to write.
        settings: ``input_size``, ``confidence``, ``iou``, ``smooth``; added to what the training recorded.

    Returns:
        the new file's SHA-256.

    Raises:
        KnownError: the weights cannot be read, or a setting makes no sense.
    """
    if not LEAST_CONFIDENCE <= settings["confidence"] <= 1 or not 0 < settings["iou"] <= 1:
        raise CallError("Confidence and IoU must lie between 0 and 1.")
    trained = load_yolo(weights)
    if settings["input_size"] % trained.stride:
        raise CallError(f"The input size must be a multiple of {trained.stride}.")
    save_yolo(
        out,
        trained.network,
        trained.layout,
        classes=trained.classes,
        settings={**trained.settings, **settings, "licence": LICENCE},
    )
    return load_yolo(out).sha256


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m poseviewer.training.release_detector", description=__doc__)
    parser.add_argument("--weights", type=Path, default=Path(".training/detector/detector.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("resources/weights/detector.safetensors"))
    parser.add_argument("--size", type=int, required=True, help="input size in pixels")
    parser.add_argument("--confidence", type=float, required=True, help="least score that is shown")
    parser.add_argument("--iou", type=float, default=0.6, help="two boxes that overlap more are one person")
    options = parser.parse_args(arguments)
    settings = {
        "input_size": options.size,
        "confidence": options.confidence,
        "iou": options.iou,
        "smooth": True,
    }

    def release() -> None:
        digest = release_detector(options.weights, options.out, settings)
        print(f"{options.out}: {options.out.stat().st_size} bytes, sha256 {digest}")

    return run_command(release)


if __name__ == "__main__":
    sys.exit(main())
