"""The bottom-up pipeline: one network sees the whole picture, and its tags say which joints belong together.

Input sizes, scales, the flip test and the way back to the picture are those of the code that the network was published
with (:mod:`poseviewer.ops.higher`, :mod:`poseviewer.ops.multiscale_ae`). Maps stay on the device; per picture only the
best candidates of each joint come to the host, where they are assigned to people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseviewer.core.errors import WeightsError
from poseviewer.core.progress import Note
from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import NO_JOINT, REFINED, Array, Candidates, Grouping, GroupingPeaks, GroupingRules
from poseviewer.ops import codec_ae_mmpose, grouping, higher, multiscale_ae, warp_mmpose
from poseviewer.ops.crops import FrameSampler
from poseviewer.pipeline.batches import Clock
from poseviewer.pipeline.config import PipelineConfig, applied_flip
from poseviewer.pipeline.devices import autocast
from poseviewer.pipeline.networks import Networks
from poseviewer.pipeline.whole import Seen, WholePicture, picture_evidence

CROWDPOSE = 14
"""Joint count for which the published code groups in the first entries of COCO's order."""


@dataclass(frozen=True, slots=True)
class Maps:
    """What the network says about pictures, over all scales and mirror images.

    Attributes:
        heat: ``(K, h, w)``, one for each picture; None where the network's answer had to be left out.
        tags: ``(K, h, w, T)``, likewise.
        to_frame: ``(2, 3)`` float64, cells counted from their corners -> frame pixels, one for each picture.
        fed: ``(B, 3, H, W)`` 0..255, the pictures as they were fed at the scale nearest to 1.
        fed_to_frame: ``(2, 3)`` float64, pixels of ``fed`` -> frame pixels.
        shown: heatmaps, tags and their ``to_frame`` at the network's own resolution where the others are enlarged:
            what is kept as evidence. None where they are the same, or no evidence was asked for.
    """

    heat: list[Tensor | None]
    tags: list[Tensor | None]
    to_frame: list[Tensor]
    fed: Tensor
    fed_to_frame: Tensor
    shown: tuple[Tensor, Tensor, Tensor] | None = None


