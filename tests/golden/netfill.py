"""Networks for golden vectors: built from names and shapes, filled by the rules of the folders' READMEs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from poseviewer.nets import (
    fastpose,
    fastpose_duc,
    hardnet,
    higher_hrnet,
    hrnet,
    osnet,
    posenet_ae,
    reid_resnet,
    simplebaseline,
    simplepose,
)

Floats = npt.NDArray[np.floating]
Known = dict[tuple[str, tuple[int, ...]], torch.Tensor]
Fill = Callable[[str, tuple[int, ...]], Floats]
FAMILIES: dict[str, tuple[Callable[..., object], Callable[..., nn.Module]]] = {
    "fastpose": (fastpose.sniff, fastpose.FastPose),
    "fastpose_duc": (fastpose_duc.sniff, fastpose_duc.FastPoseDUC),
    "simplepose": (simplepose.sniff, simplepose.SimplePose),
    "simplebaseline": (simplebaseline.sniff, simplebaseline.SimpleBaseline),
    "hrnet": (hrnet.sniff, hrnet.HRNet),
    "higher_hrnet": (higher_hrnet.sniff, higher_hrnet.HigherHRNet),
    "hardnet": (hardnet.sniff, hardnet.HarDNetPose),
    "osnet": (osnet.sniff, osnet.OSNet),
    "reid_resnet": (reid_resnet.sniff, reid_resnet.ReIDResNet),
    "posenet_ae": (posenet_ae.sniff, posenet_ae.PoseNet),
}


def recognised(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The families that take a state dict to be theirs."""
    return [name for name, (sniff, _) in FAMILIES.items() if sniff(shapes) is not None]


def build(shapes: Mapping[str, tuple[int, ...]]) -> nn.Module:
    """The network whose state dict has these names and shapes, on the device "meta"."""
    (family,) = recognised(shapes)
    sniff, kind = FAMILIES[family]
    with torch.device("meta"):
        return kind(sniff(shapes)).eval()


def fill(net: nn.Module, rule: Fill, known: Known | None = None) -> None:
    """Give every tensor of a network on "meta" the values of a rule.

    `known` holds the tensors of the network filled before, which serve again where names and shapes agree.
    """
    state = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    known = {} if known is None else known
    made = {entry: known[entry] if entry in known else _made(*entry, rule) for entry in state.items()}
    known.clear()
    known.update(made)
    net.load_state_dict({key: known[key, shape] for key, shape in state.items()}, assign=True)
    net.requires_grad_(False)


def _made(key: str, shape: tuple[int, ...], rule: Fill) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    return torch.from_numpy(np.asarray(rule(key, shape), dtype=np.float32))


def salt_beside(path: Path) -> str:
    """What alphapose/README.md, beside a file, has in front of every name that seeds numbers; "" where none is said."""
    readme = path.with_name("README.md")
    found = (
        re.search(r"SALT is [^.]*?[\"'`](.*?)[\"'`]", readme.read_text(encoding="utf-8")) if readme.exists() else None
    )
    return found[1] if found else ""


def alphapose_rule(key: str, shape: tuple[int, ...], *, salt: str = "") -> Floats:
    """The rule of alphapose/README.md."""
    g = np.random.default_rng(zlib.crc32(f"{salt}{key}".encode()))
    if key.endswith("running_mean"):
        return 0.1 * g.standard_normal(shape)
    if key.endswith("running_var"):
        return 0.5 + g.random(shape)
    if len(shape) >= 2:
        return g.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    if key.endswith("weight"):
        return 0.6 + 0.1 * g.standard_normal(shape)
    return 0.1 * g.standard_normal(shape)


def alphapose_input(name: str, shape: list[int], *, salt: str = "") -> torch.Tensor:
    """The picture of alphapose/README.md."""
    g = np.random.default_rng(zlib.crc32(f"{salt}input:{name}".encode()))
    return torch.from_numpy(g.standard_normal(shape).astype(np.float32) * np.float32(0.3))


def hrnet_ae_rule(key: str, shape: tuple[int, ...]) -> Floats:
    """The rule of hrnet_ae/README.md."""
    g = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("running_mean"):
        return 0.1 * g.standard_normal(shape)
    if key.endswith("running_var"):
        return 0.5 + g.random(shape)
    if len(shape) >= 2:
        return g.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    if key.endswith("bias"):
        return 0.05 * g.standard_normal(shape)
    return 1 + 0.05 * g.standard_normal(shape)


def hrnet_ae_input(shape: list[int], seed: int, kind: str) -> torch.Tensor:
    """The picture of hrnet_ae/README.md."""
    g = np.random.default_rng(seed)
    made = g.random(shape) if kind == "uniform01" else g.standard_normal(shape)
    return torch.from_numpy(made.astype(np.float32))


def beside(path: Path, name: str) -> Path:
    """Another file of the same folder, under an error that names it where it is absent."""
    found = path.with_name(name)
    if not found.exists():
        raise FileNotFoundError(2, "no such file", str(found))
    return found
