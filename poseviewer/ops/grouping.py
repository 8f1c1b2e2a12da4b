"""Associative embedding: from heatmaps and tag maps to people.

Symbols: B pictures, K joints, (h, w) cells, T tag dimensions, M candidates per joint, P people. A person is a
``(K, 3 + T)`` row of x, y, value and tag for every joint, zeros where it has none.
Facts: reference/hrnet_ae_mmpose.md section 13. Two published forms differ: "ae" (pose-ae-train) and "higher"
(HigherHRNet).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.core.values import BY_TAG, NO_JOINT, STARTED, GroupingRules
from poseviewer.ops.munkres import assign
from poseviewer.ops.tag_search import TagSearch

Array = npt.NDArray[np.floating]
COCO_ORDER = (*range(7), 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
"""Joints from the head and torso outwards, as the published code groups them."""
NO_COLUMN = 1e10
QUARTER, HALF = 0.25, 0.5


AE_RULES = GroupingRules(form="ae", ignore_too_much=True, kernel=3)
"""pose-ae-train's own settings."""
HIGHER_RULES = GroupingRules()
"""HigherHRNet's own settings."""


class TopCandidates(NamedTuple):
    """The highest local maxima: values ``(B, K, M)``, xy ``(B, K, M, 2)`` int64 cells, tags ``(B, K, M, T)``."""

    values: Tensor
    xy: Tensor
    tags: Tensor


class Matched(NamedTuple):
    """People of one picture and how they came about: ``people`` ``(P, K, 3 + T)`` float32 in the order of opening;
    ``how`` ``(P, K)`` uint8 of NO_JOINT, STARTED, BY_TAG; ``distance`` ``(P, K)`` float32, tag distance to the
    person's mean when the joint joined, NaN where it did not join by its tag."""

    people: Array
    how: npt.NDArray[np.uint8]
    distance: npt.NDArray[np.float32]


