"""Targets and losses of associative embedding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.ops import targets_ae

AE, HIGHER = "hrnet_ae/targets_ae.npz", "hrnet_ae/targets_higher.npz"
LOSSES_AE, LOSSES_HIGHER = "hrnet_ae/losses_ae.npz", "hrnet_ae/losses_higher.npz"


@check(AE, "heatmaps and references")
def ae(data: Vectors) -> Iterator[Comparison]:
    for name in data.names("kp_"):
        side = name.removeprefix("kp_")
        joints = data.tensor(name)
        maps = targets_ae.group_heatmaps(joints, int(side), form="ae")
        yield close(f"maps {side}", maps, data[f"hm_{side}"], 1e-6)
        yield same(f"references {side}", targets_ae.tag_references(joints, int(side)), data[f"ref_{side}"])
        kernel = data[f"kernel_{side}"]
        sigma = int(side) / 64
        away = np.arange(len(kernel)) - (3 * sigma + 1)
        curve = np.exp(-(away**2) / (2 * sigma**2))
        yield close(f"kernel {side}", curve[:, None] * curve, kernel, 1e-6)


@check(HIGHER, "heatmaps and references")
def higher(data: Vectors) -> Iterator[Comparison]:
    for name in data.names("kp_"):
        tail = name.removeprefix("kp_")
        side, sigma = int(tail.split("_")[0]), float(tail.split("_")[1])
        joints = data.tensor(name)
        maps = targets_ae.group_heatmaps(joints, side, sigma=None if sigma < 0 else sigma)
        yield close(f"maps {tail}", maps, data[f"hm_{tail}"], 1e-6)
        yield same(f"references {tail}", targets_ae.tag_references(joints, side), data[f"ref_{tail}"])
        shared = targets_ae.tag_references(joints, side, shared=True)
        yield same(f"shared references {tail}", shared, data[f"ref_shared_{tail}"])


@check(HIGHER, "sigma by person")
def scale_aware(data: Vectors) -> Iterator[Comparison]:
    joints, wanted = data.tensor("scaleaware_kp"), data["scaleaware_hm"]
    maps = targets_ae.group_heatmaps(joints[..., :3], wanted.shape[1], sigma=joints[:, 0, 3])
    yield close("maps", maps, wanted, 1e-6)


class Pixels:
    """Tags by pixel, so that joints on the same pixel share one and its gradient."""

    def __init__(self, tags: torch.Tensor, references: torch.Tensor) -> None:
        places, self.inverse = references[..., 0].flatten(1).long(), []
        values, firsts = tags.flatten(1, 2), []
        for row in range(len(places)):
            known, inverse = places[row].unique(return_inverse=True)
            first = torch.zeros(len(known), dtype=torch.long)
            first[inverse.flip(0)] = torch.arange(len(inverse)).flip(0)
            self.inverse.append(inverse)
            firsts.append(values[row, first].clone().requires_grad_())
        self.values, self.shape = firsts, tags.shape
        self.tags = torch.stack([v[i] for v, i in zip(firsts, self.inverse, strict=True)]).view(self.shape)

    def gradient(self, loss: torch.Tensor) -> torch.Tensor:
        found = torch.autograd.grad(loss, self.values, retain_graph=True)
        return torch.stack([g[i] for g, i in zip(found, self.inverse, strict=True)]).view(self.shape)


@check(LOSSES_AE, "masked heatmap loss")
def heatmap_loss(data: Vectors) -> Iterator[Comparison]:
    maps = data.tensor("hm_pred").requires_grad_()
    loss = targets_ae.masked_mse(maps, data.tensor("hm_gt"), data.tensor("hm_mask"))
    yield close("loss", loss, data["hm_loss"], 1e-6)
    yield close("gradient", torch.autograd.grad(loss.sum(), maps)[0], data["hm_grad"], 1e-6)


@check(LOSSES_AE, "tag loss of both implementations")
def ae_tags(data: Vectors) -> Iterator[Comparison]:
    for case in range(int(data["n_cases"])):
        references = data.tensor(f"kp_{case}")
        present = references[..., 1] > 0
        pixels = Pixels(data.tensor(f"tags_at_kp_{case}")[..., None], references)
        push, pull = targets_ae.push_pull(pixels.tags, present, guard=1e-6)
        gradient = pixels.gradient(push.sum() + 0.7 * pull.sum())[..., 0]
        yield close(f"push {case}", push, data[f"push_{case}"], 1e-6)
        yield close(f"pull {case}", pull, data[f"pull_{case}"], 1e-6)
        yield close(f"gradient {case}", gradient, data[f"grad_at_kp_{case}"], 1e-6)
        push, pull = targets_ae.push_pull(pixels.tags, present)
        gradient = pixels.gradient(push.sum() + 0.7 * pull.sum())[..., 0]
        yield close(f"C {case}", torch.stack((push, pull), dim=1), data[f"c_out_{case}"], 1e-6)
        yield close(f"C gradient {case}", gradient, data[f"c_grad_at_kp_{case}"], 1e-6)
        pixels = Pixels(data.tensor(f"tags3_at_kp_{case}"), references)
        push, pull = targets_ae.push_pull(pixels.tags, present)
        gradient = pixels.gradient(push.sum() + 0.7 * pull.sum())
        yield close(f"C3 {case}", torch.stack((push, pull), dim=1), data[f"c_out3_{case}"], 1e-6)
        yield close(f"C3 gradient {case}", gradient, data[f"c_grad3_at_kp_{case}"], 1e-6)


@check(LOSSES_HIGHER, "tag loss, exp and max")
def higher_tags(data: Vectors) -> Iterator[Comparison]:
    for case in range(int(data["n_cases"])):
        references = data.tensor(f"kp_{case}")
        for kind in ("exp", "max"):
            pixels = Pixels(data.tensor(f"tags_at_kp_{case}")[..., None], references)
            push, pull = targets_ae.push_pull(pixels.tags, references[..., 1] > 0, kind=kind)
            gradient = pixels.gradient(push.sum() + 0.7 * pull.sum())[..., 0]
            yield close(f"{kind} push {case}", push, data[f"push_{kind}_{case}"], 1e-6)
            yield close(f"{kind} pull {case}", pull, data[f"pull_{kind}_{case}"], 1e-6)
            yield close(f"{kind} gradient {case}", gradient, data[f"grad_at_kp_{kind}_{case}"], 1e-6)


@check("hrnet_ae/ae_mmpose.npz", "tag loss")
def mmpose_tags(data: Vectors) -> Iterator[Comparison]:
    for name in data.names("loss_idx_"):
        tail = name.removeprefix("loss_idx_")
        references = data.tensor(name)
        apart = references.clone()
        apart[..., 0] += torch.arange(references.shape[2]) * (int(references.max()) + 1)
        pixels = Pixels(data.tensor(f"loss_tags_at_{tail}"), apart)
        push, pull = targets_ae.push_pull_mmpose(pixels.tags, references[..., 1] > 0)
        push, pull = push * 1e-3, pull * 1e-3
        yield close(f"push {tail}", push, data[f"loss_push_{tail}"], 1e-6)
        yield close(f"pull {tail}", pull, data[f"loss_pull_{tail}"], 1e-6)
        yield close(f"gradient {tail}", pixels.gradient(push + pull), data[f"loss_grad_at_{tail}"], 1e-6)
