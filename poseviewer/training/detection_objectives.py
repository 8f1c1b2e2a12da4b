"""What the detector learns from: a teacher's dense answers on the same picture, and human boxes where they are known.

One target per location of the three grids is made from both. A location's score target is the teacher's person
probability, raised where a human box is assigned to it and lowered to zero where human boxes are complete and none is
near. Boxes are taught as distributions (Li et al., Generalized Focal Loss, arXiv 2006.04388): the teacher's own
distribution, or the two bins around a human box. Human boxes are assigned as in TOOD (Feng et al., arXiv 2108.07755),
by the alignment score^0.5 * IoU^6 of the predictions inside the box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32)
BINS = 16
ASSIGNED = 10


@dataclass(frozen=True, slots=True)
class Dense:
    """Raw answers of a network at all locations, level by level.

    Attributes:
        logits: (B, A) person logits.
        bins: (B, A, 4, 16) logits of the distances left, top, right, bottom in units of the stride.
    """

    logits: Tensor
    bins: Tensor

    @staticmethod
    def from_raw(raw: dict[str, Tensor], person_class: int = 0) -> Dense:
        """Take the person's part of a YOLO network's raw outputs, in float32."""
        boxes = raw["boxes"].float()
        batch, _, count = boxes.shape
        return Dense(raw["scores"][:, person_class].float(), boxes.view(batch, 4, BINS, count).permute(0, 3, 1, 2))


@dataclass(frozen=True, slots=True)
class Targets:
    """What the student should answer.

    Attributes:
        score: (B, A) 0..1.
        weight: (B, A) of the score's loss.
        boxes: (B, A, 4) xyxy pixels.
        bins: (B, A, 4, 16) probabilities.
        box_weight: (B, A) of the box losses.
    """

    score: Tensor
    weight: Tensor
    boxes: Tensor
    bins: Tensor
    box_weight: Tensor


def grid(size: int) -> tuple[Tensor, Tensor]:
    """Return the (A, 2) centres in pixels and the (A,) strides of all locations of an S x S picture."""
    centres, strides = [], []
    for stride in STRIDES:
        steps = (torch.arange(size // stride) + 0.5) * stride
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        centres.append(torch.stack([x, y], -1).view(-1, 2))
        strides.append(torch.full((centres[-1].shape[0],), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def decode(bins: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Turn (B, A, 4, 16) distance logits into (B, A, 4) xyxy boxes in pixels."""
    steps = torch.arange(BINS, dtype=bins.dtype, device=bins.device)
    distances = bins.softmax(-1) @ steps * strides[:, None]
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], -1)


def iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Return the (B, n, m) intersection over union of (B, n, 4) and (B, m, 4) xyxy boxes."""
    corner = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    far = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    overlap = (far - corner).clamp_(min=0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1) for box in (a, b))
    return overlap / (area_a[:, :, None] + area_b[:, None, :] - overlap + 1e-7)


def inside(boxes: Tensor, centres: Tensor) -> Tensor:
    """Return (B, n, A): the location's centre is strictly inside the box. Padding boxes hold nothing."""
    low = (centres - boxes[:, :, None, :2]).amin(-1) > 0
    return low & ((boxes[:, :, None, 2:] - centres).amin(-1) > 0)


def assign(
    boxes: Tensor, probability: Tensor, predicted: Tensor, centres: Tensor, strides: Tensor
) -> tuple[Tensor, Tensor]:
    """Assign human boxes to locations by task alignment.

    Args:
        boxes: (B, n, 4) human boxes, zero padded.
        probability, predicted: (B, A) and (B, A, 4), whose alignment decides.
        centres, strides: see :func:`grid`.

    Returns:
        (B, A) score targets (0 where nothing is assigned) and (B, A) numbers of the assigned boxes.
    """
    if not boxes.shape[1]:
        return torch.zeros_like(probability), torch.zeros_like(probability, dtype=torch.long)
    # A person smaller than a cell would hold no centre: boxes are widened to one finest cell.
    centre, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    real = (half.amin(-1, keepdim=True) > 0).float()
    half = half.clamp(min=STRIDES[0] * 0.6) * real
    candidates = inside(torch.cat([centre - half, centre + half], -1), centres)
    iou = iou_matrix(boxes, predicted) * candidates
    align = (probability[:, None].clamp(min=1e-4).sqrt() * iou.pow(6)) * candidates
    # Early on no prediction may touch the box: then closeness to its centre decides, which is far too faint to
    # matter beside a real alignment.
    apart = (centres[None, None] - centre[:, :, None]).abs().amax(-1) / strides
    align = align + 1e-12 * candidates / (1 + apart)
    top = align.topk(min(ASSIGNED, align.shape[-1]), -1)
    chosen = torch.zeros_like(align).scatter_(-1, top.indices, 1.0) * candidates
    owner_iou, owner = (iou * chosen + chosen * 1e-9).max(1)
    mine = torch.zeros_like(chosen).scatter_(1, owner[:, None], 1.0) * chosen
    align, iou = align * mine, iou * mine
    scale = iou.amax(-1, keepdim=True).clamp(min=0.3) / align.amax(-1, keepdim=True).clamp(min=1e-20)
    score = (align * scale).amax(1).clamp(max=1.0)
    return score * (owner_iou > 0), owner


