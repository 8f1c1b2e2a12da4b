"""MMPose's associative embedding: people to heatmaps and tag places, maps and tags back to people.

Symbols: B pictures, P people, K joints, (W, H) network input pixels, (w, h) heatmap cells, T tag dimensions.
Facts: reference/hrnet_ae_mmpose.md sections 7, 8, 13 and 17. The older codes' forms are
:mod:`poseviewer.ops.targets_ae` and :mod:`poseviewer.ops.grouping`; the loss is
:func:`poseviewer.ops.targets_ae.push_pull_mmpose`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseviewer.core.values import REFINED, GroupingRules
from poseviewer.ops import refinement
from poseviewer.ops.flip_mmpose import aggregate
from poseviewer.ops.grouping import Matched, joint_order, top_candidates, trace_by_tag
from poseviewer.ops.tag_search import TagSearch

SEEN_FROM = 0.5
DISTANCE_WEIGHT = 100.0
NATURAL_SIGMA = 64.0
"""Sigma is sqrt(w h) / 64 unless it is given."""


class GroupTargets(NamedTuple):
    """Maps ``(K, h, w)``; places ``(P, K, 2)`` int64, y w + x and whether a tag is read there; weights ``(P, K)``."""

    maps: Tensor
    places: Tensor
    weights: Tensor


class GroupedPeople(NamedTuple):
    """The people of one picture.

    Attributes:
        joints: ``(P, K, 2)`` input pixels.
        scores: ``(P, K)`` heatmap values; of UDP's filled joints logarithms, see :class:`AeCodec`.
        person_scores: ``(P,)`` mean over K of the grouped joints' values, missing ones 0.
        tags: ``(P, K, T)`` of the joints; person_tags: ``(P, T)`` mean of the grouped joints' tags.
        how: ``(P, K)`` uint8, STARTED, BY_TAG or REFINED of :mod:`poseviewer.core.values`.
        distance: ``(P, K)`` float32, tag distance to the person's mean when the joint joined; NaN where it did not
            join by its tag.
    """

    joints: Tensor
    scores: Tensor
    person_scores: Tensor
    tags: Tensor
    person_tags: Tensor
    how: npt.NDArray[np.uint8]
    distance: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AeCodec:
    """Heatmaps of all people and one tag per joint, grouped by tag.

    A lone joint inside the map comes back within half a cell per axis where 3 ``sigma`` are whole cells and it is as
    far from the upper and left border. As published, with ``udp`` the joints that
    grouping did not find are looked for in the logarithms of the blurred heatmaps, so that their scores are negative,
    and NaN where a map is zero everywhere.

    Attributes:
        input_wh: (W, H); heatmap_wh: (w, h).
        sigma: in cells; None is sqrt(w h) / 64.
        udp: unbiased data processing for drawing, refining and scaling.
        order: of joints in grouping; None is COCO's for 17 joints, else as they come.
        most: candidates per joint.
        most_people: how many are kept, the first opened first; None for all.
        threshold: a candidate's value must exceed it.
        tag_threshold: a joint belongs to a person whose mean tag is nearer.
        window: side of the square in which a candidate must be the maximum, odd.
        shift: added to found joints in cells.
        blur: kernel side of UDP's refinement, odd.
    """

    input_wh: tuple[int, int]
    heatmap_wh: tuple[int, int]
    sigma: float | None = None
    udp: bool = False
    order: tuple[int, ...] | None = None
    most: int = 30
    most_people: int | None = None
    threshold: float = 0.1
    tag_threshold: float = 1.0
    window: int = 5
    shift: float = 0.0
    blur: int = 3

    def grouping_order(self, joints: int) -> tuple[int, ...]:
        """Joints in the order in which they are grouped."""
        return joint_order(self._rules(), joints)

    @property
    def spread(self) -> float:
        """Sigma in cells."""
        return math.sqrt(math.prod(self.heatmap_wh)) / NATURAL_SIGMA if self.sigma is None else self.sigma

    def encode(self, joints: Tensor, visible: Tensor) -> GroupTargets:
        """Draw the people of one picture: joints ``(P, K, 2)`` in input pixels, visibility ``(P, K)``."""
        cells = joints.double() / self._factors(joints)
        nearest = (cells + 0.5).trunc()
        size = torch.tensor(self.heatmap_wh, device=joints.device)
        reach = 3 * self.spread
        first, end = (nearest - reach).trunc(), (nearest + reach + 1).trunc()
        seen = visible >= SEEN_FROM
        missed = ((first >= size) | (end < 0)).any(dim=2)
        drawn = seen & ~missed
        sides = [self._curve(axis, first, end, (cells - nearest) if self.udp else None) for axis in (0, 1)]
        maps = sides[1][..., :, None] * sides[0][..., None, :] * drawn[..., None, None]
        inside = ((nearest >= 0) & (nearest < size)).all(dim=2)
        places = (nearest[..., 1] * self.heatmap_wh[0] + nearest[..., 0]).long()
        merged = maps.amax(dim=0) if len(maps) else maps.new_zeros(maps.shape[1:])
        weights = torch.where(seen & missed, 0.0, visible.float())
        return GroupTargets(merged.float(), torch.stack((places, (seen & inside).long()), dim=2), weights)

    def decode(self, maps: Tensor, tag_maps: Tensor) -> list[GroupedPeople]:
        """Group maps ``(B, K, h, w)`` with tags ``(B, T K, h, w)``, all joints of one dimension after the other."""
        count, joints = len(maps), maps.shape[1]
        tags = tag_maps.reshape(count, -1, joints, *maps.shape[2:]).permute(0, 2, 3, 4, 1)
        rules = self._rules()
        top = top_candidates(maps, tags, rules)
        matching = self.matching_rules()
        found = []
        for picture in range(count):
            values, xy, of_candidates = (part[picture].cpu().numpy() for part in top)
            people, how, distance = trace_by_tag(values, xy, of_candidates, matching)
            kept = slice(self.most_people)
            matched = Matched(people[kept], how[kept], distance[kept])
            found.append(self._people(matched, maps[picture], tags[picture]))
        return found

    def matching_rules(self) -> GroupingRules:
        """The rules of matching: who may join is not limited in number, unlike in the older codes."""
        return replace(self._rules(), most=sys.maxsize)

    def _rules(self) -> GroupingRules:
        return GroupingRules(
            order=self.order,
            most=self.most,
            detection_threshold=self.threshold,
            tag_threshold=self.tag_threshold,
            kernel=self.window,
        )

    def _people(self, matched: Matched, maps: Tensor, tags: Tensor) -> GroupedPeople:
        rows = torch.from_numpy(matched.people).to(maps.device)
        cells, scores = rows[..., :2], rows[..., 2]
        found = scores > 0
        if self.udp:
            soft = refinement.blur_to_peak(maps[None], self.blur)[0]
            maps = refinement.to_logarithms(soft.clamp_(*refinement.UDP_RANGE))
            cells = cells - refinement.udp_step(maps[None], cells)
        else:
            cells = refinement.quarter_per_axis(maps.expand(len(rows), *maps.shape), cells)
        cells = cells + self.shift * found[..., None]
        # As published, what is missing is looked for by the tags at the refined places, maybe the next cell's.
        means = _mean(_tags_at(tags, cells), found)
        cells, filled = _filled(cells, scores, means, maps, tags)
        return GroupedPeople(
            (cells * self._factors(cells)).float(),
            filled,
            scores.mean(dim=1),
            torch.where(found[..., None], rows[..., 3:], _tags_at(tags, cells)),
            _mean(rows[..., 3:], found),
            np.where(found.cpu().numpy(), matched.how, np.uint8(REFINED)),
            matched.distance,
        )

    def _factors(self, like: Tensor) -> Tensor:
        """Input pixels per cell, rounded to float32 as the published codec keeps them."""
        less = 1 if self.udp else 0
        pairs = zip(self.input_wh, self.heatmap_wh, strict=True)
        return torch.tensor([(a - less) / (b - less) for a, b in pairs], device=like.device).double()

    def _curve(self, axis: int, first: Tensor, end: Tensor, off: Tensor | None) -> Tensor:
        """One axis of the Gaussians, ``(P, K, cells)``.

        The window's corners are truncated, so that for a sigma of no whole cells, and at the near border, the blob
        lies a part of a cell beside the joint, as published.
        """
        grid = torch.arange(self.heatmap_wh[axis], device=first.device, dtype=torch.float64)
        start, stop = first[..., axis : axis + 1], end[..., axis : axis + 1]
        side = 6 * self.spread + 1
        place = grid - start
        middle = side // 2 + (0 if off is None else off[..., axis : axis + 1])
        inside = (place >= 0) & (grid < stop) & (place < math.ceil(side))
        return torch.exp(-((place - middle) ** 2) / (2 * self.spread**2)) * inside


def published(input_wh: tuple[int, int], heatmap_wh: tuple[int, int]) -> AeCodec:
    """MMPose's settings for its bottom-up HRNet (section 17)."""
    return AeCodec(input_wh, heatmap_wh, most=30, most_people=30, window=5, shift=0.5)


