"""What a run computes and with what: frozen, JSON-able values; no torch."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from poseviewer.core.errors import CallError, MissingPartError
from poseviewer.ops.nms_config import NmsConfig, NmsVersion, reference_nms

PipelineName = Literal["topdown", "bottomup", "onestage"]
PrecisionName = Literal["auto", "float32", "bf16", "fp16"]
TrackerName = Literal["auto", "", "oks", "poseflow", "kalman"]

__all__ = ["NmsConfig", "NmsVersion", "PipelineConfig", "config_hash", "reference_nms"]


class PipelineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pipeline, as a run records it and as the run panel edits it.

    Attributes:
        pipeline: which one.
        detector: path of person detector weights; "" is the bundled one.
        estimator: path of pose estimator weights; "" is the bundled one.
        confidence: least box score, 0..1.
        iou: boxes that overlap more are one person, 0..1.
        enlargement: boxes grow by this fraction before the crop (RMPE: 0.3, which is 15 % on each side).
        smooth: where a person is scaled down by two or more, average over the frame pixels that fall together; False
            is what AlphaPose does.
        stn: use the spatial transformer where the estimator has one.
        flip: average with the answer to the mirrored crop.
        nms: pose NMS.
        tracker: who is who from frame to frame: "kalman" (motion and pose), "poseflow", "oks" (pose alone), "" for
            nobody, "auto" for "kalman" in videos and nobody in pictures.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" is float32 on a CPU and bf16 where the accelerator has it.
        batch_frames, batch_people: most frames and most people that go through a network at once.
    """

    pipeline: PipelineName = "topdown"
    detector: str = ""
    estimator: str = ""
    confidence: float = 0.2
    iou: float = 0.5
    enlargement: float = 0.3
    smooth: bool = False
    stn: bool = True
    flip: bool = False
    nms: NmsConfig = NmsConfig()
    tracker: TrackerName = "auto"
    device: str = "auto"
    precision: PrecisionName = "auto"
    batch_frames: int = 8
    batch_people: int = 32


def check_config(config: PipelineConfig) -> None:
    """Check what types alone do not.

    Raises:
        CallError: if a number makes no sense.
        MissingPartError: if the pipeline is one that this version does not have.
    """
    if config.pipeline != "topdown":
        raise MissingPartError(
            f"The pipeline {config.pipeline} is not available in this version.", remedy="Use the pipeline topdown."
        )
    for name, low, high in (("confidence", 0.0, 1.0), ("iou", 0.0, 1.0), ("enlargement", -0.5, 4.0)):
        value = getattr(config, name)
        if not low <= value <= high:
            raise CallError(f"The pipeline's {name} must lie between {low:g} and {high:g}, not {value:g}.")
    for name in ("batch_frames", "batch_people"):
        if getattr(config, name) < 1:
            raise CallError(f"The pipeline's {name} must be at least 1.")


def config_hash(config: PipelineConfig) -> str:
    """Return 16 hexadecimal digits that change when a frame's answers may: batch sizes and tracker are left out."""
    same = msgspec.structs.replace(config, batch_frames=1, batch_people=1, tracker="")
    return hashlib.sha256(msgspec.json.encode(same)).hexdigest()[:16]
