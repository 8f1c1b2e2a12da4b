"""MMPose's networks with weights by rule: outputs for a fixed input.

The networks are built from their shapes in ``state_dicts_mmpose.json`` beside the file.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from goldenfolder import Comparison, Vectors, check, close, same
from torch import nn

from poseviewer.nets.mmpose.table import recognise

FILE = "hrnet_ae/net_forward.npz"
PREFIX = "mm_"
ALLOWED = 1e-4


@check(FILE, "MMPose's networks")
def forwards(data: Vectors) -> Iterator[Comparison]:
    listed = json.loads((data.path.parent / "state_dicts_mmpose.json").read_text())
    for name, facts in json.loads(str(data["meta_json"])).items():
        if not name.startswith(PREFIX):
            continue
        found = recognise({key: tuple(shape) for key, shape in listed[name].items()})
        if found is None:
            yield Comparison(f"{name}: not recognised", float("inf"), ALLOWED)
            continue
        family, config = found
        net = family.build(config).eval()
        fill_by_rule(net)
        yield same(f"{name}: parameters", sum(p.numel() for p in net.parameters()), facts["params"])
        yield from outputs(name, net, facts, data)


def outputs(name: str, net: nn.Module, facts: dict[str, Any], data: Vectors) -> Iterator[Comparison]:
    draw = np.random.default_rng(facts["input_seed"])
    made = draw.random if facts["input_kind"] == "uniform01" else draw.standard_normal
    picture = torch.from_numpy(made(facts["input_shape"]).astype(np.float32))
    # Some networks give their result alone, and under another name all that the published head gives.
    run = getattr(net, "outputs", net)
    with torch.no_grad():
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


def fill_by_rule(net: nn.Module) -> None:
    """Fill a network by the rule of the golden folder's README, so that no weights need storing."""
    for key, value in net.state_dict().items():
        shape, g = tuple(value.shape), np.random.default_rng(zlib.crc32(key.encode()))
        if key.endswith("num_batches_tracked"):
            continue
        if key.endswith("running_mean"):
            made = 0.1 * g.standard_normal(shape)
        elif key.endswith("running_var"):
            made = 0.5 + g.random(shape)
        elif value.ndim >= 2:
            made = g.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif key.endswith("bias"):
            made = 0.05 * g.standard_normal(shape)
        else:
            made = 1 + 0.05 * g.standard_normal(shape)
        value.copy_(torch.from_numpy(np.asarray(made, dtype=np.float32)))