def make_targets(
    student: Dense,
    teacher: Dense,
    boxes: Tensor,
    unsure: Tensor,
    known: Tensor,
    geometry: tuple[Tensor, Tensor],
    *,
    own_share: float,
    human: bool,
) -> Targets:
    """Join the teacher's dense answers and the human boxes.

    Args:
        student, teacher: raw answers for the same pictures.
        boxes, unsure, known: see :class:`~poseviewer.training.detection_data.Batch`.
        geometry: centres and strides of :func:`grid`.
        own_share: 0: the teacher's predictions decide which locations a human box is assigned to; 1: the student's.
        human: use human boxes at all.
    """
    centres, strides = geometry
    with torch.no_grad():
        taught = teacher.logits.sigmoid()
        teacher_boxes = decode(teacher.bins, centres, strides)
        score, weight = taught.clone(), torch.ones_like(taught)
        target_boxes, target_bins = teacher_boxes, teacher.bins.softmax(-1)
        box_weight = taught * (taught > 0.05)
        if not human:
            return Targets(score, weight, target_boxes, target_bins, box_weight)
        own = decode(student.bins, centres, strides)
        judge = taught if own_share < 0.5 else student.logits.sigmoid()
        truth, owner = assign(boxes, judge, teacher_boxes if own_share < 0.5 else own, centres, strides)
        assigned = truth > 0
        sure = inside(known, centres).any(1) & ~inside(unsure, centres).any(1)
        near = inside(boxes, centres).any(1) if boxes.shape[1] else torch.zeros_like(assigned)
        score = torch.where(sure & ~near & ~assigned, 0.3 * taught, score)
        # Where nobody looked, what the teacher is unsure about teaches little.
        weight = torch.where(~sure & (taught > 0.1) & (taught < 0.4) & ~assigned, 0.5, 1.0)
        weight = weight * torch.where(inside(unsure, centres).any(1) & ~assigned, 0.3, 1.0)
        score = torch.where(assigned, torch.maximum(truth, 0.5 * (truth + taught)), score)
        box_weight = torch.where(assigned, score, box_weight * weight)
        if boxes.shape[1]:
            human_boxes = boxes.gather(1, owner[..., None].expand(-1, -1, 4))
            target_boxes = torch.where(assigned[..., None], human_boxes, teacher_boxes)
            two = _two_bins(human_boxes, centres, strides)
            target_bins = torch.where(assigned[..., None, None], two, target_bins)
        return Targets(score, weight, target_boxes, target_bins, box_weight)


def human_targets(
    student: Dense, boxes: Tensor, unsure: Tensor, known: Tensor, geometry: tuple[Tensor, Tensor]
) -> Targets:
    """Targets from human boxes alone, assigned by the student's own answers; arguments as :func:`make_targets`.

    A location teaches where a box is assigned to it, or where the boxes are complete and it may be empty.
    """
    nobody = Dense(torch.full_like(student.logits, -30.0), torch.zeros_like(student.bins))
    found = make_targets(student, nobody, boxes, unsure, known, geometry, own_share=1.0, human=True)
    with torch.no_grad():
        told = inside(known, geometry[0]).any(1) & ~inside(unsure, geometry[0]).any(1)
        assigned = found.box_weight > 0
    return replace(found, weight=found.weight * (told | assigned))