class BottomUp(WholePicture):
    """Finds joints, then people; see :class:`WholePicture`."""

    def __init__(
        self, networks: Networks, config: PipelineConfig, on_note: Callable[[Note], None] | None = None
    ) -> None:
        super().__init__(networks, config, on_note)
        spec = networks.spec
        self.decode = spec.decode
        self.rules = rules_of(spec.decode, networks.joints)
        if config.grouping_limit is not None:
            self.rules = replace(self.rules, tag_threshold=config.grouping_limit)
        self.side = config.input_size or min(spec.input_wh)
        kit = skeleton(networks.skeleton) if networks.skeleton else None
        self._mirror = kit.flip if kit is not None else None
        self._flip = applied_flip(config) and self._mirror is not None

    def look(self, pixels: Tensor, clock: Clock, *, keep_evidence: bool) -> list[Seen]:
        """Return the people of each picture, in the order in which they were opened.

        Raises:
            WeightsError: the network's answer is not finite.
        """
        ways = {"newell": self._square_maps, "mmpose_ae": self._padded_maps}
        maps = ways.get(self.decode, self._maps)(pixels, clock, keep_evidence=keep_evidence)
        seen = []
        for index, (heat, tags, to_frame) in enumerate(zip(maps.heat, maps.tags, maps.to_frame, strict=True)):
            if heat is None or tags is None:
                heat = torch.zeros(self.networks.joints, 1, 1, device=pixels.device)
                tags = heat[..., None]
            _check_finite(heat, tags)
            one = self._people(heat, tags, to_frame, keep_evidence=keep_evidence)
            clock.mark("decode")
            if keep_evidence and one.grouping is not None:
                if maps.shown is not None:
                    heat, tags, to_frame = maps.shown[0][index], maps.shown[1][index], maps.shown[2]
                matrix = centred(to_frame)
                crop = picture_evidence(maps.fed[index], _matrix(maps.fed_to_frame), _host(heat), matrix)
                own = _host(tags.expand(len(heat), -1, -1, -1))
                one = replace(one, crop=crop, grouping=replace(one.grouping, tags=own, map_to_frame=matrix))
                clock.mark("evidence")
            seen.append(one)
        return seen

    # --- maps ---

    def _outputs(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the network; its stages as ``(B, C, h, w)`` float32."""
        networks = self.networks
        with autocast(networks.device, networks.precision):
            answer = networks.estimator.module(inputs)
        stages = tuple(answer) if isinstance(answer, list | tuple) else (answer,)
        # Newell's network answers with all its stacks in one tensor, and the last one counts.
        return tuple((stage[:, -1] if stage.ndim == 5 else stage).float() for stage in stages)

    def _maps(self, pixels: Tensor, clock: Clock, *, keep_evidence: bool) -> Maps:
        """HigherHRNet's way: inputs of the picture's aspect, all stages at the last one's size."""
        size_wh = (pixels.shape[3], pixels.shape[2])
        scales = sorted(self.config.scales, reverse=True)
        sampler = FrameSampler(pixels, smooth=self.config.smooth)
        base = higher.scaled_input(size_wh, self.side, 1.0, scales[-1]).size_wh
        total = higher.Scales(scales, project_wh=base)
        small: higher.Scales | None = None
        shown = min(scales, key=lambda scale: abs(scale - 1))
        kept = (pixels, torch.eye(2, 3))
        for scale in scales:
            window = higher.scaled_input(size_wh, self.side, scale, scales[-1])
            matrix = window.matrix(window.size_wh)
            fed, inputs = self._feed(sampler, matrix, window.size_wh, len(pixels))
            clock.mark("crops")
            stages = self._stages(plain := self._outputs(inputs))
            passes = [stages.read(plain)]
            if self._flip:
                passes.append(stages.read(self._outputs(inputs.flip(3)), mirrored=True))
            if keep_evidence:
                # The largest scale comes first; its maps shrink to the size that scale 1's have.
                side = passes[0][0].shape[3] / window.size_wh[0]
                small = small or higher.Scales(scales, project_wh=(round(base[0] * side), round(base[1] * side)))
                small.add(scale, passes)
            total.add(scale, passes)
            clock.mark("estimator")
            kept = (fed, matrix) if scale == shown else kept
        heat, tags = total.result()
        # As published, the way back is that of the input that went through last.
        to_frame = window.matrix((heat.shape[3], heat.shape[2]))
        own = None
        if small is not None:
            low, of_low = small.result()
            own = low, of_low, window.matrix((low.shape[3], low.shape[2]))
        return Maps(list(heat), list(tags), [to_frame] * len(pixels), *kept, own)

    def _stages(self, outputs: tuple[Tensor, ...]) -> higher.StageRules:
        """How outputs are read: heatmaps in every stage, tags where channels are left."""
        joints = self.networks.joints
        with_tags = tuple(stage.shape[1] > joints for stage in outputs)
        first = outputs[with_tags.index(True)] if any(with_tags) else outputs[0]
        return higher.StageRules(
            joints,
            self._mirror or tuple(range(joints)),
            (True,) * len(outputs),
            with_tags,
            tag_per_joint=first.shape[1] >= 2 * joints,
        )

    def _square_maps(self, pixels: Tensor, clock: Clock, *, keep_evidence: bool) -> Maps:
        """pose-ae-train's way: a square input, sums over scales, tags of the scales near 1."""
        size_wh = (pixels.shape[3], pixels.shape[2])
        joints = self.networks.joints
        sampler = FrameSampler(pixels, smooth=self.config.smooth)
        mirror = self._mirror or tuple(range(joints))
        # The scale that decides the size of the maps, the first, is the largest, as published.
        scales = sorted(self.config.scales, reverse=True)
        sums = [multiscale_ae.ScaleSum(size_wh, mirror, scales, self.side) for _ in pixels]
        shown = min(scales, key=lambda scale: abs(scale - 1))
        kept = (pixels, torch.eye(2, 3))
        for scale in scales:
            side = multiscale_ae.input_side(scale, self.side)
            matrix = torch.linalg.inv(multiscale_ae.picture_matrix(size_wh, scale, self.side))[:2]
            fed, inputs = self._feed(sampler, matrix, (side, side), len(pixels))
            clock.mark("crops")
            plain = self._outputs(inputs)[-1]
            mirrored = self._outputs(inputs.flip(3))[-1] if self._flip else None
            for index, one in enumerate(sums):
                one.add(scale, plain[index], None if mirrored is None else mirrored[index])
            clock.mark("estimator")
            kept = (fed, matrix) if scale == shown else kept
        found = [one.result() if one.tags else (None, None) for one in sums]
        return Maps([heat for heat, _ in found], [tags for _, tags in found], [s.to_picture() for s in sums], *kept)

    def _padded_maps(self, pixels: Tensor, clock: Clock, *, keep_evidence: bool) -> Maps:
        """MMPose's way: the shorter side reaches the input size, maps are brought to the input's size; one scale."""
        picture_wh = (pixels.shape[3], pixels.shape[2])
        window = warp_mmpose.bottom_up_input(picture_wh, (self.side, self.side), mode="expand")
        size_wh = window.padded_wh
        centre, scale = (torch.tensor([part], dtype=torch.float64) for part in (window.centre, window.scale))
        matrix = warp_mmpose.warp_matrix(centre, scale, torch.zeros(1), size_wh, inverse=True)[0]
        fed, inputs = self._feed(FrameSampler(pixels, smooth=self.config.smooth), matrix, size_wh, len(pixels))
        clock.mark("crops")
        plain = self._outputs(inputs)[-1]
        mirrored = self._outputs(inputs.flip(3))[-1] if self._flip else None

        def joined(map_wh: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
            mirror = self._mirror or tuple(range(self.networks.joints))
            heat, tags = codec_ae_mmpose.join_passes(plain, mirrored, mirror, map_wh)
            step = scale[0] / torch.tensor(map_wh)
            to_frame = torch.cat((torch.diag(step), (centre - scale / 2).T), dim=1)
            return heat, tags.reshape(len(heat), -1, *heat.shape[1:]).permute(0, 2, 3, 4, 1), to_frame

        heat, tags, to_frame = joined(size_wh)
        clock.mark("estimator")
        shown = joined((plain.shape[3], plain.shape[2])) if keep_evidence else None
        return Maps(list(heat), list(tags), [to_frame] * len(heat), fed, matrix, shown)

    def _feed(
        self, sampler: FrameSampler, matrix: Tensor, size_wh: tuple[int, int], count: int
    ) -> tuple[Tensor, Tensor]:
        """The pictures in a window, 0..255, and as the network takes them."""
        device = self.networks.device
        index = torch.arange(count, device=device)
        fed = sampler.sample(index, matrix.to(device).expand(count, 2, 3), size_wh)
        return fed, self.networks.normalise(fed)

    # --- people ---

    def _people(self, heat: Tensor, tags: Tensor, to_frame: Tensor, *, keep_evidence: bool) -> Seen:
        """Group one picture; who scores too low to be kept is not completed."""
        group = self._mmpose if self.decode == "mmpose_ae" else self._grouped
        found = group(heat, tags.expand(len(heat), -1, -1, -1))
        table = torch.cat([found.cells, found.values[..., None]], dim=2).cpu().numpy()
        candidates = _candidates(table, _matrix(to_frame), _host(found.scores))
        if not keep_evidence:
            return Seen(candidates)
        missing = table[..., 2:] <= 0
        how = np.where(missing[..., 0], NO_JOINT, found.how).astype(np.uint8)
        return Seen(
            candidates,
            grouping=Grouping(
                tags=_host(tags.expand(len(heat), -1, -1, -1)),
                map_to_frame=centred(to_frame),
                joint_tags=np.where(missing, np.nan, _host(found.tags)).astype(np.float32),
                person_tags=_host(found.means),
                distance=found.distance,
                how=how,
                order=grouping.joint_order(self.rules, len(heat)),
                limit=self.rules.tag_threshold,
                peaks=self._peaks(heat, tags),
            ),
        )

    def _peaks(self, heat: Tensor, tags: Tensor) -> GroupingPeaks:
        """What grouping begins with, on the host."""
        top = grouping.top_candidates(heat[None], tags[None], self.rules)
        values, cells, own = (part[0].cpu().numpy() for part in top)
        rules = self.rules
        if self.decode == "mmpose_ae":
            rules = self._codec((heat.shape[2], heat.shape[1])).matching_rules()
        return GroupingPeaks(values, cells, own, rules)

    def _codec(self, size_wh: tuple[int, int]) -> codec_ae_mmpose.AeCodec:
        codec = codec_ae_mmpose.published(size_wh, size_wh)
        return replace(codec, order=self.rules.order, tag_threshold=self.rules.tag_threshold)

    def _grouped(self, heat: Tensor, tags: Tensor) -> _Grouped:
        """Group as HigherHRNet and pose-ae-train do."""
        top = grouping.top_candidates(heat[None], tags[None], self.rules)
        values, xy, own = (part[0].cpu().numpy() for part in top)
        matched = grouping.trace_by_tag(values, xy, own, self.rules)
        people = grouping.adjust(torch.from_numpy(matched.people).to(heat.device), heat)
        scores = grouping.person_scores(people)
        kept = scores > self.config.confidence
        means = grouping.mean_tags(people, tags)
        if kept.any():
            people[kept] = grouping.fill_missing(people[kept], heat, tags, form=self.rules.form)
        cells = people[..., :2].long()
        joints = torch.arange(len(heat), device=heat.device)
        at = (joints, cells[..., 1], cells[..., 0])
        # A joint that was filled in counts 1 in pose-ae-train's own files; what the network said of it tells more.
        said = torch.where(people[..., 2] > 0, heat[at], 0.0)
        how = np.where(matched.how == NO_JOINT, REFINED, matched.how)
        return _Grouped(people[..., :2], said, tags[at], scores, means, how, matched.distance)

    def _mmpose(self, heat: Tensor, tags: Tensor) -> _Grouped:
        """Group as MMPose does."""
        size_wh = (heat.shape[2], heat.shape[1])
        codec = self._codec(size_wh)
        flat = tags.permute(3, 0, 1, 2).flatten(0, 1)
        found = codec.decode(heat[None], flat[None])[0]
        arrays = (found.joints, found.scores, found.tags, found.person_scores, found.person_tags)
        return _Grouped(*arrays, found.how, found.distance)


@dataclass(frozen=True, slots=True)
class _Grouped:
    """The people of one picture, whoever's code groups them.

    Attributes:
        cells: ``(P, K, 2)`` counted from the cells' corners; values: ``(P, K)`` of the heatmap, 0 where missing.
        tags: ``(P, K, T)``; scores: ``(P,)``; means: ``(P, T)`` tags of the people.
        how, distance: as in :class:`poseviewer.core.values.Grouping`; whether a joint is missing ``values`` tells.
    """

    cells: Tensor
    values: Tensor
    tags: Tensor
    scores: Tensor
    means: Tensor
    how: npt.NDArray[np.uint8]
    distance: npt.NDArray[np.float32]


def rules_of(decode: str, joints: int) -> GroupingRules:
    """Return the published rules of grouping for a network's decoding and joint count."""
    rules = grouping.AE_RULES if decode == "newell" else grouping.HIGHER_RULES
    return replace(rules, order=grouping.COCO_ORDER[:CROWDPOSE]) if joints == CROWDPOSE else rules


def _check_finite(heat: Tensor, tags: Tensor) -> None:
    """Refuse maps by which nobody can be told apart.

    Raises:
        WeightsError: a number is not finite.
    """
    if not (torch.isfinite(heat).all() and torch.isfinite(tags).all()):
        raise WeightsError(
            "The network with tags answered with numbers that are not finite.",
            remedy="Its weights are damaged, or the device's precision does not suffice for them.",
        )


def centred(to_frame: Tensor) -> npt.NDArray[np.float64]:
    """Return ``(2, 3)``: as ``to_frame``, for cells that are counted from their centres."""
    matrix = _matrix(to_frame)
    return np.concatenate([matrix[:, :2], matrix[:, 2:] + matrix[:, :2].sum(axis=1, keepdims=True) / 2], axis=1)


def _candidates(table: Array, to_frame: npt.NDArray[np.float64], scores: Array) -> Candidates:
    """People ``(P, K, 3)`` of cells and values as candidates; a joint that was not found lies amid the others."""
    found = table[..., 2:3] > 0
    xy = table[..., :2].astype(np.float64) @ to_frame[:, :2].T + to_frame[:, 2]
    middle = (xy * found).sum(axis=1, keepdims=True) / np.maximum(found.sum(axis=1, keepdims=True), 1)
    places = np.where(found, xy, middle)
    boxes = np.concatenate([places.min(axis=1), places.max(axis=1)], axis=1)
    return Candidates(
        places.astype(np.float32),
        table[..., 2].astype(np.float32),
        boxes.astype(np.float32),
        scores.astype(np.float32),
    )


def _host(tensor: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.cpu().numpy()
    return array


def _matrix(tensor: Tensor) -> npt.NDArray[np.float64]:
    matrix: npt.NDArray[np.float64] = tensor.double().cpu().numpy()
    return matrix
