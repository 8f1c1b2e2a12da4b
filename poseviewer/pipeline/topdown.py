"""The top-down pipeline: detector, crops, spatial transformer, estimator, decoding, pose NMS, batched over frames.

Frames are uploaded once as uint8; boxes, crops, heatmaps and joints stay on the device; one small copy brings the
joints of a whole batch back, and pose NMS decides on them. Evidence is copied only where it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseviewer.core.progress import Note
from poseviewer.core.values import Array, Candidates, CropEvidence, Evidence, Frame, FrameResult, Pose, Suppression
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.ops.crops import (
    FrameSampler,
    heatmap_matrices,
    identity_theta,
    map_points,
    sdtn_gamma,
    transformed_matrices,
)
from poseviewer.ops.suppression import suppress_poses
from poseviewer.pipeline.batches import Batched, Boxes, Clock, upload
from poseviewer.pipeline.config import NmsConfig, PipelineConfig, applied_flip, with_own_nms
from poseviewer.pipeline.decoding import Decoded, Maps, decode, maps_of
from poseviewer.pipeline.devices import BatchSize, is_out_of_memory
from poseviewer.pipeline.networks import Networks
from poseviewer.pipeline.windows import Windows, windows_of


@dataclass
class _People:
    """All people of a batch of frames, in frame order; tensors on the device."""

    counts: list[int]
    frame_index: Tensor
    boxes: Tensor
    box_scores: Tensor


@dataclass
class _Found:
    """What the estimator said about all people of a batch; evidence arrays are on the host."""

    keypoints: list[Tensor] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)
    crops: list[CropEvidence] = field(default_factory=list)


@dataclass(frozen=True)
class _Places:
    """Where decoded joints and cells of maps lie in the frame.

    Attributes:
        spec: of the estimator.
        windows: of the people.
        crops: ``(n, 2, 3)`` crop pixels to frame pixels, after the spatial transformer.
    """

    spec: EstimatorSpec
    windows: Windows
    crops: Tensor

    def of(self, decoded: Decoded) -> Tensor:
        """``(n, 2, 3)`` from the unit of decoded joints to frame pixels."""
        if decoded.unit == "input":
            return self._input
        if self.windows.cells_to_frame is not None:
            return self.windows.cells_to_frame
        return heatmap_matrices(self.crops, self.spec.input_wh, self.spec.heatmap_wh)

    def of_maps(self, maps: Maps) -> Tensor:
        """``(n, 2, 3)`` from cells of the evidence's maps to frame pixels."""
        if self.windows.cells_to_frame is not None:
            return self.windows.cells_to_frame
        rows = [[maps.scale[0], 0.0, maps.offset[0]], [0.0, maps.scale[1], maps.offset[1]], [0.0, 0.0, 1.0]]
        return self._input @ self._input.new_tensor(rows)

    @property
    def _input(self) -> Tensor:
        return self.crops if self.windows.input_to_frame is None else self.windows.input_to_frame


