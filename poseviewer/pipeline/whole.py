"""What pipelines share whose network sees the whole picture at once: batches, decision, evidence.

Frames are uploaded once as uint8; the network's answer becomes candidates on the device, which reach the host in one
copy. All candidates of a frame share one crop: the whole picture as the network was fed it.
"""

from __future__ import annotations

from abc import abstractmethod
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
from poseviewer.pipeline.batches import Batched, Boxes, Clock, upload
from poseviewer.pipeline.config import NmsConfig, PipelineConfig, applied_nms
from poseviewer.pipeline.networks import Networks

Matrix = npt.NDArray[np.float64]
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


class WholePicture(Batched):
    """Turns batches of frames into results with a network that sees whole pictures; see :class:`Batched`.

    Of boxes that are asked for, each gets the candidate that overlaps it most, if by enough, and nobody is suppressed.
    """

    def __init__(
        self, networks: Networks, config: PipelineConfig, on_note: Callable[[Note], None] | None = None
    ) -> None:
        super().__init__(networks, config, on_note)
        self.nms = applied_nms(config)

    @abstractmethod
    def look(self, pixels: Tensor, clock: Clock, *, keep_evidence: bool) -> list[Seen]:
        """Return what is in each of the pictures ``(B, 3, H, W)`` uint8."""

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
            nms = NmsConfig(nms.version, enabled=False, score_floor=-np.inf)
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
    floor = nms.score_floor if nms.enabled or nms.version == "none" else -np.inf
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
