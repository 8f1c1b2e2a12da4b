"""What a network can be trained for: heatmaps, symmetric integral regression, a teacher's answers, tags.

An objective is called with the network's forward pass and a batch on the network's device and answers a scalar. All
targets are made there, from joints: the loader only cuts pictures. Sums run over all processes of a training, so that
two workers learn what one would from the joined batch.

Symbols: B crops, K joints, H, W input size, h, w heatmap size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from poseviewer.core.skeleton import Skeleton
from poseviewer.nets.weights import EstimatorSpec
from poseviewer.ops.sikr import sikr_coordinates
from poseviewer.ops.targets import cell_error, gaussian_heatmaps, integral_targets
from poseviewer.ops.targets_ae import group_heatmaps, masked_mse, placed_heatmaps, push_pull, read_tags, tag_references
from poseviewer.training.batches import Batch
from poseviewer.training.groups import GroupBatch
from poseviewer.training.loop import Forward
from poseviewer.training.ranks import mean_over_all
from poseviewer.training.validate import normalise

HARD_JOINTS = {"elbow": 1.2, "knee": 1.2, "wrist": 1.5, "ankle": 1.5}
OUTSIDE = 0.5
"""How much a joint that is known not to be in the crop weighs beside one that is."""


@dataclass(frozen=True, slots=True)
class HeatmapObjective:
    """Mean squared error to Gaussian heatmaps, cells under a peak and hard joints counting more.

    Attributes:
        spec: normalisation of the crops.
        joint_weights: ``(K,)``.
        sigma: of the Gaussians, in cells.
    """

    spec: EstimatorSpec
    joint_weights: Tensor
    sigma: float = 2.0

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        maps = forward(normalise(batch.crops, self.spec)).float()
        total, weight = heatmap_error(maps, batch, self.joint_weights, self.sigma)
        return mean_over_all(total, weight)


def heatmap_error(maps: Tensor, batch: Batch, joint_weights: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Weighted sum of the labelled joints' errors and the sum of their weights, two scalars.

    A joint that is known to lie outside the crop has an empty map to reach, so that absent joints score low.

    Args:
        maps: ``(B, K, h, w)``.
        batch: joints in crop pixels.
        joint_weights: ``(K,)``.
        sigma: in cells.
    """
    wh = (maps.shape[3], maps.shape[2])
    stride = batch.crops.shape[2] / wh[0]
    weights = batch.weights * joint_weights.to(maps.device)
    targets, weights = gaussian_heatmaps(batch.joints / stride, weights, wh, sigma=sigma, outside=OUTSIDE)
    return (cell_error(maps, targets) * weights).sum(), weights.sum()


@dataclass(frozen=True, slots=True)
class SikrObjective:
    """Symmetric integral keypoint regression with the two-step sigmoid normalisation (AlphaPose 2022, section 3.1).

    Attributes:
        spec: normalisation of the crops.
        joint_weights: ``(K,)``.
    """

    spec: EstimatorSpec
    joint_weights: Tensor

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        maps = forward(normalise(batch.crops, self.spec)).float()
        coordinates, _ = sikr_coordinates(maps, "sigmoid")
        return mean_over_all(integral_error(coordinates, batch, self.joint_weights), _count(maps))


def integral_error(coordinates: Tensor, batch: Batch, joint_weights: Tensor) -> Tensor:
    """Weighted sum of the labelled joints' distances, a scalar; joints outside the crop cannot be reached.

    Args:
        coordinates: ``(B, 2K)`` as `ops.sikr` gives them.
        batch: joints in crop pixels.
        joint_weights: ``(K,)``.
    """
    height, width = batch.crops.shape[1:3]
    weights = batch.weights * joint_weights.to(coordinates.device)
    targets, weights = integral_targets(batch.joints, weights, (width, height))
    inside = (targets.abs() <= 0.5).view(len(targets), -1, 2).all(2, keepdim=True).expand(-1, -1, 2).flatten(1)
    return ((coordinates - targets).abs() * weights * inside).sum()


def _count(maps: Tensor) -> Tensor:
    return torch.tensor(float(len(maps)), device=maps.device)


@dataclass(frozen=True, slots=True)
class Distilled:
    """Learn what is labelled; everywhere else go on answering as the teacher does.

    The teacher's map of a joint counts by its height: where it is not sure there is nothing to remember, and a joint
    that it placed wrongly in pictures like these is mostly one of which it was not sure.

    Attributes:
        spec: normalisation of the crops.
        teacher: the forward pass of the network as it was, in evaluation mode.
        joint_weights: ``(K,)``.
        sigma: of the labelled joints' Gaussians, in cells.
        keep: weight of what is remembered against what is learnt.
        certain: height of a teacher's peak below which it counts nothing.
    """

    spec: EstimatorSpec
    teacher: Forward
    joint_weights: Tensor
    sigma: float = 2.0
    keep: float = 1.0
    certain: float = 0.3

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        x = normalise(batch.crops, self.spec)
        maps = forward(x).float()
        total, weight = heatmap_error(maps, batch, self.joint_weights, self.sigma)
        learnt = mean_over_all(total, weight)
        with torch.no_grad():
            before = self.teacher(x).float()
        height = before.amax((2, 3))
        trust = height.clamp(max=1.0) * (height >= self.certain) * (batch.weights <= 0)
        kept = mean_over_all((cell_error(maps, before) * trust).sum(), trust.sum())
        return learnt + self.keep * kept