class TopDown(Batched):
    """Detector and estimator; see :class:`Batched`. Boxes that are given stand for the detector's."""

    def __init__(
        self, networks: Networks, config: PipelineConfig, on_note: Callable[[Note], None] | None = None
    ) -> None:
        super().__init__(networks, with_own_nms(config, networks.joints, networks.spec.decode), on_note)
        self.people_at_once = BatchSize(config.batch_people, "person", "people")
        if applied_flip(config) and not networks.skeleton:
            self._on_note(Note("The joint set is not known, so nothing is averaged with the mirrored crop."))

    def _batch(
        self, frames: Sequence[Frame], boxes: Mapping[int, Boxes] | None, keep_evidence: bool
    ) -> list[FrameResult]:
        clock = Clock(self.networks.device, exact=keep_evidence)
        pixels = upload(frames, self.networks.device)
        clock.mark("upload")
        people = self._given(frames, boxes) if boxes is not None else self._detect(pixels)
        clock.mark("detector")
        found = self._estimate(pixels, people, keep_evidence, clock)
        candidates = self._candidates(people, found)
        results = []
        for number, frame in enumerate(frames):
            first = sum(people.counts[:number])
            crops = tuple(found.crops[first : first + people.counts[number]])
            suppression, poses = suppress(candidates[number], self.config.nms)
            clock.mark("suppression")
            evidence = Evidence(crops, candidates[number], suppression, clock.seconds) if keep_evidence else None
            results.append(FrameResult(frame.index, frame.timestamp_s, poses, evidence=evidence))
        return results

    def _detect(self, pixels: Tensor) -> _People:
        found = self.networks.detector(pixels, confidence=self.config.confidence, iou=self.config.iou)
        counts = [len(one.boxes) for one in found]
        return _people(counts, torch.cat([one.boxes for one in found]), torch.cat([one.scores for one in found]))

    def _given(self, frames: Sequence[Frame], boxes: Mapping[int, Boxes]) -> _People:
        """People whose boxes somebody else found; without scores they count as certain."""
        rows = []
        for frame in frames:
            given = np.asarray(boxes.get(frame.index, ()), dtype=np.float32)
            given = given.reshape(-1, given.shape[-1] if given.ndim == 2 and given.shape[-1] == 5 else 4)
            scores = given[:, 4:] if given.shape[1] == 5 else np.ones((len(given), 1), dtype=np.float32)
            rows.append(np.concatenate([given[:, :4], scores], axis=1))
        joined = torch.from_numpy(np.concatenate(rows)).to(self.networks.device)
        return _people([len(row) for row in rows], joined[:, :4], joined[:, 4])

    def _estimate(self, pixels: Tensor, people: _People, keep_evidence: bool, clock: Clock) -> _Found:
        """Crop, transform, estimate and decode everybody, at most ``people_at_once`` at a time."""
        found = _Found()
        total = len(people.boxes)
        if not total:
            return found
        frame_wh = pixels.shape[3], pixels.shape[2]
        windows = windows_of(self.networks.spec, people.boxes, frame_wh, self.config.enlargement)
        fill = tuple(255.0 * value for value in self.networks.spec.mean) if windows.visible is not None else (0.0,) * 3
        sampler = FrameSampler(pixels, smooth=self.config.smooth, fill=fill)
        clock.mark("crops")
        start = 0
        while start < total:
            part = slice(start, min(start + self.people_at_once.value, total))
            before = len(found.keypoints)
            try:
                self._estimate_part(sampler, people, windows.part(part), part, found, keep_evidence, clock)
            except Exception as error:
                if not is_out_of_memory(error) or self.people_at_once.value == 1:
                    raise
                del found.keypoints[before:], found.scores[before:], found.crops[start:]
                self._shrink(self.people_at_once, error)
                continue
            start = part.stop
        return found

    def _estimate_part(
        self,
        sampler: FrameSampler,
        people: _People,
        windows: Windows,
        part: slice,
        found: _Found,
        keep_evidence: bool,
        clock: Clock,
    ) -> None:
        networks, spec = self.networks, self.networks.spec
        index, matrices = people.frame_index[part], windows.proposals
        theta = identity_theta(len(index), networks.device)
        pictures = first = self._cut(sampler, index, matrices, windows)
        inputs = networks.normalise(pictures)
        if self.config.stn and networks.estimator.stn is not None:
            theta = _regular(networks.theta(inputs))
            matrices = transformed_matrices(matrices, theta, spec.input_wh)
            pictures = self._cut(sampler, index, matrices, windows)
            inputs = networks.normalise(pictures)
        clock.mark("crops")
        answer = networks.answer(inputs, flip=applied_flip(self.config))
        clock.mark("estimator")
        decoded = decode(spec, answer)
        places = _Places(spec, windows, matrices)
        found.keypoints.append(map_points(places.of(decoded), decoded.points))
        found.scores.append(decoded.scores)
        clock.mark("decode")
        if keep_evidence:
            placed = (windows.proposals, matrices, theta, sdtn_gamma(theta))
            maps = maps_of(spec, answer)
            found.crops += _evidence(people.boxes[part], *placed, first, pictures, maps.values, places.of_maps(maps))
            clock.mark("evidence")

    def _cut(self, sampler: FrameSampler, index: Tensor, matrices: Tensor, windows: Windows) -> Tensor:
        """Crops ``(n, 3, h, w)``, 0..255."""
        pictures = sampler.sample(index, matrices, self.networks.spec.input_wh, windows.visible)
        return pictures.round_() if windows.rounded else pictures

    def _candidates(self, people: _People, found: _Found) -> list[Candidates]:
        """Bring the joints of the whole batch to the host in one copy and part them by frame."""
        joints = self.networks.joints
        if not found.keypoints:
            return [_no_candidates(joints) for _ in people.counts]
        keypoints, scores = torch.cat(found.keypoints), torch.cat(found.scores)
        rows = [keypoints.flatten(1), scores, people.boxes, people.box_scores[:, None]]
        table = torch.cat([row.float() for row in rows], dim=1).cpu().numpy()
        candidates, first = [], 0
        for count in people.counts:
            mine = table[first : first + count]
            candidates.append(
                Candidates(
                    keypoints=mine[:, : 2 * joints].reshape(count, joints, 2).copy(),
                    scores=mine[:, 2 * joints : 3 * joints].copy(),
                    boxes=mine[:, 3 * joints : 3 * joints + 4].copy(),
                    box_scores=mine[:, -1].copy(),
                )
            )
            first += count
        return candidates


