"""MMPose's networks with weights by rule: outputs for a fixed input.

The networks are built from their shapes in ``state_dicts_mmpose.json`` beside the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from goldenfolder import Comparison, Vectors, check, close, same
from netfill import beside, fill, hrnet_ae_input, hrnet_ae_rule
from torch import nn

from poseviewer.nets.mmpose.table import recognise

FILE = "hrnet_ae/net_forward.npz"
ALLOWED = 1e-4


@check(FILE, "MMPose's networks")
def forwards(data: Vectors) -> Iterator[Comparison]:
    listed = json.loads(beside(data.path, "state_dicts_mmpose.json").read_text())
    for name, facts in json.loads(str(data["meta_json"])).items():
        if name not in listed:
            continue
        found = recognise({key: tuple(shape) for key, shape in listed[name].items()})
        if found is None:
            yield Comparison(f"{name}: not recognised", float("inf"), ALLOWED)
            continue
        family, config = found
        with torch.device("meta"):
            net = family.build(config).eval()
        fill(net, hrnet_ae_rule)
        yield same(f"{name}: parameters", sum(p.numel() for p in net.parameters()), facts["params"])
        yield from outputs(name, net, facts, data)


def outputs(name: str, net: nn.Module, facts: dict[str, Any], data: Vectors) -> Iterator[Comparison]:
    picture = hrnet_ae_input(facts["input_shape"], facts["input_seed"], facts["input_kind"])
    # Some networks give their result alone, and under another name all that the published head gives.
    run = getattr(net, "outputs", net)
    with torch.inference_mode():
        found = run(picture)
    found = (found,) if isinstance(found, torch.Tensor) else found
    yield same(f"{name}: number of outputs", len(found), len(facts["outputs"]))
    for number, (output, wanted) in enumerate(zip(found, facts["outputs"], strict=False)):
        yield same(f"{name}: shape {number}", output.shape, wanted["shape"])
        flat = output.numpy().flatten()
        largest = max(abs(wanted["min"]), abs(wanted["max"]))
        part = flat[:: wanted["stride"]]
        stored = data[f"{name}__out{number}"]
        # The largest value of the whole output may not be among the stored ones.
        error = float(np.abs(part - stored).max()) / largest if part.shape == stored.shape else float("inf")
        yield Comparison(f"{name}: output {number}", error, ALLOWED)
        for figure in ("mean", "std", "min", "max"):
            own = float(getattr(flat.astype(np.float64), figure)())
            yield close(f"{name}: {figure} {number}", own / largest, wanted[figure] / largest, ALLOWED)
        if flat[wanted["argmax"]] < flat.max() - ALLOWED * largest:
            yield same(f"{name}: place of the maximum {number}", int(flat.argmax()), wanted["argmax"])
