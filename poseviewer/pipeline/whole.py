"""What pipelines share whose network sees the whole picture at once: batches, decision, evidence.

Frames are uploaded once as uint8; the network's answer becomes candidates on the device, which reach the host in one
copy. All candidates of a frame share one crop: the whole picture as the network was fed it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseviewer.core.geometry import box_iou
from poseviewer.core.progress import Note
from poseviewer.core.values import (
    Array,
    Candidates,
    CropEvidence,
    Evidence,
    Frame,
    FrameResult,
    Grouping,
    Pose,
    Suppression,
)
from poseviewer.ops.box_nms import suppress_boxes
from poseviewer.pipeline.config import NmsConfig, PipelineConfig, applied_nms
from poseviewer.pipeline.devices import BatchSize, is_out_of_memory, out_of_memory, release_memory
from poseviewer.pipeline.networks import Networks

Boxes = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.float64]
MOST_FRAMES_ON_CPU = 2
LEAST_OVERLAP = 0.3
"""A box drawn by hand is answered by the candidate that overlaps it most, if by at least this IoU."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was found in one picture.

    Attributes:
        candidates: with their score as ``box_scores``; boxes may leave the picture.
        crop: the whole picture as evidence, where it was asked for.
        grouping: why joints became people, where it was asked for and the pipeline groups.
    """

    candidates: Candidates
    crop: CropEvidence | None = None
    grouping: Grouping | None = None


class Clock:
    """Seconds by step; waits for the device only where somebody looks at the figures."""

    def __init__(self, device: torch.device, *, exact: bool) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._exact = exact and device.type == "cuda"
        self._last = time.perf_counter()

    def mark(self, step: str) -> None:
        """Count the time since the last mark as ``step``."""
        if self._exact:
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now


class WholePicture(ABC):
    """Turns batches of frames into results with a network that sees whole pictures.

    Args:
        networks: the network, as :func:`poseviewer.pipeline.networks.load_networks` made it.
        config: thresholds and batch sizes; its weights and device are ``networks``' business.
        on_note: told when a batch had to be halved.
    """

    def __init__(
        self, networks: Networks, config: PipelineConfig, on_note: Callable[[Note], None] | None = None
    ) -> None:
        self.networks = networks
        self.config = config
        self.nms = applied_nms(config)
        most = MOST_FRAMES_ON_CPU if networks.device.type == "cpu" else config.batch_frames
        self.frames_at_once = BatchSize(min(config.batch_frames, most), "frame", "frames")
        self._on_note = on_note or (lambda note: None)

    @abstractmethod
    def look(self, pixels: Tensor, clock: Clock, *, keep_evidence: bool) -> list[Seen]:
        """Return what is in each of the pictures ``(B, 3, H, W)`` uint8."""

    @torch.inference_mode()
    def process(
        self, frames: Sequence[Frame], *, boxes: Mapping[int, Boxes] | None = None, keep_evidence: bool = False
    ) -> list[FrameResult]:
        """Return the results of ``frames``, which have one size, in their order.

        Args:
            frames: any number; they go through in batches.
            boxes: by frame index, ``(n, 4)`` xyxy: only the candidates that overlap these most are wanted, at most
                one for each, in their order, and nobody is suppressed.
            keep_evidence: keep all candidates, the picture and the maps.

        Raises:
            DeviceError: if the memory does not suffice for one frame.
        """
        results: list[FrameResult] = []
        while len(results) < len(frames):
            batch = frames[len(results) : len(results) + self.frames_at_once.value]
            try:
                results += self._batch(batch, boxes, keep_evidence)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(error)
        return results

    def _shrink(self, error: BaseException) -> None:
        """Take fewer frames at once and say so, or give up."""
        device = self.networks.device
        release_memory(device)
        if not self.frames_at_once.halve():
            raise out_of_memory(device, "even for one frame at a time") from error
        self._on_note(Note(f"The memory of {device} ran out: going on with {self.frames_at_once}.", "warning"))

    def _batch(
        self, frames: Sequence[Frame], boxes: Mapping[int, Boxes] | None, keep_evidence: bool
    ) -> list[FrameResult]:
        clock = Clock(self.networks.device, exact=keep_evidence)
        pixels = upload(frames, self.networks.device)
        clock.mark("upload")
        seen = self.look(pixels, clock, keep_evidence=keep_evidence)
        return [
            self._result(frame, one, None if boxes is None else boxes.get(frame.index, ()), clock)
            for frame, one in zip(frames, seen, strict=True)
        ]

    def _result(self, frame: Frame, seen: Seen, boxes: Boxes | Sequence[float] | None, clock: Clock) -> FrameResult:
        nms = self.nms
        if boxes is not None:
            seen = only_in(seen, np.asarray(boxes, dtype=np.float32).reshape(-1, np.shape(boxes)[-1] or 4)[:, :4])
            nms = NmsConfig(nms.version, enabled=False)
        suppression, poses = decide(seen.candidates, nms)
        clock.mark("suppression")
        evidence = None
        if seen.crop is not None:
            crops = (seen.crop,) * len(seen.candidates.boxes)
            evidence = Evidence(crops, seen.candidates, suppression, clock.seconds, seen.grouping)
        height, width = frame.pixels.shape[:2]
        edges = np.array([width, height, width, height], dtype=np.float32)
        inside = tuple(replace(pose, box=np.clip(pose.box, 0, edges)) for pose in poses)
        return FrameResult(frame.index, frame.timestamp_s, inside, evidence=evidence)


def decide(candidates: Candidates, nms: NmsConfig) -> tuple[Suppression, tuple[Pose, ...]]:
    """Suppress by the overlap of boxes ("box"), or only what scores too low ("none").

    Returns:
        the report and the survivors, ``poses[i]`` from candidate ``report.kept[i]``, unchanged.
    """
    limit = nms.gamma if nms.enabled and nms.version == "box" else 1.0
    floor = nms.score_floor if nms.enabled else -np.inf
    report = suppress_boxes(candidates.boxes, candidates.box_scores, limit=limit, floor=floor)
    poses = tuple(
        Pose(
            candidates.keypoints[i],
            candidates.scores[i],
            candidates.boxes[i],
            float(candidates.box_scores[i]),
        )
        for i in report.kept
    )
    return report, poses


def only_in(seen: Seen, boxes: Boxes) -> Seen:
    """Leave for each of ``(n, 4)`` boxes the candidate that overlaps it most; boxes where nobody is are skipped."""
    candidates = seen.candidates
    chosen: list[int] = []
    if len(candidates.boxes):
        for overlap in box_iou(boxes, candidates.boxes):
            overlap[chosen] = 0.0
            if overlap.max() >= LEAST_OVERLAP:
                chosen.append(int(overlap.argmax()))
    grouping = seen.grouping
    if grouping is not None:
        rows = {name: getattr(grouping, name)[chosen] for name in ("joint_tags", "person_tags", "distance", "how")}
        grouping = replace(grouping, **rows)
    return replace(seen, candidates=_rows(candidates, chosen), grouping=grouping)


def _rows(candidates: Candidates, chosen: list[int]) -> Candidates:
    return Candidates(
        candidates.keypoints[chosen],
        candidates.scores[chosen],
        candidates.boxes[chosen],
        candidates.box_scores[chosen],
    )


def upload(frames: Sequence[Frame], device: torch.device) -> Tensor:
    """Bring frames of one size to the device: ``(B, 3, H, W)`` uint8, channels last in memory, as decoded."""
    if len(frames) == 1:
        # from_numpy warns about read-only arrays; nothing here writes to frames.
        stacked = np.ascontiguousarray(frames[0].pixels)[None]
        if not stacked.flags.writeable:
            stacked = stacked.copy()
    else:
        stacked = np.stack([frame.pixels for frame in frames])
    batch = torch.from_numpy(stacked)
    if device.type == "cuda":
        batch = batch.pin_memory().to(device, non_blocking=True)
    return batch.permute(0, 3, 1, 2)


def picture_evidence(fed: Tensor, to_frame: Matrix, maps: Array, maps_to_frame: Matrix) -> CropEvidence:
    """Describe a whole picture as the one crop that all its candidates share.

    Args:
        fed: ``(3, h, w)`` 0..255 as it was fed, before normalising.
        to_frame: ``(2, 3)`` network input pixels to frame pixels.
        maps: ``(K, h, w)`` heatmaps, ``(K, 0, 0)`` where there are none.
        maps_to_frame: ``(2, 3)`` cells of the maps to frame pixels.
    """
    picture = fed.clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    height, width = picture.shape[:2]
    corners = np.array([[0.0, 0.0], [width - 1.0, height - 1.0]]) @ to_frame[:, :2].T + to_frame[:, 2]
    still = np.eye(2, 3)
    return CropEvidence(
        box=corners.reshape(4).astype(np.float32),
        proposal=to_frame,
        crop=to_frame,
        theta=still,
        gamma=still,
        proposal_picture=picture,
        picture=picture,
        heatmaps=maps,
        heatmap_to_frame=maps_to_frame,
    )
