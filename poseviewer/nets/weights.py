"""Weight files of estimators: what a file is, checked before anything is built, then loaded.

Our own files are safetensors that describe themselves (`nets.header`). Published files, of whatever system, are
recognised by the names and shapes of their tensors (`nets.checkpoint`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.core.errors import WeightsError
from poseviewer.nets.checkpoint import ONNX_SUFFIX, Checkpoint, fill, first_names, read_checkpoint
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.nets.families import Family
from poseviewer.nets.header import METADATA_KEY, EstimatorHeader, decode_header
from poseviewer.nets.stn import Localiser
from poseviewer.nets.unpickle import (
    SAFETENSORS_SUFFIX,
    read_safetensors,
    require_file,
    safetensors_metadata,
    sha256_of,
    write_safetensors,
)

__all__ = ["METADATA_KEY", "EstimatorHeader", "EstimatorSpec", "LoadedEstimator", "load_estimator", "save_estimator"]

STN_PREFIX = "stn."


@dataclass(frozen=True)
class LoadedEstimator:
    """An estimator in evaluation mode.

    `module` maps normalised images (B, 3, H, W) to what `spec.output` says; `stn`, where there is one, maps the
    same images of the proposal crop to theta (B, 2, 3) in normalised coordinates (align_corners=True). `header` is
    what `save_estimator` needs to write the network anew as one of our files, which then describes itself; None where
    only a part of the network's outputs is used, and for ONNX files. `open_facts` of the specification were guessed.
    """

    module: nn.Module
    spec: EstimatorSpec
    sha256: str
    stn: nn.Module | None = None
    header: EstimatorHeader | None = None
    open_facts: tuple[str, ...] = ()


def load_estimator(path: Path, device: str | torch.device = "cpu") -> LoadedEstimator:
    """Build the network that a weight file holds and fill it.

    Raises:
        WeightsError: the file is missing, unreadable, not weights, of an unknown network, or does not fit.
        MissingPartError: an ONNX file, and no program to run it is installed.
    """
    path = require_file(Path(path))
    suffix = path.suffix.lower()
    if suffix == ONNX_SUFFIX:
        from poseviewer.nets.onnx_network import load_onnx

        module, spec, guessed = load_onnx(path, torch.device(device))
        return LoadedEstimator(module, spec, sha256_of(path), open_facts=guessed)
    if suffix == SAFETENSORS_SUFFIX and METADATA_KEY in safetensors_metadata(path):
        return _load_own(path, device)
    report, found = read_checkpoint(path)
    if found is None or report.spec is None:
        if report.network:
            raise WeightsError(f"{path.name} holds {report.network}, which is known but not built.", file=path)
        raise WeightsError(
            f"{path.name} is not a pose estimator that this program knows.",
            file=path,
            remedy=f"poseviewer models inspect {path} says what it holds.",
        )
    _refuse_unfit(report, path)
    spec = report.spec
    net = found.family.build(found.config)
    fill(net, found.tensors, path)
    if spec.output == "heatmaps" and spec.decode != "udp_combined" and spec.joints < found.config.joints:
        net = FirstJoints(net, spec.joints)
    whole = spec.joints == getattr(found.config, "joints", spec.joints)
    header = EstimatorHeader(spec, found.config) if whole else None
    return LoadedEstimator(_ready(net, device), spec, report.sha256, header=header, open_facts=report.open_facts)


def _refuse_unfit(report: Checkpoint, path: Path) -> None:
    """Say in one sentence how a recognised file differs from its network."""
    looks = f"{path.name} looks like {report.network}"
    if report.missing:
        raise WeightsError(f"{looks}, but it lacks {first_names(report.missing)}.", file=path)
    if report.unexpected:
        raise WeightsError(f"{looks}, but it also holds {first_names(report.unexpected)}.", file=path)
    if report.misshapen:
        raise WeightsError(f"{looks}, but {first_names(report.misshapen)} are of another size.", file=path)


def save_estimator(
    path: Path, net: nn.Module, header: EstimatorHeader, stn: nn.Module | None = None, *, half: bool = True
) -> None:
    """Write a safetensors file with its header, float16 unless `half` is false; the old file survives a failure."""
    tensors = dict(net.state_dict())
    if stn is not None:
        tensors.update({STN_PREFIX + key: value for key, value in stn.state_dict().items()})
    packed = {key: _packed(value, half) for key, value in tensors.items() if value.is_floating_point()}
    metadata = {METADATA_KEY: msgspec.json.encode(header).decode(), "format": "pt"}
    write_safetensors(path, packed, metadata)


def read_own(path: Path) -> tuple[EstimatorHeader, dict[str, Tensor]]:
    """Header and tensors of one of our files.

    Raises:
        WeightsError: as `load_estimator`.
    """
    header, _, tensors = _own(path)
    return header, tensors


class FirstJoints(nn.Module):
    """A network of which only the first outputs are wanted."""

    def __init__(self, net: nn.Module, joints: int) -> None:
        super().__init__()
        self.net = net
        self.joints = joints

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.net(x)
        return heatmaps[:, : self.joints]


def _own(path: Path) -> tuple[EstimatorHeader, Family, dict[str, Tensor]]:
    tensors, metadata = read_safetensors(path)
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise WeightsError(f"{path.name} was not written by this program.", file=path)
    header, family = decode_header(text, path)
    return header, family, tensors


def _load_own(path: Path, device: str | torch.device) -> LoadedEstimator:
    header, family, tensors = _own(path)
    net = family.build(header.network)
    fill(net, {key: value for key, value in tensors.items() if not key.startswith(STN_PREFIX)}, path)
    stn: nn.Module | None = None
    if header.spec.stn and header.localiser is not None:
        stn = Localiser(header.localiser)
        fill(stn, {k.removeprefix(STN_PREFIX): v for k, v in tensors.items() if k.startswith(STN_PREFIX)}, path)
        stn = _ready(stn, device)
    return LoadedEstimator(_ready(net, device), header.spec, sha256_of(path), stn, header)


def _ready(module: nn.Module, device: str | torch.device) -> nn.Module:
    module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module.eval().requires_grad_(False)


def _packed(value: Tensor, half: bool) -> Tensor:
    return value.half() if half else value.float()
