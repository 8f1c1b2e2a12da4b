"""Associative embedding: from heatmaps and tag maps to people.

Symbols: B pictures, K joints, (h, w) cells, T tag dimensions, M candidates per joint, P people. A person is a
``(K, 3 + T)`` row of x, y, value and tag for every joint, zeros where it has none.
Facts: reference/hrnet_ae_mmpose.md section 13. Two published forms differ: "ae" (pose-ae-train) and "higher"
(HigherHRNet).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.ops.munkres import assign

Array = npt.NDArray[np.floating]
COCO_ORDER = (*range(7), 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
"""Joints from the head and torso outwards, as the published code groups them."""
NO_COLUMN = 1e10
QUARTER, HALF = 0.25, 0.5


@dataclass(frozen=True, slots=True)
class GroupingRules:
    """How candidates become people.

    Attributes:
        form: whose code; decides the tag distance and, in :func:`fill_missing`, two oddities.
        order: joints in the order of grouping; None is COCO's for 17 joints, else as they come.
        most: candidates per joint and people that take part in matching. No cap on people: joints that match nobody
            open new people, also beyond it.
        detection_threshold: a candidate's value must exceed it.
        tag_threshold: a joint belongs to a person whose mean tag is nearer.
        use_value: prefer higher values: the cost is round(distance) * 100 - value instead of the distance.
        ignore_too_much: skip a joint type once ``most`` people exist.
        kernel: side of the window in which a candidate must be the maximum, odd.
    """

    form: Literal["ae", "higher"] = "higher"
    order: tuple[int, ...] | None = None
    most: int = 30
    detection_threshold: float = 0.1
    tag_threshold: float = 1.0
    use_value: bool = True
    ignore_too_much: bool = False
    kernel: int = 5


AE_RULES = GroupingRules(form="ae", ignore_too_much=True, kernel=3)
"""pose-ae-train's own settings."""
HIGHER_RULES = GroupingRules()
"""HigherHRNet's own settings."""


class TopCandidates(NamedTuple):
    """The highest local maxima: values ``(B, K, M)``, xy ``(B, K, M, 2)`` int64 cells, tags ``(B, K, M, T)``."""

    values: Tensor
    xy: Tensor
    tags: Tensor


