"""What a run computes and with what: frozen, JSON-able values; no torch."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from poseviewer.core.errors import CallError, MissingPartError
from poseviewer.core.resources import resource_folder
from poseviewer.ops.nms_config import NmsConfig, NmsVersion, reference_nms

PipelineName = Literal["topdown", "bottomup", "onestage"]
PrecisionName = Literal["auto", "float32", "bf16", "fp16"]
BackendName = Literal["auto", "eager", "torch", "onnxruntime", "openvino"]
TrackerName = Literal["auto", "", "oks", "poseflow", "kalman"]
LARGEST_INPUT = 4096
MOST_GROUPING_LIMIT = 10.0
"""Tag distance beyond which nobody is told apart any more."""
BUNDLED_BOTTOM_UP = "weights/bottomup.safetensors"
NOT_MAPS = ("integral", "combined", "simcc", "regression")
"""Decodings of estimators that were not trained with the plain heatmap loss alone."""

__all__ = [
    "NmsConfig",
    "NmsVersion",
    "PipelineConfig",
    "applied_flip",
    "applied_nms",
    "config_hash",
    "own_nms",
    "reference_nms",
    "with_nms",
    "with_own_nms",
]


class PipelineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pipeline, as a run records it and as the run panel edits it.

    Attributes:
        pipeline: "topdown" (detector, then the estimator on each person), "bottomup" (one network for the whole
            picture, joints grouped by their tags) or "onestage" (one network that answers with whole people).
        detector: path of person detector weights; "" is the bundled one.
        estimator: path of pose estimator weights; "" is the bundled one.
        confidence: least score of a box, or of a person where there is no detector, 0..1.
        iou: boxes that overlap more are one person, 0..1.
        enlargement: boxes grow by this fraction before the crop; None is what belongs to the estimator: 0.3 in RMPE
            and for the bundled one (15 % on each side), 0.25 for most published ones.
        smooth: where a person is scaled down by two or more, average over the frame pixels that fall together; False
            is what AlphaPose does.
        stn: use the spatial transformer where the estimator has one.
        flip: average with the answer to the mirrored crop or picture; None is what the published systems do (see
            :func:`applied_flip`), which a run's record then holds in its place.
        input_size: of the whole picture in the network, bottom-up (shorter side; pose-ae: its square) and one-stage
            (longer side), in pixels; 0 is what the network was trained for.
        scales: of that size, averaged, bottom-up only.
        grouping_limit: largest tag distance that lets a joint join a person, bottom-up only; None is the published one.
        nms: pose NMS, top-down only (see :func:`applied_nms`); ``auto`` is what belongs to the estimator
            (:func:`own_nms`), which a run's record then holds in its place.
        tracker: who is who from frame to frame: "kalman" (motion and pose), "poseflow", "oks" (pose alone), "" for
            nobody, "auto" for "kalman" in videos and nobody in pictures.
        reid: path of re-identification weights, by which "kalman" also compares what people look like; "" for none.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto" is float32 on a CPU and bf16 where the accelerator has it.
        backend: what computes the estimator: "eager" is plain torch in float32, "torch" has the faster layout and
            ``precision``; "auto" is OpenVINO or ONNX Runtime on a CPU where one is installed and agrees with torch.
        batch_frames, batch_people: most frames and most people that go through a network at once.
    """

    pipeline: PipelineName = "topdown"
    detector: str = ""
    estimator: str = ""
    confidence: float = 0.2
    iou: float = 0.5
    enlargement: float | None = None
    smooth: bool = False
    stn: bool = True
    flip: bool | None = None
    input_size: int = 0
    scales: tuple[float, ...] = (1.0,)
    grouping_limit: float | None = None
    nms: NmsConfig = NmsConfig(auto=True)
    tracker: TrackerName = "auto"
    reid: str = ""
    device: str = "auto"
    precision: PrecisionName = "auto"
    backend: BackendName = "auto"
    batch_frames: int = 8
    batch_people: int = 32


def check_config(config: PipelineConfig) -> None:
    """Check what types alone do not.

    Raises:
        CallError: if a number makes no sense.
    """
    for name, low, high in (("confidence", 0.0, 1.0), ("iou", 0.0, 1.0), ("enlargement", -0.5, 4.0)):
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            raise CallError(f"The pipeline's {name} must lie between {low:g} and {high:g}, not {value:g}.")
    for name in ("batch_frames", "batch_people"):
        if getattr(config, name) < 1:
            raise CallError(f"The pipeline's {name} must be at least 1.")
    if not 0 <= config.input_size <= LARGEST_INPUT:
        raise CallError(f"The pipeline's input_size must lie between 0 and {LARGEST_INPUT}, not {config.input_size}.")
    if not config.scales or not all(0.1 <= scale <= 4 for scale in config.scales):
        raise CallError("The pipeline's scales must be one or more numbers between 0.1 and 4.")
    if len(config.scales) > 1 and 1.0 not in config.scales:
        raise CallError("Several scales must hold 1, because the tags are taken from it.")
    if config.grouping_limit is not None and not 0 < config.grouping_limit <= MOST_GROUPING_LIMIT:
        raise CallError(
            f"The pipeline's grouping_limit must lie between 0 and {MOST_GROUPING_LIMIT:g}, not "
            f"{config.grouping_limit:g}."
        )
    if config.reid and config.tracker not in ("auto", "kalman"):
        raise CallError(f"Only the tracker kalman compares what people look like, not {config.tracker or 'none'}.")
    if config.nms.version in ("box", "none"):
        raise CallError(f"Pose NMS has no form called {config.nms.version!r}: it is what other pipelines do instead.")


