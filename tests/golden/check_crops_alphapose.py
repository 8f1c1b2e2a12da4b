"""AlphaPose's crops, old and new, and the spatial transformer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.ops import reference_crops as ref
from poseviewer.ops.crops import FrameSampler, normalising_matrix, sdtn_gamma, square

MASTER, OLD, STN = (f"alphapose/{name}.npz" for name in ("affine_master", "crop_old", "stn"))
INPUT, HEATMAP = (192, 256), (48, 64)
OLD_INPUT, OLD_HEATMAP = (256, 320), (64, 80)


def sizes(data: Vectors, pattern: str) -> Iterator[tuple[str, tuple[int, int], int]]:
    """Arrays whose names hold a size: name, the two numbers, and the step of a stored part (1 for the whole)."""
    for name in data.names():
        found = re.fullmatch(pattern + r"(?:_s(\d+))?", name)
        if found:
            yield name, (int(found[1]), int(found[2])), int(found[3] or 1)


def thinned(crops: torch.Tensor, step: int) -> torch.Tensor:
    """The part of crops that is stored: every ``step``-th pixel from the fifth."""
    return crops if step == 1 else crops[:, :, 4::step, 4::step]


@check(MASTER, "boxes, maps and points")
def maps(data: Vectors) -> Iterator[Comparison]:
    boxes = data.tensor("boxes")
    centre, scale = ref.master_centre_scale(boxes, INPUT)
    yield close("centres", centre, data["center"], 1e-4)
    yield close("scales", scale, data["scale"], 1e-4)
    cover = ref.master_box(centre, scale)
    yield close("boxes", cover, data["bbox_from_center_scale"], 1e-3)
    to_frame = ref.master_inverse(cover, HEATMAP)
    turned = ref.master_affine(centre, scale, data.tensor("rot"), INPUT)
    straight = ref.master_affine(centre, scale, 0.0, INPUT)
    for row in range(len(boxes)):
        yield close(f"map {row}", turned[row], data["trans_192x256"][row], 1e-7, relative=True)
        yield close(f"map without rotation {row}", straight[row], data["trans_192x256_rot0"][row], 1e-7, relative=True)
        yield close(f"inverse {row}", to_frame[row], data["trans_inv_48x64"][row], 1e-5, relative=True)
    found = ref.master_to_frame(data.tensor("hm_points"), cover, HEATMAP)
    yield close("points", found, data["img_points"], 1e-3)


@check(MASTER, "box formats")
def formats(data: Vectors) -> Iterator[Comparison]:
    boxes = data.tensor("boxes")
    yield close("to corners", ref.xywh_to_xyxy(boxes), data["xywh_to_xyxy"], 1e-9)
    yield close("to sizes", ref.xyxy_to_xywh(boxes), data["xyxy_to_xywh"], 1e-9)
    aspect = INPUT[0] / INPUT[1]
    yield close("at the aspect", ref.boxes_to_aspect(boxes, aspect).float(), data["clip_aspect_ratio"][:, 1:], 1e-3)


@check(MASTER, "crops")
def master_crops(data: Vectors) -> Iterator[Comparison]:
    for name, (height, width), step in sizes(data, r"crop_(\d+)x(\d+)"):
        wanted = data.tensor(name)
        crops, boxes = ref.master_crop(data.tensor("image_rgb"), data.tensor("boxes")[: len(wanted)], (width, height))
        apart = (thinned(crops, step) - wanted).abs()
        # One grey level: the reference rounds the warped bytes, and a rounding may fall the other way.
        yield Comparison(f"{name} largest", float(apart.max()), 1.01 / 255)
        yield Comparison(f"{name} mean", float(apart.mean()), 1e-5)
        if step == 1:
            yield close(f"{name} boxes", boxes, data["crop_bbox"], 1e-3)


@check(OLD, "corners, crops and points")
def old_crops(data: Vectors) -> Iterator[Comparison]:
    # A box that the reference could not cut has nothing to compare.
    fine = data.tensor("ok").bool()
    picture, boxes = data.tensor("image_rgb"), data.tensor("boxes")[fine]
    upper, lower = ref.old_corners(boxes, (picture.shape[1], picture.shape[0]))
    yield close("upper corners", upper, data["pt1"][fine.numpy()], 1e-4)
    yield close("lower corners", lower, data["pt2"][fine.numpy()], 1e-4)
    for name, (height, width), _ in sizes(data, r"trans_(\d+)x(\d+)"):
        found = ref.old_crop_affine(upper, lower, (width, height))
        for row, wanted in enumerate(data[name][fine.numpy()]):
            yield close(f"{name} {row}", found[row], wanted, 1e-7, relative=True)
    for name, (height, width), step in sizes(data, r"crop_(\d+)x(\d+)"):
        crops = ref.old_crop(picture, upper, lower, (width, height))
        yield close(name, thinned(crops, step), data[name][fine.numpy()], 2e-3)
    back = ref.old_to_frame(data.tensor("hm_points")[fine], upper, lower, OLD_INPUT, OLD_HEATMAP)
    yield close("points", back, data["img_points"][fine.numpy()], 1e-3)
    cells = ref.old_to_heatmap(data.tensor("img_points")[fine], upper, lower, OLD_INPUT, OLD_HEATMAP)
    yield same("cells", cells, data["hm_points_fwd"][fine.numpy()])


@check(STN, "parameters and points")
def transformer(data: Vectors) -> Iterator[Comparison]:
    theta, points = data.tensor("theta"), data.tensor("target_points")
    ones = torch.ones_like(points[..., :1])
    gamma = sdtn_gamma(theta)
    source = torch.cat([points, ones], dim=2) @ theta.mT
    back = torch.cat([source, ones], dim=2) @ gamma.mT
    for row in range(len(theta)):
        yield close(f"gamma {row}", gamma[row], data["gamma"][row], 1e-9, relative=True)
        yield close(f"source {row}", source[row], data["source_points"][row], 1e-9, relative=True)
        yield close(f"round trip {row}", back[row], data["roundtrip_points"][row], 1e-9, relative=True)


@check(STN, "sampling")
def sampling(data: Vectors) -> Iterator[Comparison]:
    """There and back with the corners on pixel centres, as the program samples."""
    theta = data.tensor("theta")
    for parameters, given, wanted in (
        (theta, data.tensor("x"), data["stn_ac1"]),
        (sdtn_gamma(theta), data.tensor("stn_ac1"), data["sdtn_ac1"]),
    ):
        height, width = wanted.shape[2:]
        to_unit = normalising_matrix((width, height))
        to_pixels = torch.linalg.inv(normalising_matrix((given.shape[3], given.shape[2])))
        matrices = (to_pixels @ square(parameters) @ to_unit)[:, :2]
        found = FrameSampler(given, smooth=False).sample(torch.arange(len(theta)), matrices, (width, height))
        yield close("samples", found, wanted, 1e-4)