def join_passes(
    plain: Tensor, mirrored: Tensor | None, flip: Sequence[int], size_wh: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """What :meth:`AeCodec.decode` takes, from a network's outputs for pictures and for the mirrored ones.

    Heatmaps are averaged, tags stand beside one another as two dimensions; no shift.

    Args:
        plain: ``(B, 2 K, h, w)``, heatmaps, then tags; mirrored: the same of mirrored pictures, None without flip test.
        flip: K indices; flip[k] is the joint that k becomes in a mirrored picture.
        size_wh: all maps are brought to this size bilinearly (the input's, where MMPose restores it).

    Returns:
        maps ``(B, K, h, w)`` and tags ``(B, K or 2 K, h, w)``.
    """
    count, order = len(flip), list(flip)
    outputs = aggregate([plain] if mirrored is None else [plain, mirrored.flip(3)], size_wh or _size_wh(plain))
    maps, tags = outputs[0][:, :count], outputs[0][:, count:]
    if mirrored is None:
        return maps, tags
    maps = (maps + outputs[1][:, :count][:, order]) / 2
    return maps, torch.cat((tags, outputs[1][:, count:][:, order]), dim=1)


def _size_wh(maps: Tensor) -> tuple[int, int]:
    return maps.shape[3], maps.shape[2]


def _tags_at(tags: Tensor, cells: Tensor) -> Tensor:
    """Tags ``(P, K, T)`` of maps ``(K, h, w, T)`` at cells ``(P, K, 2)``, those outside drawn in."""
    joints = torch.arange(len(tags), device=tags.device)
    x, y = cells[..., 0].long().clamp(0, tags.shape[2] - 1), cells[..., 1].long().clamp(0, tags.shape[1] - 1)
    at: Tensor = tags[joints, y, x]
    return at


def _mean(tags: Tensor, found: Tensor) -> Tensor:
    """Mean ``(P, T)`` of the tags ``(P, K, T)`` of found joints ``(P, K)``."""
    mean: Tensor = (tags * found[..., None]).sum(dim=1) / found.sum(dim=1, keepdim=True)
    return mean


def _filled(cells: Tensor, scores: Tensor, means: Tensor, maps: Tensor, tags: Tensor) -> tuple[Tensor, Tensor]:
    """Give every person the joints it has not, where 100 rounded tag distances minus the heatmap are least.

    Args:
        cells: ``(P, K, 2)``; scores: ``(P, K)``, 0 where missing; means: ``(P, T)`` tags.
        maps: ``(K, h, w)``; tags: ``(K, h, w, T)``.
    """
    cells, scores = cells.clone(), scores.clone()
    person, joint = (scores <= 0).nonzero(as_tuple=True)
    if not len(person):
        return cells, scores
    known = maps if maps.sum().isfinite() else maps.nan_to_num()
    place = TagSearch(known, tags, weight=DISTANCE_WEIGHT).best(joint, means[person])
    # A map that is NaN is so everywhere, and its first cell is taken.
    place = torch.where(maps[joint, 0, 0].isnan(), 0, place)
    y, x = place // maps.shape[2], place % maps.shape[2]
    cells[person, joint] = torch.stack((x, y), dim=1).to(cells.dtype)
    scores[person, joint] = maps[joint, y, x]
    return cells, scores
