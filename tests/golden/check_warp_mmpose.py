"""MMPose's crops and input sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from goldenfolder import Comparison, Vectors, check, close

from poseviewer.ops import warp_mmpose

FILE = "hrnet_ae/warp_mmpose.npz"
INPUT = (192, 256)
FLIPS = [
    ("xyxy", True, False),
    ("xyxy", True, True),
    *((form, *axes) for form in ("xywh", "center") for axes in ((True, False), (False, True), (True, True))),
]


@check(FILE, "affine, inverse and UDP maps")
def maps(data: Vectors) -> Iterator[Comparison]:
    parts = [data.tensor(name) for name in ("center", "scale", "rot", "output_size")]
    shift = data.tensor("shift")
    found = {
        "warp": warp_mmpose.warp_matrix(*parts, shift=shift),
        "warp_inv": warp_mmpose.warp_matrix(*parts, shift=shift, inverse=True),
        "warp_no_fix_aspect": warp_mmpose.warp_matrix(*parts, shift=shift, keep_aspect=False),
        "udp_warp": warp_mmpose.udp_matrix(*parts),
    }
    for name, matrices in found.items():
        for row in range(len(matrices)):
            yield close(f"{name} {row}", matrices[row], data[name][row], 1e-4 if name == "udp_warp" else 1e-6)


@check(FILE, "boxes")
def boxes(data: Vectors) -> Iterator[Comparison]:
    given = data.tensor("bbox_xyxy")
    centre, scale = warp_mmpose.box_centre_scale(given, padding=1.25)
    yield close("centre", centre, data["cs_center_1p25"], 1e-4)
    yield close("scale", scale, data["cs_scale_1p25"], 1e-4)
    yield close("aspect", warp_mmpose.to_aspect(scale, INPUT[0] / INPUT[1]), data["fix_aspect_scale"], 1e-4)
    centre, scale = warp_mmpose.box_centre_scale(given, padding=1.1, xywh=True)
    yield close("centre of xywh", centre, data["xywh2cs_center_1p1"], 1e-4)
    yield close("scale of xywh", scale, data["xywh2cs_scale_1p1"], 1e-4)
    for name in data.names("flip_bbox_"):
        width, height = map(int, name.removeprefix("flip_bbox_").split("x"))
        for (form, horizontal, vertical), wanted in zip(FLIPS, data[name], strict=True):
            flipped = warp_mmpose.flip_boxes(
                given, (width, height), form=form, horizontal=horizontal, vertical=vertical
            )
            yield close(f"flip {form} {horizontal} {vertical}", flipped, wanted, 1e-4)


def every_third(rotation: torch.Tensor) -> torch.Tensor:
    """The stored samples were rotated only where the row's number is 2, 5, 8, ..."""
    return torch.where(torch.arange(len(rotation)) % 3 == 2, rotation, 0.0)


@check(FILE, "joints into the crop and back")
def joints(data: Vectors) -> Iterator[Comparison]:
    centre, scale = warp_mmpose.box_centre_scale(data.tensor("bbox_xyxy"), padding=1.25)
    scale, rotation = (
        warp_mmpose.to_aspect(scale, INPUT[0] / INPUT[1]),
        every_third(data.tensor("rot_used_every_third")),
    )
    for name, matrices in (
        ("td_affine", warp_mmpose.warp_matrix(centre, scale, rotation, INPUT)),
        ("td_udp", warp_mmpose.udp_matrix(centre, scale, rotation, INPUT)),
    ):
        yield close(f"{name} scale", scale, data[f"{name}_scale"], 1e-4)
        found = warp_mmpose.crop_joints(matrices, data.tensor("td_kp_in"))
        for row in range(len(found)):
            yield close(f"{name} {row}", found[row], data[f"{name}_kp"][row], 1e-3)
    found = warp_mmpose.input_to_picture(data.tensor("decode_in"), centre, scale, INPUT)
    yield close("back", found, data["decode_to_image"], 1e-3)


@check(FILE, "bottom-up input sizes")
def bottom_up(data: Vectors) -> Iterator[Comparison]:
    for name in data.names("bottomup_"):
        named = re.match(r"bottomup_(\d+)x(\d+)_(fit|expand)_([01])_([\d.]+)$", name)
        if named is None:
            continue
        height, width, side = int(named[1]), int(named[2]), 512 * float(named[5])
        found = warp_mmpose.bottom_up_input((width, height), (side, side), mode=named[3], udp=named[4] == "1")
        yield close(name, [found.actual_wh, found.padded_wh], data[name], 1e-6)
        result = name.removesuffix(f"_{named[5]}") + "_result"
        if result in data and named[5] == "1.0":
            wanted = [*found.padded_wh, *found.centre, *found.scale]
            yield close(result, wanted, data[result], 1e-4)