def suppress(candidates: Candidates, nms: NmsConfig) -> tuple[Suppression, tuple[Pose, ...]]:
    """Decide over kept candidates, without a network: what the run does, and what the window's sliders call.

    Returns:
        the report and the survivors, ``poses[i]`` from candidate ``report.kept[i]``. A joint that the merging leaves
        undefined (whole-body form of AlphaPose master) keeps the candidate's own place and score.
    """
    arrays = (candidates.boxes, candidates.box_scores, candidates.keypoints, candidates.scores)
    boxes, box_scores, keypoints, joint_scores = (torch.from_numpy(np.array(array)) for array in arrays)
    done = suppress_poses(boxes, box_scores, keypoints, joint_scores, nms)
    own_points, own_scores = candidates.keypoints[done.report.kept], candidates.scores[done.report.kept]
    undefined = np.isnan(done.keypoints).any(axis=2) | np.isnan(done.scores)
    points: Array = np.where(undefined[..., None], own_points, done.keypoints)
    scores: Array = np.where(undefined, own_scores, done.scores)
    poses = tuple(
        Pose(points[i], scores[i], done.boxes[i], float(np.nan_to_num(done.person_scores[i])))
        for i in range(len(points))
    )
    return done.report, poses


def _people(counts: list[int], boxes: Tensor, box_scores: Tensor) -> _People:
    repeats = torch.tensor(counts, device=boxes.device)
    index = torch.repeat_interleave(torch.arange(len(counts), device=boxes.device), repeats, output_size=sum(counts))
    return _People(counts, index, boxes, box_scores)


def _regular(theta: Tensor | None) -> Tensor:
    """Return theta in float64; one that cannot be inverted, or that left all bounds, becomes the identity."""
    if theta is None:
        raise ValueError("the estimator has no localisation network")
    theta = theta.double()
    area = torch.linalg.det(theta[:, :, :2]).abs()
    good = torch.isfinite(theta).all(dim=(1, 2)) & (area > 1e-4) & (theta.abs().amax(dim=(1, 2)) < 10)
    return torch.where(good[:, None, None], theta, identity_theta(len(theta), theta.device))


def _evidence(
    boxes: Tensor,
    proposals: Tensor,
    crops: Tensor,
    theta: Tensor,
    gamma: Tensor,
    first: Tensor,
    pictures: Tensor,
    maps: Tensor,
    to_frame: Tensor,
) -> list[CropEvidence]:
    """Copy what was computed on the way to the host, person by person."""

    def picture(crop: Tensor) -> npt.NDArray[np.uint8]:
        rounded = crop.clamp(0, 255).round().to(torch.uint8)
        return rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    before = picture(first)
    after = before if first is pictures else picture(pictures)
    arrays = [t.cpu().numpy() for t in (boxes.float(), proposals, crops, theta, gamma, maps.contiguous(), to_frame)]
    people = zip(*arrays, before, after, strict=True)
    return [
        CropEvidence(
            box=box,
            proposal=proposal,
            crop=crop,
            theta=one_theta,
            gamma=one_gamma,
            proposal_picture=picture_before,
            picture=picture_after,
            heatmaps=heatmaps,
            heatmap_to_frame=matrix,
        )
        for box, proposal, crop, one_theta, one_gamma, heatmaps, matrix, picture_before, picture_after in people
    ]


def _no_candidates(joints: int) -> Candidates:
    return Candidates(
        keypoints=np.zeros((0, joints, 2), dtype=np.float32),
        scores=np.zeros((0, joints), dtype=np.float32),
        boxes=np.zeros((0, 4), dtype=np.float32),
        box_scores=np.zeros(0, dtype=np.float32),
    )