def _two_bins(boxes: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    distances = torch.cat([centres - boxes[..., :2], boxes[..., 2:] - centres], -1) / strides[:, None]
    distances = distances.clamp(0, BINS - 1.01)
    low = distances.floor()
    share = (distances - low)[..., None]
    index = low.long()[..., None]
    empty = distances.new_zeros(*distances.shape, BINS)
    return empty.scatter_(-1, index, 1 - share).scatter_add_(-1, index + 1, share)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the complete IoU (Zheng et al., arXiv 2005.03572, eq. 8-11) of paired (n, 4) xyxy boxes."""
    size_a, size_b = (box[:, 2:] - box[:, :2] for box in (a, b))
    overlap = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    iou = overlap / (size_a.clamp(min=0).prod(-1) + size_b.clamp(min=0).prod(-1) - overlap + 1e-7)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(-1)
    angle = torch.atan(size_a[:, 0] / size_a[:, 1].clamp(min=1e-3)) - torch.atan(
        size_b[:, 0] / size_b[:, 1].clamp(min=1e-3)
    )
    v = (4 / math.pi**2) * angle.square()
    with torch.no_grad():
        alpha = v / (1 - iou + v + 1e-7)
    return iou - apart / (hull.square().sum(-1) + 1e-7) - alpha * v


def detection_loss(student: Dense, targets: Targets, geometry: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Return the losses ``score`` (BCE), ``box`` (1 - complete IoU) and ``bins`` (KL divergence), each a scalar."""
    total = targets.score.sum().clamp(min=1.0)
    bce = F.binary_cross_entropy_with_logits(student.logits, targets.score, reduction="none")
    # The entropy of soft targets is no error: without it the figure falls to 0 when the student agrees.
    floor = F.binary_cross_entropy(targets.score, targets.score, reduction="none")
    score = ((bce - floor) * targets.weight).sum() / total
    where = targets.box_weight > 0.05
    weight = targets.box_weight[where]
    centres, strides = geometry
    batch = student.logits.shape[0]
    centres = centres.expand(batch, -1, -1)[where]
    scale = strides.expand(batch, -1)[where]
    bins = student.bins[where]
    boxes = decode(bins[None], centres[None], scale)[0]
    mass = weight.sum().clamp(min=1.0)
    box = ((1 - complete_iou(boxes, targets.boxes[where])) * weight).sum() / mass
    log_student = bins.log_softmax(-1)
    wanted = targets.bins[where]
    divergence = (wanted * (wanted.clamp(min=1e-8).log() - log_student)).sum(-1).mean(-1)
    return {"score": score, "box": box, "bins": (divergence * weight).sum() / mass}


class Hints(nn.Module):
    """Adapters that compare the student's feature maps with the teacher's (Romero et al., FitNets, arXiv 1412.6550).

    The teacher's maps are normalised by channel statistics measured on the first batch; a 1 x 1 convolution maps the
    student's channels onto them. Errors near people count more. The adapters are thrown away after training.

    Args:
        student_channels, teacher_channels: of the compared layers.
    """

    def __init__(self, student_channels: list[int], teacher_channels: list[int]) -> None:
        super().__init__()
        self.adapters = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(student_channels, teacher_channels, strict=True)
        )
        for i, channels in enumerate(teacher_channels):
            self.register_buffer(f"mean{i}", torch.zeros(channels))
            self.register_buffer(f"scale{i}", torch.zeros(channels))

    def forward(self, student: list[Tensor], teacher: list[Tensor], people: Tensor) -> Tensor:
        """Return the mean squared error over all compared layers.

        Args:
            student, teacher: feature maps (B, C, h, w), pairs of the same h, w.
            people: (B, A) person probability at the three grids, finest first.
        """
        finest = _finest(people, max(maps.shape[-1] for maps in teacher))
        total = people.new_zeros(())
        for i, (adapter, mine, wanted) in enumerate(zip(self.adapters, student, teacher, strict=True)):
            mean, scale = getattr(self, f"mean{i}"), getattr(self, f"scale{i}")
            wanted = wanted.float()
            if not bool(scale.any()):
                mean.copy_(wanted.mean((0, 2, 3)))
                scale.copy_(1 / (wanted.std((0, 2, 3)) + 1e-2))
            wanted = ((wanted - mean[:, None, None]) * scale[:, None, None]).clamp(-6, 6)
            error = (adapter(mine).float() - wanted).square().mean(1, keepdim=True)
            weight = 1 + 3 * F.adaptive_max_pool2d(finest, wanted.shape[-1])
            total = total + (error * weight).sum() / weight.sum()
        return total / len(self.adapters)


def _finest(people: Tensor, side: int) -> Tensor:
    """Bring (B, A) probabilities of the three square grids to the finest one, (B, 1, side, side), by maximum."""
    batch, start = people.shape[0], 0
    joined = people.new_zeros(batch, 1, side, side)
    for level in range(len(STRIDES)):
        count = side >> level
        part = people[:, start : start + count * count].view(batch, 1, count, count)
        joined = torch.maximum(joined, F.interpolate(part, size=(side, side), mode="nearest"))
        start += count * count
    return joined
