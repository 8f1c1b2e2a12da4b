"""The crops of the HRNet family."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from goldenfolder import Comparison, Vectors, check, close

from poseviewer.ops import affine_hrnet

FILE = "hrnet_ae/affine_hrnet.npz"


@check(FILE, "affine and inverse")
def both_ways(data: Vectors) -> Iterator[Comparison]:
    where = {"rotation": data.tensor("rot"), "shift": data.tensor("shift")}
    centre, scale, size = (data.tensor(name) for name in ("center", "scale", "output_size"))
    forward = affine_hrnet.affine(centre, scale, size, **where)
    back = affine_hrnet.affine(centre, scale, size, **where, inverse=True)
    mapped = affine_hrnet.apply(forward, data.tensor("points"))
    for row in range(len(centre)):
        yield close(f"forward {row}", forward[row], data["forward"][row], 1e-6)
        yield close(f"inverse {row}", back[row], data["inverse"][row], 1e-6)
        yield close(f"points {row}", mapped[row], data["points_t"][row], 1e-4)


@check(FILE, "float32 centres and heatmap to picture")
def single_precision(data: Vectors) -> Iterator[Comparison]:
    centre, scale = data.tensor("center").float(), data.tensor("scale").float()
    size = data.tensor("output_size")
    forward = affine_hrnet.affine(centre, scale, size, rotation=data.tensor("rot"))
    back = affine_hrnet.affine(centre, scale, size, inverse=True)
    joints = affine_hrnet.to_picture(data.tensor("hm_coords"), centre, scale, size)
    for row in range(len(centre)):
        yield close(f"forward {row}", forward[row], data["forward_f32in"][row], 1e-6)
        yield close(f"inverse {row}", back[row], data["inverse_f32in_rot0"][row], 1e-6)
        yield close(f"joints {row}", joints[row], data["transform_preds"][row], 1e-4)


@check(FILE, "centre and scale")
def boxes(data: Vectors) -> Iterator[Comparison]:
    centre, scale = affine_hrnet.centre_scale(torch.from_numpy(data["boxes_xywh"]), float(data["aspect_ratio"]))
    for row in range(len(centre)):
        yield close(f"centre {row}", centre[row], data["box_center"][row], 1e-6)
        yield close(f"scale {row}", scale[row], data["box_scale"][row], 1e-6)
