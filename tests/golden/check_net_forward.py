"""What the networks compute, against the public code: weights made by the READMEs' rules, none stored."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from check_state_dicts import parsed
from goldenfolder import Comparison, Vectors, check, close, same
from netfill import (
    Known,
    alphapose_input,
    alphapose_rule,
    beside,
    build,
    fill,
    hrnet_ae_input,
    hrnet_ae_rule,
    salt_beside,
)
from torch import nn

ALPHAPOSE_TOLERANCE = 1e-3
HRNET_AE_TOLERANCE = 1e-4
HRNET_AE_LISTS = ("hrnet", "higher_hrnet", "simplebaseline", "posenet_ae")


@check("alphapose/nets.npz", "outputs, their sums and extremes")
def _alphapose(v: Vectors) -> Iterator[Comparison]:
    index, salt = json.loads(beside(v.path, "nets_index.json").read_text()), salt_beside(v.path)
    with gzip.open(beside(v.path, "state_dicts.json.gz")) as stream:
        lists = json.load(stream)
    known: Known = {}
    # Networks of one depth have most of their tensors in common.
    for name, facts in sorted(index.items(), key=lambda item: _alike(item[1])):
        if f"{name}__out" in v:
            net = build({key: parsed(text)[1] for key, text in lists[name].items()})
            fill(net, partial(alphapose_rule, salt=salt), known)
            with torch.inference_mode():
                found = net(alphapose_input(name, facts["input_shape"], salt=salt))
            yield from _alphapose_output(name, facts, found, net, v)


def _alike(facts: dict[str, Any]) -> tuple[int, str]:
    return int(facts.get("model_cfg", {}).get("NUM_LAYERS", 0)), str(facts.get("family"))


def _alphapose_output(
    name: str, facts: dict[str, Any], found: torch.Tensor, net: nn.Module, v: Vectors
) -> Iterator[Comparison]:
    """Every figure that the index and the archive give for one network."""
    yield same(f"{name}: parameters", sum(p.numel() for p in net.parameters()), facts["num_parameters"])
    yield same(f"{name}: shape", found.shape, facts["output_shape"])
    sparse = found[stored_part(facts["stored"])]
    yield close(f"{name}: output", sparse, v[f"{name}__out"], ALPHAPOSE_TOLERANCE, relative=True)
    wide, largest = found.double(), max(abs(facts["min"]), abs(facts["max"]))
    for part, value, scale in (
        ("sum", wide.sum(), facts["abs_sum"]),
        ("abs_sum", wide.abs().sum(), facts["abs_sum"]),
        ("sq_sum", wide.square().sum(), facts["sq_sum"]),
        ("min", wide.min(), largest),
        ("max", wide.max(), largest),
    ):
        yield close(f"{name}: {part}", value / scale, facts[part] / scale, ALPHAPOSE_TOLERANCE)
    if f"{name}__chansum" in v:
        # A vector has no cells to sum over: its one sum is of the whole.
        sums = wide.flatten(2).sum(2) if found.ndim > 2 else wide.sum(1)
        wanted = v[f"{name}__chansum"].reshape(sums.shape)
        yield close(f"{name}: channels", sums / facts["abs_sum"], wanted / facts["abs_sum"], ALPHAPOSE_TOLERANCE)


def stored_part(text: str) -> tuple[slice, ...]:
    """The part of an output that a text such as ``[:, :, ::4, ::4]`` stands for; any other is the whole."""
    steps = [int(step or 1) for step in re.findall(r":(?::(\d+))?", text)] or [1]
    return tuple(slice(None, None, step) for step in steps)


@check("hrnet_ae/net_forward.npz", "HRNet, HigherHRNet, SimpleBaseline and PoseNet")
def _hrnet_ae(v: Vectors) -> Iterator[Comparison]:
    facts: dict[str, Any] = json.loads(str(v["meta_json"]))
    lists: dict[str, dict[str, list[int]]] = {}
    for family in HRNET_AE_LISTS:
        for name, listed in json.loads(beside(v.path, f"state_dicts_{family}.json").read_text()).items():
            lists |= {called: listed for called in (name, f"wz_{name}") if called in facts}
    of_others = json.loads(beside(v.path, "state_dicts_mmpose.json").read_text())
    yield same("networks without a list of tensors", len(facts.keys() - lists.keys() - of_others.keys()), 0)
    known: Known = {}
    # Those of one width or depth have most of their tensors in common.
    for name in sorted(lists, key=lambda name: name.split("_")[::-1]):
        if f"{name}__out0" in v:
            yield from _hrnet_ae_net(name, lists[name], facts[name], v, known)


def _hrnet_ae_net(
    name: str, listed: dict[str, list[int]], facts: dict[str, Any], v: Vectors, known: Known
) -> Iterator[Comparison]:
    net = build({key: tuple(shape) for key, shape in listed.items()})
    fill(net, hrnet_ae_rule, known)
    x = hrnet_ae_input(facts["input_shape"], facts["input_seed"], facts["input_kind"])
    # PoseNet is told of pictures as rows, columns, colours; all our networks take colours first.
    x = x.permute(0, 3, 1, 2) if x.shape[-1] == 3 else x
    with torch.inference_mode():
        outputs = net(x)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    yield same(f"{name}: parameters", sum(p.numel() for p in net.parameters()), facts["params"])
    yield same(f"{name}: outputs", len(outputs), len(facts["outputs"]))
    for number, (found, about) in enumerate(zip(outputs, facts["outputs"], strict=True)):
        case = f"{name} {number}"
        yield same(f"{case}: shape", found.shape, about["shape"])
        flat, wanted = found.flatten()[:: about["stride"]], v[f"{name}__out{number}"]
        yield close(case, flat, wanted, HRNET_AE_TOLERANCE, relative=True)
        largest, wide = max(abs(about["min"]), abs(about["max"])), found.double()
        measured = {"mean": wide.mean(), "std": wide.std(correction=0), "min": wide.min(), "max": wide.max()}
        for part, value in measured.items():
            yield close(f"{case}: {part}", value / largest, about[part] / largest, HRNET_AE_TOLERANCE)
        yield same(f"{case}: argmax", found.flatten().argmax(), about["argmax"])