def has_bundled_estimator(pipeline: str) -> bool:
    """Return whether PoseViewer comes with a network for a pipeline, so that no file need be named."""
    return pipeline == "topdown" or (pipeline == "bottomup" and (resource_folder() / BUNDLED_BOTTOM_UP).is_file())


def check_weights(config: PipelineConfig) -> None:
    """Check that a network is named where none comes with PoseViewer.

    Raises:
        MissingPartError: none is; the sentence says which file is needed.
    """
    if config.estimator or has_bundled_estimator(config.pipeline):
        return
    if config.pipeline == "onestage":
        raise MissingPartError(
            "The one-stage pipeline needs pose weights of ultralytics, such as yolov8n-pose.pt; none come with "
            "PoseViewer.",
            remedy="Name the file as estimator.",
        )
    raise MissingPartError(
        "The bottom-up pipeline needs a network with tags, such as HigherHRNet's pose_higher_hrnet_w32_512.pth or "
        "pose-ae-train's checkpoint; none comes with PoseViewer.",
        remedy="Name the file as estimator.",
    )


def applied_flip(config: PipelineConfig) -> bool:
    """Return whether a pipeline averages with the mirrored answer.

    Bottom-up the published systems test so (HRNet's and MMPose's configurations of HigherHRNet, pose-ae-train's test
    program); AlphaPose's demo, the pattern of the top-down pipeline, does not, for its speed. One-stage networks have
    no such test here.
    """
    if config.pipeline == "onestage":
        return False
    return config.pipeline == "bottomup" if config.flip is None else config.flip


def applied_nms(config: PipelineConfig) -> NmsConfig:
    """Return what decides over the candidates of a pipeline.

    Top-down it is the configured pose NMS. A one-stage network's people are suppressed by the overlap of their boxes
    ("box": ``gamma`` is the IoU, ``score_floor`` the least score), as its authors do. Grouping gives every joint to
    one person, and the published code suppresses nobody after it ("none": the least score alone, which counts also
    where suppression is switched off).
    """
    if config.pipeline == "topdown":
        return msgspec.structs.replace(config.nms, auto=False)
    version: NmsVersion = "box" if config.pipeline == "onestage" else "none"
    return NmsConfig(version, score_floor=config.confidence, gamma=config.iou, enabled=config.nms.enabled)


def with_nms(config: PipelineConfig, nms: NmsConfig) -> PipelineConfig:
    """Return ``config`` with ``nms``, which a person chose, in place of :func:`applied_nms`."""
    if config.pipeline == "topdown":
        return msgspec.structs.replace(config, nms=msgspec.structs.replace(nms, auto=False))
    return msgspec.structs.replace(config, confidence=nms.score_floor, iou=nms.gamma)


def own_nms(joints: int, decode: str, version: NmsVersion | None = None) -> NmsConfig:
    """Return the pose NMS that the system which published an estimator runs after it.

    AlphaPose's two codes differ, and the current one's whole-body form has numbers of its own for estimators that are
    not trained with the plain heatmap loss (reference/alphapose.md sections 6.2 and 6.3: LOSS_TYPE is not MSELoss).
    Estimators of other systems have no parametric pose NMS of their own and take the current one's, by joint count and
    kind of answer.

    Args:
        joints, decode: as in :class:`poseviewer.nets.estimator_spec.EstimatorSpec` and in a run's record.
        version: that form with its numbers for such an estimator, instead of the publisher's.
    """
    own: NmsVersion = "old" if decode == "old" else "master"
    return reference_nms(version or own, joints, regression=decode in NOT_MAPS)


def with_own_nms(config: PipelineConfig, joints: int, decode: str, *, auto: bool = False) -> PipelineConfig:
    """Return ``config`` with :func:`own_nms` in place of an ``auto`` pose NMS; what a person chose stays.

    Args:
        joints, decode: of the estimator.
        auto: the numbers go on following the estimator; False fixes them, as a run's record does.
    """
    if not config.nms.auto or config.pipeline != "topdown":
        return config
    nms = msgspec.structs.replace(own_nms(joints, decode), enabled=config.nms.enabled, auto=auto)
    return msgspec.structs.replace(config, nms=nms)


def config_hash(config: PipelineConfig) -> str:
    """Return 16 hexadecimal digits that change when a frame's answers may: batch sizes and tracker are left out."""
    nms = msgspec.structs.replace(config.nms, auto=False)
    same = msgspec.structs.replace(
        config, batch_frames=1, batch_people=1, tracker="", reid="", nms=nms, flip=applied_flip(config)
    )
    return hashlib.sha256(msgspec.json.encode(same)).hexdigest()[:16]
