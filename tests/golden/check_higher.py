"""HigherHRNet's sizes and the aggregation of its outputs, up to joints in the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.skeleton import skeleton
from poseviewer.ops import affine_hrnet, grouping, higher

SIZES, AGGREGATE = "hrnet_ae/sizes_higher.npz", "hrnet_ae/aggregate_higher.npz"
INPUT_SIZE = 64


@check(SIZES, "sizes and maps")
def sizes(data: Vectors) -> Iterator[Comparison]:
    for number, row in enumerate(data["table"]):
        height, width, size = (int(value) for value in row[:3])
        found = higher.scaled_input((width, height), size, row[3], row[4])
        yield same(f"size {number}", [*found.size_wh, *found.centre], row[5:9])
        yield close(f"scale {number}", found.scale, row[9:11], 1e-9)
        centre, scale = (torch.tensor([part], dtype=torch.float64) for part in (found.centre, found.scale))
        matrix = affine_hrnet.affine(centre, scale, found.size_wh)
        yield close(f"map {number}", matrix[0].flatten(), row[11:17], 1e-6)


@check(AGGREGATE, "inputs")
def inputs(data: Vectors) -> Iterator[Comparison]:
    for options in data.json():
        case, scales = options["case"], sorted(options["scales"], reverse=True)
        height, width = options["img_hw"]
        found = [higher.scaled_input((width, height), INPUT_SIZE, scale, scales[-1]) for scale in scales]
        yield same(f"sizes {case}", [entry.size_wh for entry in found], options["sizes"])
        yield same(f"centre {case}", found[-1].centre, options["center"])
        yield close(f"scale {case}", found[-1].scale, options["scale"], 1e-9)


def aggregated(data: Vectors, options: dict[str, Any]) -> tuple[higher.ScaledInput, torch.Tensor, torch.Tensor]:
    case, scales = options["case"], options["scales"]
    joints = data[f"c{case}_call0_out1"].shape[1]
    flip = (*skeleton().flip, *range(17, joints))
    rules = higher.StageRules(
        joints, flip, tuple(options["with_heatmaps"]), tuple(options["with_ae"]), drop_centre=options["with_center"]
    )
    project = tuple(options["base_size"]) if options["project2image"] else None
    passes = higher.Scales(scales, project_wh=project)
    call = 0
    for scale in sorted(scales, reverse=True):
        found = []
        for mirrored in (False, True) if options["flip"] else (False,):
            outputs = [data.tensor(f"c{case}_call{call}_out{stage}") for stage in (0, 1)]
            found.append(rules.read(outputs, mirrored=mirrored))
            call += 1
        passes.add(scale, found)
    height, width = options["img_hw"]
    # The published code maps back with the input it processed last, the smallest.
    last = higher.scaled_input((width, height), INPUT_SIZE, min(scales), min(scales))
    return last, *passes.result()


@check(AGGREGATE, "maps, tags and joints")
def aggregation(data: Vectors) -> Iterator[Comparison]:
    for options in data.json():
        case = options["case"]
        last, heat, tags = aggregated(data, options)
        step = (5, 7) if heat.numel() >= 60000 else (1, 1)
        yield same(f"shape {case}", heat.shape, data[f"c{case}_final_shape"])
        yield same(f"tags' shape {case}", tags.shape, data[f"c{case}_tags_shape"])
        sums, wanted = heat.double().sum(dim=(0, 2, 3)), data[f"c{case}_final_sum_per_joint"]
        yield close(f"sums {case}", sums, wanted, 1e-5, relative=True)
        sub = heat[:, :, :: step[0], :: step[0]]
        yield close(f"maps {case}", sub, data[f"c{case}_final_heatmaps_sub"], 1e-5)
        sub = tags[:, :, :: step[1], :: step[1]]
        yield close(f"tags {case}", sub, data[f"c{case}_tags_sub"], 1e-4)
        people, scores = grouping.group_people(heat[0], tags[0])
        xy = last.to_picture(people[..., :2], (heat.shape[3], heat.shape[2]))
        found = torch.cat((xy.float(), people[..., 2:]), dim=2)
        yield close(f"people {case}", found, data[f"c{case}_final_preds"], 1e-3)
        yield close(f"scores {case}", scores, data[f"c{case}_scores"], 1e-5)
