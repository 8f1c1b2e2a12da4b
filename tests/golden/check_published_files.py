"""Networks of the vectors written as their publishers' programs save them, opened by the file's path alone.

The smallest network of those families that tell publishers and directions apart: what the opened file computes is
compared with the public code's output. tests/pipeline/test_published_files.py opens small ones of every family.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from check_net_forward import ALPHAPOSE_TOLERANCE, HRNET_AE_LISTS, HRNET_AE_TOLERANCE, stored_part
from check_state_dicts import parsed
from goldenfolder import Comparison, Vectors, check, close, same
from netfill import alphapose_input, alphapose_rule, beside, hrnet_ae_input, hrnet_ae_rule, salt_beside
from published_forms import bare, mmengine, trainer, training_state, tutorial
from torch import Tensor

from poseviewer.nets.checkpoint import inspect, recognise
from poseviewer.nets.weights import load_estimator

Shapes = Mapping[str, tuple[int, ...]]
FAMILIES = ("fastpose", "hrnet", "simplebaseline", "higher_hrnet", "posenet_ae", "mmpose_rtmpose", "mmpose_vitpose")
"""Writing, reading and filling a network of each takes seconds; the others' files differ from these in layers alone."""


def forms(name: str) -> tuple[str, Callable[[Mapping[str, Tensor]], Any], bool]:
    """File name, writer, and whether it was torch before 1.6 that wrote it."""
    if name.startswith("mm_"):
        return "best_coco_AP_epoch_210.pth", mmengine, False
    if name.startswith("wz_"):
        return "model-200.pth", tutorial, False
    if name.startswith("posenet"):
        return "checkpoint.pth.tar", trainer, True
    if name.startswith("simplebaseline"):
        return "checkpoint.pth.tar", training_state, True
    if name.startswith(("hrnet", "higher")):
        return "checkpoint.pth", training_state, False
    return "model_199.pth", bare, False


@check("alphapose/nets.npz", "opened by path, as published")
def _alphapose(v: Vectors) -> Iterator[Comparison]:
    index, salt = json.loads(beside(v.path, "nets_index.json").read_text()), salt_beside(v.path)
    with gzip.open(beside(v.path, "state_dicts.json.gz")) as stream:
        lists = json.load(stream)
    shapes = {
        name: {key: parsed(text)[1] for key, text in listed.items()}
        for name, listed in lists.items()
        if f"{name}__out" in v and not name.startswith("reid/") and len(index[name]["output_shape"]) == 4
    }
    for name in _smallest(shapes):
        facts = index[name]
        x = alphapose_input(name, facts["input_shape"], salt=salt)
        outputs = _opened(name, shapes[name], partial(alphapose_rule, salt=salt), x)
        yield same(f"{name}: opens", bool(outputs), True)
        for found in outputs:
            yield close(
                f"{name}: by path",
                found[stored_part(facts["stored"])],
                v[f"{name}__out"],
                ALPHAPOSE_TOLERANCE,
                relative=True,
            )


@check("hrnet_ae/net_forward.npz", "opened by path, as published")
def _hrnet_ae(v: Vectors) -> Iterator[Comparison]:
    facts: dict[str, Any] = json.loads(str(v["meta_json"]))
    shapes: dict[str, Shapes] = {}
    for family in (*HRNET_AE_LISTS, "mmpose"):
        for name, listed in json.loads(beside(v.path, f"state_dicts_{family}.json").read_text()).items():
            for called in (name, f"wz_{name}"):
                if f"{called}__out0" in v:
                    shapes[called] = {key: tuple(shape) for key, shape in listed.items()}
    for name in _smallest(shapes):
        about = facts[name]
        x = hrnet_ae_input(about["input_shape"], about["input_seed"], about["input_kind"])
        x = x.permute(0, 3, 1, 2) if x.shape[-1] == 3 else x
        outputs = _opened(name, shapes[name], hrnet_ae_rule, x)
        yield same(f"{name}: opens", bool(outputs), True)
        for number, found in enumerate(outputs):
            stored = v[f"{name}__out{number}"]
            flat = found.flatten()[:: about["outputs"][number]["stride"]]
            yield close(f"{name} {number}: by path", flat, stored, HRNET_AE_TOLERANCE, relative=True)


def _smallest(shapes: Mapping[str, Shapes]) -> list[str]:
    """The smallest network of each family and way of saving."""
    best: dict[tuple[str, str], tuple[int, str]] = {}
    for name, listed in shapes.items():
        found = recognise({key: torch.zeros(()).expand(shape) for key, shape in listed.items()})
        if found is None or found.family.name not in FAMILIES or (found.family.name == "hrnet" and "/" in name):
            continue
        size = sum(int(np.prod(shape)) for shape in listed.values())
        key = found.family.name, forms(name)[0]
        best[key] = min(best.get(key, (size, name)), (size, name))
    return [name for _, name in best.values()]


def _opened(name: str, shapes: Shapes, rule: Callable[..., Any], x: Tensor) -> tuple[Tensor, ...]:
    """Write a network, open the file and run it; nothing where the file does not open."""
    file, write, early = forms(name)
    state = {
        key: torch.zeros(shape, dtype=torch.int64)
        if key.endswith("num_batches_tracked")
        else torch.from_numpy(np.asarray(rule(key, shape), dtype=np.float32))
        for key, shape in shapes.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        torch.save(write(state), path, _use_new_zipfile_serialization=not early)
        if not inspect(path).fits:
            return ()
        module = load_estimator(path).module
    run = getattr(module, "outputs", module)
    with torch.inference_mode():
        outputs = run(x)
    return outputs if isinstance(outputs, tuple) else (outputs,)
