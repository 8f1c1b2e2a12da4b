"""Weight files of estimators: what a file is, checked before anything is built, then loaded.

Our own files are safetensors whose metadata entry "poseviewer" is JSON (`EstimatorHeader`); published
AlphaPose files (.pth, .pt) are recognised by their keys and may hold nothing but tensors (`nets.unpickle`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.core.errors import WeightsError
from poseviewer.core.skeleton import skeleton_names
from poseviewer.nets import fastpose, hrnet, simplepose
from poseviewer.nets.fastpose import FastPose, FastPoseConfig
from poseviewer.nets.stn import Localiser, LocaliserConfig
from poseviewer.nets.unpickle import (
    SAFETENSORS_SUFFIX,
    read_safetensors,
    read_torch,
    require_file,
    sha256_of,
    write_safetensors,
)

METADATA_KEY = "poseviewer"
STN_PREFIX = "stn."
OLD_JOINTS = 33
ALPHAPOSE_MEAN = (0.406, 0.457, 0.480)
# A weight file may not make us build a network that no memory holds.
LARGEST_WIDTH = 8192
MOST_BLOCKS = 128

Output = Literal["heatmaps", "simcc", "regression", "tags"]
Crop = Literal["alphapose", "alphapose_master", "hrnet", "mmpose", "mmpose_udp"]
Decode = Literal[
    "master",
    "old",
    "integral",
    "combined",
    "hrnet",
    "msra",
    "dark",
    "udp",
    "udp_combined",
    "megvii",
    "simcc",
    "regression",
    "newell",
    "higher",
    "mmpose_ae",
]


class EstimatorSpec(msgspec.Struct, frozen=True):
    """What the rest of the program must know about an estimator.

    Attributes:
        family: network family, e.g. "fastpose".
        skeleton: name of the joint set, e.g. "coco_17"; "" where no bundled skeleton fits.
        joints: K.
        input_wh: network input in pixels.
        heatmap_wh: heatmap size in cells.
        mean, std: normalisation of 0..1 pixels, ``(x - mean) / std``, in the order R, G, B whatever order the network
            takes the channels in.
        decode: how outputs become joints, one of `Decode`.
        stn: the file carries a spatial transformer.
        output: what the network answers with.
        crop: whose way of cutting people out; "alphapose" is RMPE's for our own files and the 2018 code's for
            `decode` "old".
        flip_shift: the flip test moves the mirrored maps by one column (pixels are counted from their corners).
        bgr: the network takes blue first.
    """

    family: str
    skeleton: str
    joints: int
    input_wh: tuple[int, int]
    heatmap_wh: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    decode: Decode
    stn: bool = False
    output: Output = "heatmaps"
    crop: Crop = "alphapose"
    flip_shift: bool = True
    bgr: bool = False


class EstimatorHeader(msgspec.Struct, frozen=True):
    """The JSON that travels in the safetensors metadata."""

    spec: EstimatorSpec
    network: FastPoseConfig
    localiser: LocaliserConfig | None = None
    kind: str = "estimator"
    version: int = 1
    licence: str = ""
    note: str = ""


@dataclass(frozen=True)
class LoadedEstimator:
    """An estimator in evaluation mode.

    `module` maps normalised images (B, 3, H, W) to heatmaps (B, K, h, w); `stn`, where there is one, maps the
    same images of the proposal crop to theta (B, 2, 3) in normalised coordinates (align_corners=True).
    """

    module: nn.Module
    spec: EstimatorSpec
    sha256: str
    stn: nn.Module | None = None


def load_estimator(path: Path, device: str | torch.device = "cpu") -> LoadedEstimator:
    """Build the network that a weight file holds and fill it.

    Raises:
        WeightsError: the file is missing, unreadable, not weights, of an unknown network, or does not fit.
    """
    path = require_file(Path(path))
    digest = sha256_of(path)
    if path.suffix.lower() != SAFETENSORS_SUFFIX:
        net, spec = _load_published(path)
        return LoadedEstimator(_ready(net, device), spec, digest)
    header, tensors = read_own(path)
    _check_header(header, path)
    net = FastPose(header.network)
    _fill(net, {key: value for key, value in tensors.items() if not key.startswith(STN_PREFIX)}, path)
    stn: nn.Module | None = None
    if header.spec.stn and header.localiser is not None:
        stn = Localiser(header.localiser)
        prefix = len(STN_PREFIX)
        _fill(stn, {k[prefix:]: v for k, v in tensors.items() if k.startswith(STN_PREFIX)}, path)
        stn = _ready(stn, device)
    return LoadedEstimator(_ready(net, device), header.spec, digest, stn)


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
    tensors, metadata = read_safetensors(path)
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise WeightsError(f"{path.name} does not say which network it is for.", file=path)
    try:
        return msgspec.json.decode(text, type=EstimatorHeader), tensors
    except msgspec.MsgspecError as error:
        raise WeightsError(f"{path.name} is not an estimator of this program: {error}.", file=path) from error


@dataclass(frozen=True)
class Published:
    """A published network that a file of tensors belongs to: family, number of joints and how to build it."""

    family: str
    joints: int
    build: Callable[[], nn.Module]


def sniff_published(shapes: Mapping[str, tuple[int, ...]]) -> Published | None:
    """The published network that a set of tensor shapes belongs to, or None.

    Knows FastPose, SimplePose and HRNet as AlphaPose spells them.
    """
    hrnet_config = hrnet.sniff(shapes)
    if hrnet_config is not None:
        return Published("hrnet", hrnet_config.joints, lambda: hrnet.HRNet(hrnet_config))
    simple = simplepose.sniff(shapes)
    if simple is not None:
        return Published("simplepose", simple.joints, lambda: simplepose.SimplePose(simple))
    fast = fastpose.sniff(shapes)
    if fast is not None:
        return Published("fastpose", fast.joints, lambda: FastPose(fast))
    return None


def _load_published(path: Path) -> tuple[nn.Module, EstimatorSpec]:
    """A published AlphaPose file: a state dict of tensors, perhaps under "state_dict" or "model"."""
    content = read_torch(path, kind="an estimator")
    if isinstance(content, dict):
        content = next((content[k] for k in ("state_dict", "model") if isinstance(content.get(k), dict)), content)
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path.name} holds no table of tensors.", file=path)
    tensors = {str(key).removeprefix("module."): value for key, value in content.items()}
    known = sniff_published({key: tuple(value.shape) for key, value in tensors.items()})
    if known is None:
        raise WeightsError(f"{path.name} is not a pose network that this program can build.", file=path)
    net = known.build()
    _fill(net, tensors, path)
    spec = _published_spec(known)
    return (net if spec.joints == known.joints else FirstJoints(net, spec.joints)), spec


class FirstJoints(nn.Module):
    """A network of which only the first outputs are wanted."""

    def __init__(self, net: nn.Module, joints: int) -> None:
        super().__init__()
        self.net = net
        self.joints = joints

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.net(x)
        return heatmaps[:, : self.joints]


def _published_spec(known: Published) -> EstimatorSpec:
    """Published models say nothing about themselves.

    33 outputs are the 2018 model, whose first 17 are COCO's joints and the others MPII's.
    """
    old = known.joints == OLD_JOINTS
    joints = 17 if old else known.joints
    name = {17: "coco_17", 26: "halpe_26", 136: "halpe_136"}.get(joints, "")
    width, height = (256, 320) if old else (192, 256)
    return EstimatorSpec(
        family=known.family,
        skeleton=name if name in skeleton_names() else "",
        joints=joints,
        input_wh=(width, height),
        heatmap_wh=(width // 4, height // 4),
        mean=ALPHAPOSE_MEAN,
        std=(1.0, 1.0, 1.0),
        decode="old" if old else "master",
        flip_shift=not old,
    )


def _check_header(header: EstimatorHeader, path: Path) -> None:
    network, spec = header.network, header.spec
    widths = (*network.planes, *network.duc, network.stem_width, network.joints)
    if header.kind != "estimator" or spec.family != "fastpose":
        raise WeightsError(f"{path.name} holds a {header.kind} ({spec.family}), not an estimator.", file=path)
    if not all(0 < width <= LARGEST_WIDTH for width in widths) or not 4 <= sum(network.depths) <= MOST_BLOCKS:
        raise WeightsError(f"{path.name} describes a network of impossible size.", file=path)
    if spec.joints != network.joints or any(side <= 0 or side % 32 for side in spec.input_wh):
        raise WeightsError(f"{path.name} contradicts itself about joints or input size.", file=path)
    if spec.decode not in ("master", "old", "integral") or spec.output != "heatmaps":
        raise WeightsError(f"{path.name} wants an unknown decoding, {spec.decode!r}.", file=path)


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors; older files and ours leave out num_batches_tracked, which evaluation never reads."""
    own = module.state_dict()
    wanted = {key for key in own if not key.endswith("num_batches_tracked")}
    missing = sorted(wanted - tensors.keys())
    surplus = sorted(tensors.keys() - own.keys())
    wrong = sorted(key for key in wanted & tensors.keys() if own[key].shape != tensors[key].shape)
    if missing or surplus or wrong:
        first = (missing or surplus or wrong)[0]
        raise WeightsError(
            f"{path.name} does not fit its network: {len(missing)} tensors missing, {len(surplus)} unknown, "
            f"{len(wrong)} of another shape (first: {first}).",
            file=path,
        )
    floats = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    module.load_state_dict(floats, strict=False)


def _ready(module: nn.Module, device: str | torch.device) -> nn.Module:
    module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module.eval().requires_grad_(False)


def _packed(value: Tensor, half: bool) -> Tensor:
    return value.half() if half else value.float()