@dataclass(frozen=True, slots=True)
class DistilledIntegral:
    """As `Distilled`, for a network that is decoded by integration: its coordinates are what is learnt and kept.

    Attributes:
        spec, teacher, joint_weights, keep, certain: as `Distilled` has them; the teacher is as sure of a joint as its
            map's highest confidence says.
    """

    spec: EstimatorSpec
    teacher: Forward
    joint_weights: Tensor
    keep: float = 1.0
    certain: float = 0.3

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        x = normalise(batch.crops, self.spec)
        maps = forward(x).float()
        coordinates, _ = sikr_coordinates(maps, "sigmoid")
        learnt = mean_over_all(integral_error(coordinates, batch, self.joint_weights), _count(maps))
        with torch.no_grad():
            before, confidence = sikr_coordinates(self.teacher(x).float(), "sigmoid")
        trust = confidence * (confidence >= self.certain) * (batch.weights <= 0)
        total = ((coordinates - before).abs() * trust.repeat_interleave(2, dim=1)).sum()
        return learnt + self.keep * mean_over_all(total, _count(maps))


@dataclass(frozen=True, slots=True)
class EmbeddingObjective:
    """Associative embedding: masked detection error, and tags that pull together and push apart.

    A network answers with (B, 2K, h, w), heatmaps and then tags, or, as HigherHRNet does, with that and finer heatmaps
    (B, K, 2h, 2w), whose error counts alike. The published weights of push and pull are 0.001.

    Attributes:
        spec: normalisation of the pictures.
        push, pull: weights of the two tag losses.
        sigma: of the Gaussians, in cells of either size.
        most: people of a picture whose tags count.
        foreground: what a cell under a peak weighs besides; 0 is published. With few steps it keeps the few peaks from
            drowning in empty cells.
        placed: Gaussians stand at the joints' very places; otherwise on their truncated cells, as published.
    """

    spec: EstimatorSpec
    push: float = 1e-3
    pull: float = 1e-3
    sigma: float = 2.0
    most: int = 30
    foreground: float = 0.0
    placed: bool = False

    def __call__(self, forward: Forward, batch: GroupBatch) -> Tensor:
        answer = forward(normalise(batch.pictures, self.spec))
        stages = [stage.float() for stage in (answer if isinstance(answer, tuple) else (answer,))]
        joints = stages[-1].shape[1] // (1 if len(stages) > 1 else 2)
        error = torch.stack([self._detection(stage[:, :joints], batch) for stage in stages]).sum(0)
        side = stages[0].shape[-1]
        cells = self._cells(batch, side)
        references = torch.stack([tag_references(people, side, most=self.most) for people in cells])
        tags = read_tags(stages[0][:, joints:].flatten(1)[..., None], references)
        push, pull = push_pull(tags, references[..., 1] > 0)
        total = (error + self.push * push + self.pull * pull).sum()
        return mean_over_all(total, torch.tensor(float(len(batch)), device=total.device))

    def _detection(self, maps: Tensor, batch: GroupBatch) -> Tensor:
        """Masked error of heatmaps ``(B, K, h, w)``; ``(B,)``."""
        side = maps.shape[-1]
        draw = placed_heatmaps if self.placed else group_heatmaps
        targets = torch.stack([draw(people, side, sigma=self.sigma) for people in self._cells(batch, side)])
        mask = F.interpolate(batch.mask[:, None], size=maps.shape[-2:], mode="nearest")[:, 0]
        return masked_mse(maps, targets, mask, foreground=self.foreground)

    def _cells(self, batch: GroupBatch, side: int) -> list[Tensor]:
        """The people in cells of square maps."""
        scale = side / batch.pictures.shape[2]
        return [
            torch.cat((people[: self.most, :, :2] * scale, people[: self.most, :, 2:]), dim=2)
            for people in batch.people
        ]


def joint_weights(shape: Skeleton) -> Tensor:
    """``(K,)``: elbows, knees, wrists and ankles count more, they are the hard ones (as in HRNet's training)."""
    found: Sequence[float] = [
        next((w for part, w in HARD_JOINTS.items() if part in name), 1.0) for name in shape.joints
    ]
    return torch.tensor(found)


MakeObjective = Callable[[EstimatorSpec, Skeleton], Any]
OBJECTIVES: dict[str, MakeObjective] = {
    "heatmap": lambda spec, shape: HeatmapObjective(spec, joint_weights(shape)),
    "sikr": lambda spec, shape: SikrObjective(spec, joint_weights(shape)),
}
"""Objectives of a network that answers with heatmaps of one person, by name."""


def natural_objective(spec: EstimatorSpec) -> str:
    """What a network was made for: "sikr" where its maps are decoded by integration, else "heatmap"."""
    return "sikr" if spec.decode == "integral" else "heatmap"