def top_candidates(heatmaps: Tensor, tag_maps: Tensor, rules: GroupingRules = HIGHER_RULES) -> TopCandidates:
    """Find the candidates of every joint.

    Args:
        heatmaps: ``(B, K, h, w)``.
        tag_maps: ``(B, K, h, w, T)``, or ``(B, 1, h, w, T)`` where all joints share them.
        rules: ``kernel`` and ``most`` count. A plateau keeps all its cells.
    """
    width = heatmaps.shape[3]
    highest = F.max_pool2d(heatmaps, rules.kernel, stride=1, padding=rules.kernel // 2)
    peaks = (heatmaps * (highest == heatmaps)).flatten(2)
    values, places = peaks.topk(min(rules.most, peaks.shape[2]), dim=2)
    flat = tag_maps.expand(-1, heatmaps.shape[1], -1, -1, -1).flatten(2, 3)
    tags = flat.gather(2, places[..., None].expand(*places.shape, flat.shape[3]))
    return TopCandidates(values, torch.stack((places % width, places // width), dim=3), tags)


def match_by_tag(values: Array, xy: npt.NDArray[np.integer], tags: Array, rules: GroupingRules = HIGHER_RULES) -> Array:
    """Join the candidates of one picture to people, joint by joint.

    A person is known by the first tag component that opened it, as in the published code: candidates with equal
    first components fall together, the later one replacing the joint.

    Args:
        values: ``(K, M)`` float32; xy: ``(K, M, 2)`` cells; tags: ``(K, M, T)`` float32.
        rules: thresholds, order and cost.

    Returns:
        ``(P, K, 3 + T)`` float32 in the order of opening.
    """
    joints, dimensions = len(values), tags.shape[2]
    people = _People(joints, 3 + dimensions)
    order = rules.order or (COCO_ORDER if joints == len(COCO_ORDER) else range(joints))
    rows = np.concatenate((xy, values[:, :, None], tags), axis=2, dtype=np.float64)
    for joint in order:
        chosen = rows[joint, :, 2] > rules.detection_threshold
        found, found_tags = rows[joint, chosen], tags[joint, chosen]
        if not len(found):
            continue
        if not people.rows:
            for row, tag in zip(found, found_tags, strict=True):
                people.open(joint, row, tag)
            continue
        means = people.mean_tags(rules.most)
        if rules.ignore_too_much and len(means) == rules.most:
            continue
        _join(people, joint, found, found_tags, means, rules)
    return people.stacked()


def _join(
    people: _People, joint: int, found: Array, tags: Array, means: dict[float, Array], rules: GroupingRules
) -> None:
    squared = np.square(found[:, None, 3:] - np.array(list(means.values()))[None])
    distance = np.sqrt(squared.mean(axis=2) if rules.form == "ae" else squared.sum(axis=2))
    cost = np.round(distance) * 100 - found[:, 2:3] if rules.use_value else distance
    rows, columns = cost.shape
    if rows > columns:
        cost = np.concatenate((cost, np.full((rows, rows - columns), NO_COLUMN)), axis=1)
    keys = list(means)
    for row, column in assign(cost):
        if column < columns and distance[row, column] < rules.tag_threshold:
            people.extend(keys[column], joint, found[row], tags[row])
        else:
            people.open(joint, found[row], tags[row])


class _People:
    """People by the tag that opened them, with the tags of their joints."""

    def __init__(self, joints: int, width: int) -> None:
        self.shape = (joints, width)
        self.rows: dict[float, Array] = {}
        self.tags: dict[float, list[Array]] = {}

    def open(self, joint: int, row: Array, tag: Array) -> None:
        key = float(tag[0])
        if key not in self.rows:
            self.rows[key] = np.zeros(self.shape)
        self.rows[key][joint] = row
        self.tags[key] = [tag]

    def extend(self, key: float, joint: int, row: Array, tag: Array) -> None:
        self.rows[key][joint] = row
        self.tags[key].append(tag)

    def mean_tags(self, most: int) -> dict[float, Array]:
        """Mean tag of the first ``most`` people, in float32 as the published code adds them."""
        keys = list(self.rows)[:most]
        return {key: np.add.reduce(np.array(self.tags[key]), axis=0) / len(self.tags[key]) for key in keys}

    def stacked(self) -> Array:
        if not self.rows:
            return np.zeros((0, *self.shape), dtype=np.float32)
        return np.array(list(self.rows.values())).astype(np.float32)


def adjust(people: Tensor, heatmaps: Tensor) -> Tensor:
    """Move found joints a quarter cell towards the higher neighbour (down or left of equal ones) and to cell centres.

    Args:
        people: ``(P, K, 3 + T)`` with whole cells; heatmaps: ``(K, h, w)`` of the picture.

    Returns:
        a new ``(P, K, 3 + T)``.
    """
    height, width = heatmaps.shape[1:]
    joints = torch.arange(len(heatmaps), device=people.device).expand(people.shape[:2])
    shift = _quarter(heatmaps, joints, people[..., :2].long(), low_row=height - 1, low_column=width - 1)
    found = people[..., 2:3] > 0
    return torch.cat((torch.where(found, people[..., :2] + shift + HALF, people[..., :2]), people[..., 2:]), dim=2)


def person_scores(people: Tensor) -> Tensor:
    """Mean value over all K joints, ``(P,)``; missing ones count as 0. Taken before :func:`fill_missing`."""
    return people[..., 2].mean(dim=1)


def fill_missing(
    people: Tensor, heatmaps: Tensor, tag_maps: Tensor, *, form: Literal["ae", "higher"] = "higher"
) -> Tensor:
    """Give every person the joints it has not, where the heatmap minus the rounded tag distance is highest.

    In "ae" a filled joint's value is 1, and the two neighbours that its quarter step compares are clamped to row
    K - 1 and column h - 1, as published; in "higher" the value is the heatmap's and the borders are the map's.

    Args:
        people: ``(P, K, 3 + T)`` after :func:`adjust`; heatmaps: ``(K, h, w)``.
        tag_maps: ``(K, h, w, T)``, or ``(1, h, w, T)`` where all joints share them.
        form: whose code.

    Returns:
        a new ``(P, K, 3 + T)``; only joints of value 0 are changed, and only where the heatmap is positive.
    """
    count, (height, width) = len(heatmaps), heatmaps.shape[1:]
    maps = tag_maps.expand(count, -1, -1, -1)
    found = people[..., 2] > 0
    cells = people[..., :2].long()
    own = maps[torch.arange(count, device=people.device), cells[..., 1], cells[..., 0]]
    means = (own * found[..., None]).sum(dim=1) / found.sum(dim=1, keepdim=True)
    filled = people.clone()
    rows = count if form == "ae" else height
    for joint in range(count):
        missing = (people[:, joint, 2] == 0).nonzero()[:, 0]
        if not len(missing):
            continue
        away = _tag_distance(maps[joint].flatten(0, 1), means[missing])
        place = _first_maximum(heatmaps[joint].flatten() - away.round_())
        xy = torch.stack((place % width, place // width), dim=1)
        value = heatmaps[joint].flatten()[place]
        shift = _quarter(
            heatmaps,
            torch.full_like(place, joint),
            xy,
            low_row=rows - 1,
            low_column=(height if form == "ae" else width) - 1,
        )
        joints = torch.cat((xy + HALF + shift, (torch.ones_like(value) if form == "ae" else value)[:, None]), dim=1)
        kept = value > 0
        filled[missing[kept], joint, :3] = joints[kept]
    return filled


def group_people(
    heatmaps: Tensor, tag_maps: Tensor, rules: GroupingRules = HIGHER_RULES, *, fill: bool = True
) -> tuple[Tensor, Tensor]:
    """All steps for one picture.

    Args:
        heatmaps: ``(K, h, w)``; tag_maps: ``(K, h, w, T)`` or ``(1, h, w, T)``.
        rules: of grouping.
        fill: also look for the joints that a person has not.

    Returns:
        people ``(P, K, 3 + T)`` float32 in cells and their scores ``(P,)``.
    """
    top = top_candidates(heatmaps[None], tag_maps[None], rules)
    matched = match_by_tag(top.values[0].cpu().numpy(), top.xy[0].cpu().numpy(), top.tags[0].cpu().numpy(), rules)
    people = adjust(torch.from_numpy(matched).to(heatmaps.device), heatmaps)
    scores = person_scores(people)
    return (fill_missing(people, heatmaps, tag_maps, form=rules.form) if fill else people), scores


def _quarter(heatmaps: Tensor, joints: Tensor, xy: Tensor, *, low_row: int, low_column: int) -> Tensor:
    """+-0.25 per axis towards the higher neighbour, minus for equal ones; neighbours are clamped to the map."""
    height, width = heatmaps.shape[1:]
    x, y = xy[..., 0].clamp(0, width - 1), xy[..., 1].clamp(0, height - 1)
    right = heatmaps[joints, y, (x + 1).clamp(max=low_column).clamp(max=width - 1)]
    left = heatmaps[joints, y, (x - 1).clamp(min=0)]
    down = heatmaps[joints, (y + 1).clamp(max=low_row).clamp(max=height - 1), x]
    up = heatmaps[joints, (y - 1).clamp(min=0), x]
    higher = torch.stack((right > left, down > up), dim=-1)
    return torch.where(higher, QUARTER, -QUARTER)


def _tag_distance(tags: Tensor, means: Tensor) -> Tensor:
    """Distances ``(m, N)`` of tags ``(N, T)`` to means ``(m, T)``, added dimension by dimension, which is faster."""
    total = torch.zeros(len(means), len(tags), device=tags.device, dtype=tags.dtype)
    for own, mean in zip(tags.t().contiguous(), means.t(), strict=True):
        total += (own - mean[:, None]).square_()
    return total.sqrt_()


def _first_maximum(rows: Tensor) -> Tensor:
    # Which of equal values max() returns is promised by nobody; the first is wanted.
    value, place = rows.max(dim=1)
    equal = (rows == value[:, None]).sum(dim=1) > 1
    if equal.any():
        places = torch.arange(rows.shape[1], device=rows.device)
        first = torch.where(rows[equal] == value[equal, None], places, rows.shape[1]).amin(dim=1)
        place[equal] = first
    return place