def top_candidates(heatmaps: Tensor, tag_maps: Tensor, rules: GroupingRules = HIGHER_RULES) -> TopCandidates:
    """Find the candidates of every joint.

    Args:
        heatmaps: ``(B, K, h, w)``.
        tag_maps: ``(B, K, h, w, T)``, or ``(B, 1, h, w, T)`` where all joints share them.
        rules: ``kernel`` and ``most`` count. A plateau keeps all its cells.
    """
    width = heatmaps.shape[3]
    peaks = _window_peaks(heatmaps, rules.kernel).flatten(2)
    values, places = peaks.topk(min(rules.most, peaks.shape[2]), dim=2)
    flat = tag_maps.expand(-1, heatmaps.shape[1], -1, -1, -1).flatten(2, 3)
    tags = flat.gather(2, places[..., None].expand(*places.shape, flat.shape[3]))
    return TopCandidates(values, torch.stack((places % width, places // width), dim=3), tags)


def _window_peaks(maps: Tensor, kernel: int) -> Tensor:
    """The maps ``(B, K, h, w)`` where they are the maximum around themselves, 0 elsewhere.

    On the processor one plane after the other, so that it stays in the cache, with OpenCV's maximum; maps that are not
    finite go the other way, as OpenCV would skip a NaN.
    """
    if maps.device.type != "cpu" or maps.dtype not in (torch.float32, torch.float64) or not maps.sum().isfinite():
        return maps * (F.max_pool2d(maps, kernel, stride=1, padding=kernel // 2) == maps)
    import cv2

    window = np.ones((kernel, kernel), dtype=np.uint8)
    peaks = torch.empty_like(maps, memory_format=torch.contiguous_format)
    same = np.empty(maps.shape[2:], dtype=bool)
    planes = maps.detach().contiguous().flatten(0, 1).numpy()
    for plane, peak in zip(planes, peaks.flatten(0, 1).numpy(), strict=True):
        cv2.dilate(plane, window, dst=peak)
        np.equal(plane, peak, out=same)
        np.multiply(plane, same, out=peak)
    return peaks


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
    return trace_by_tag(values, xy, tags, rules).people


def trace_by_tag(
    values: Array, xy: npt.NDArray[np.integer], tags: Array, rules: GroupingRules = HIGHER_RULES
) -> Matched:
    """:func:`match_by_tag` with the reasons."""
    joints, dimensions = len(values), tags.shape[2]
    people = _People(joints, dimensions, min(rules.most, tags.shape[0] * tags.shape[1]))
    rows = np.concatenate((xy, values[:, :, None], tags), axis=2, dtype=np.float64)
    for joint in joint_order(rules, joints):
        chosen = rows[joint, :, 2] > rules.detection_threshold
        found, found_tags = rows[joint, chosen], tags[joint, chosen]
        if not len(found):
            continue
        if not people.rows:
            for row, tag in zip(found, found_tags, strict=True):
                people.open(joint, row, tag)
            continue
        if rules.ignore_too_much and len(people.rows) >= rules.most:
            continue
        _join(people, joint, found, found_tags, rules)
    return people.stacked()


def joint_order(rules: GroupingRules, joints: int) -> tuple[int, ...]:
    """Return the joints in the order in which they are grouped."""
    return rules.order or (COCO_ORDER if joints == len(COCO_ORDER) else tuple(range(joints)))


def _join(people: _People, joint: int, found: Array, tags: Array, rules: GroupingRules) -> None:
    squared = np.square(found[:, None, 3:] - people.mean_tags()[None])
    distance = np.sqrt(squared.mean(axis=2) if rules.form == "ae" else squared.sum(axis=2))
    cost = np.round(distance) * 100 - found[:, 2:3] if rules.use_value else distance
    rows, columns = cost.shape
    if rows > columns:
        cost = np.concatenate((cost, np.full((rows, rows - columns), NO_COLUMN)), axis=1)
    keys = list(people.rows)
    for row, column in assign(cost):
        if column < columns and distance[row, column] < rules.tag_threshold:
            people.extend(keys[column], joint, found[row], tags[row], distance[row, column])
        else:
            people.open(joint, found[row], tags[row])


class _People:
    """People by the tag that opened them, with the tags of their joints.

    Args:
        joints, dimensions: K and T.
        most: people that take part in matching, the first ones; of the others no tags are kept.
    """

    def __init__(self, joints: int, dimensions: int, most: int) -> None:
        self.shape = (joints, 3 + dimensions)
        self.rows: dict[float, Array] = {}
        self.how: dict[float, npt.NDArray[np.uint8]] = {}
        self.distance: dict[float, npt.NDArray[np.float32]] = {}
        self._places: dict[float, int] = {}
        self._tags = np.zeros((most, joints, dimensions), dtype=np.float32)
        self._counts = np.zeros(most, dtype=np.int64)

    def open(self, joint: int, row: Array, tag: Array) -> None:
        key = float(tag[0])
        if key not in self.rows:
            self.rows[key] = np.zeros(self.shape)
            self.how[key] = np.full(self.shape[0], NO_JOINT, dtype=np.uint8)
            self.distance[key] = np.full(self.shape[0], np.nan, dtype=np.float32)
            self._places[key] = len(self._places)
        self.rows[key][joint] = row
        place = self._places[key]
        if place < len(self._tags):
            self._tags[place, 0], self._counts[place] = tag, 1
        self.how[key][joint], self.distance[key][joint] = STARTED, np.nan

    def extend(self, key: float, joint: int, row: Array, tag: Array, distance: float) -> None:
        self.rows[key][joint] = row
        place = self._places[key]
        self._tags[place, self._counts[place]] = tag
        self._counts[place] += 1
        self.how[key][joint], self.distance[key][joint] = BY_TAG, distance

    def mean_tags(self) -> Array:
        """Mean tags ``(n, T)`` of those that take part."""
        return _means_of_first(self._tags, self._counts[: len(self.rows)])

    def stacked(self) -> Matched:
        joints = self.shape[0]
        return Matched(
            np.array(list(self.rows.values())).reshape(-1, *self.shape).astype(np.float32),
            np.array(list(self.how.values()), dtype=np.uint8).reshape(-1, joints),
            np.array(list(self.distance.values()), dtype=np.float32).reshape(-1, joints),
        )


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
    means = mean_tags(people, maps)
    filled = people.clone()
    person, joint = (people[..., 2] == 0).nonzero(as_tuple=True)
    if not len(person):
        return filled
    place = TagSearch(heatmaps, maps).best(joint, means[person])
    xy = torch.stack((place % width, place // width), dim=1)
    value = heatmaps[joint, xy[:, 1], xy[:, 0]]
    low_row = (count if form == "ae" else height) - 1
    shift = _quarter(heatmaps, joint, xy, low_row=low_row, low_column=(height if form == "ae" else width) - 1)
    joints = torch.cat((xy + HALF + shift, (torch.ones_like(value) if form == "ae" else value)[:, None]), dim=1)
    kept = value > 0
    filled[person[kept], joint[kept], :3] = joints[kept]
    return filled


def mean_tags(people: Tensor, tag_maps: Tensor) -> Tensor:
    """Mean tag ``(P, T)`` of the joints that people ``(P, K, 3 + T)`` have, read from maps ``(K, h, w, T)``."""
    found = people[..., 2] > 0
    cells = people[..., :2].long()
    own: Tensor = tag_maps[torch.arange(len(tag_maps), device=people.device), cells[..., 1], cells[..., 0]]
    if own.device.type == "cpu":
        there = found.numpy()
        packed = np.take_along_axis(own.numpy(), np.argsort(~there, axis=1, kind="stable")[..., None], axis=1)
        return torch.from_numpy(_means_of_first(packed, there.sum(axis=1)))
    means: Tensor = (own * found[..., None]).sum(dim=1) / found.sum(dim=1, keepdim=True)
    return means


def _means_of_first(tags: Array, counts: npt.NDArray[np.integer]) -> Array:
    """Means ``(n, T)`` over the first ``counts`` ``(n,)`` of tags ``(n or more, K, T)``, NaN of none.

    In float32 and added in the order of the published code, as a tag distance of just a half is rounded after that.
    """
    means = np.full((len(counts), tags.shape[2]), np.nan, dtype=np.float32)
    # People of as many joints together: adding zeros for those that lack some could round differently.
    for count in np.unique(counts[counts > 0]).tolist():
        of = np.flatnonzero(counts == count)
        means[of] = np.add.reduce(tags[of, :count], axis=1) / count
    return means


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
