"""What a weight file is, before anything is built: family, depth, joints, input, conventions, what does not fit.

A file is read without executing anything (`nets.unpickle`), its tensors are freed of the wrappers and prefixes that
training programs put around them, and every family (`nets.families`) is asked whether the names and shapes are its own.
What the tensors do not say (input size, colour order, decoding) comes from the text that the file carries, from
its name and from the family's published files, and the report names which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.core.errors import WeightsError
from poseviewer.nets.conventions import GUESS, Hints, hints_of, spec_for, stride_first
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.nets.families import ALPHAPOSE, MMPOSE, Convention, Family, families
from poseviewer.nets.header import METADATA_KEY, decode_header
from poseviewer.nets.inert import plain, stand_ins
from poseviewer.nets.unpickle import (
    SAFETENSORS_SUFFIX,
    pickled_names,
    read_safetensors,
    read_torch,
    require_file,
    safetensors_metadata,
    sha256_of,
)

ONNX_SUFFIX = ".onnx"
CONTAINERS = ("state_dict", "model", "model_state_dict", "net", "network", "params")
ABOUT = ("meta", "epoch", "perf")
"""What may stand beside the tensors and is of use."""
PREFIXES = ("module.", "model.", "net.", "network.", "1.", "_orig_mod.", "pose_net.")
"""What training programs put before every name; "1." is HigherHRNet's half-precision wrapper."""
DROPPED = ("num_batches_tracked", "total_ops", "total_params")
"""Last parts of names of tensors that evaluation never reads."""
PUBLISHER_PREFIXES = (("keypoint_head.", "head."),)
"""MMPose before 1.0 and since."""
PREPROCESSOR = "data_preprocessor."
MOST_NAMED = 8


class Checkpoint(msgspec.Struct, frozen=True):
    """The report on one weight file.

    Attributes:
        file: path.
        sha256: of the file, 64 hexadecimal digits.
        format: "safetensors", "torch", "ONNX".
        kind: "estimator", or what else it is in words; "" if unknown.
        publisher: whose conventions hold, e.g. "HRNet".
        network: in words, e.g. "HRNet-W32".
        tensors, parameters: how many tensors, and numbers in them.
        wrapper: what was taken off, e.g. "state_dict, module."; "" if nothing.
        spec: what it is fed and answers with; None where no family knows it.
        stride_first: SimpleBaseline's Caffe form.
        known_by: for each fact that the tensors do not say, where it comes from.
        missing, unexpected, misshapen: names of tensors; the network opens only if all are empty.
        notes: what a person should know, one sentence each.
    """

    file: str
    sha256: str
    format: str
    kind: str = ""
    publisher: str = ""
    network: str = ""
    tensors: int = 0
    parameters: int = 0
    wrapper: str = ""
    spec: EstimatorSpec | None = None
    stride_first: bool = False
    known_by: dict[str, str] = {}
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def open_facts(self) -> tuple[str, ...]:
        """What nothing tells and was guessed, so that a person should settle it."""
        return tuple(fact for fact, source in self.known_by.items() if source == GUESS)

    @property
    def fits(self) -> bool:
        """Whether a network can be built and filled from it."""
        return self.spec is not None and not (self.missing or self.unexpected or self.misshapen)


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        tensors: by name, wrappers and prefixes taken off.
        about: what stood beside them, as plain data.
        wrapper: what was taken off.
    """

    tensors: dict[str, Tensor]
    about: dict[str, Any]
    wrapper: str = ""


@dataclass(frozen=True)
class Recognised:
    """The family of a state dict and what it is made of.

    Attributes:
        family: which.
        config: of the family's configuration type.
        tensors: under the family's names.
        foreign: MMPose's file of a network that is known by another publisher's names.
    """

    family: Family
    config: Any
    tensors: Mapping[str, Tensor]
    foreign: bool = False

    @property
    def convention(self) -> Convention:
        """Its publisher's convention."""
        own = self.family.convention(self.config)
        return MMPOSE if self.foreign and own.output == "heatmaps" else own


def inspect(path: str | Path) -> Checkpoint:
    """Return the report on a weight file; a file of another family has a report too.

    Raises:
        WeightsError: the file is missing, damaged, or wants something executed.
    """
    path = require_file(Path(path))
    if path.suffix.lower() == ONNX_SUFFIX:
        return _inspect_onnx(path)
    if path.suffix.lower() == SAFETENSORS_SUFFIX:
        metadata = safetensors_metadata(path)
        if METADATA_KEY in metadata:
            return _inspect_own(path, metadata[METADATA_KEY])
    return read_checkpoint(path)[0]


def _inspect_onnx(path: Path) -> Checkpoint:
    """The report on an ONNX file; it is opened by the program that would run it."""
    from poseviewer.nets.onnx_network import OnnxNetwork, onnx_spec

    spec, known_by, notes = onnx_spec(path, OnnxNetwork(path), guess=True)
    publisher = "PoseViewer" if "everything" in known_by else "unknown"
    return Checkpoint(
        file=str(path),
        sha256=sha256_of(path),
        format="ONNX",
        kind="estimator",
        publisher=publisher,
        network="ONNX graph" if publisher == "unknown" else WORDS.get(spec.family, spec.family),
        spec=spec,
        known_by=known_by,
        notes=notes,
    )


def _inspect_own(path: Path, text: str) -> Checkpoint:
    """The report on one of our own files, which describe themselves."""
    tensors, _ = read_safetensors(path)
    report = Checkpoint(
        file=str(path),
        sha256=sha256_of(path),
        format="safetensors",
        tensors=len(tensors),
        parameters=sum(value.numel() for value in tensors.values()),
    )
    header, known = decode_header(text, path)
    net = {key: value for key, value in tensors.items() if not key.startswith("stn.")}
    missing, unexpected, misshapen = differences(Recognised(known, header.network, net))
    return msgspec.structs.replace(
        report,
        kind="estimator",
        publisher="PoseViewer",
        network=network_words(Recognised(known, header.network, net)),
        spec=header.spec,
        known_by={"everything": "description in the file"},
        missing=missing,
        unexpected=unexpected,
        misshapen=misshapen,
        notes=tuple(text for text in (header.note, header.licence and f"Licence: {header.licence}.") if text),
    )


def read_checkpoint(path: Path) -> tuple[Checkpoint, Recognised | None]:
    """The report on a weight file that is not one of ours, and its family with the tensors under the family's names.

    Raises:
        WeightsError: as :func:`inspect`.
    """
    path = require_file(path)
    content = read_content(path)
    report = Checkpoint(
        file=str(path),
        sha256=sha256_of(path),
        format="safetensors" if path.suffix.lower() == SAFETENSORS_SUFFIX else "torch",
        tensors=len(content.tensors),
        parameters=sum(value.numel() for value in content.tensors.values()),
        wrapper=content.wrapper,
    )
    found = recognise(content.tensors)
    if found is None:
        return _stranger(report, content.tensors), None
    hints = hints_of(path, content.about)
    spec, known_by, notes = spec_for(found.family, found.config, found.convention, hints, path=path)
    fitting = configured(found, spec, hints)
    missing, unexpected, misshapen = differences(fitting)
    report = msgspec.structs.replace(
        report,
        kind="estimator",
        # AlphaPose's HRNet has HRNet's tensors; what it is fed tells whose it was taken for.
        publisher=ALPHAPOSE.title if spec.crop == ALPHAPOSE.crop else found.convention.title,
        network=network_words(fitting),
        spec=spec,
        stride_first=getattr(getattr(fitting.config, "backbone", None), "stride_first", False),
        known_by=known_by,
        missing=missing,
        unexpected=unexpected,
        misshapen=misshapen,
        notes=notes,
    )
    return report, fitting


def _stranger(report: Checkpoint, tensors: Mapping[str, Tensor]) -> Checkpoint:
    """The report on a file of no family: what it is if that is known, and its first tensors."""
    from poseviewer.nets.mmpose.table import named_only

    first = [f"{key} {' x '.join(map(str, value.shape)) or 'one number'}" for key, value in tensors.items()]
    return msgspec.structs.replace(
        report,
        network=named_only({key: tuple(value.shape) for key, value in tensors.items()}),
        notes=(f"It holds {first_names(tuple(first))}.",),
    )


def read_content(path: Path) -> Content:
    """The tensors of a file without their wrappers, and what stood beside them.

    Raises:
        WeightsError: the file is damaged, wants something executed, or holds no table of tensors.
    """
    if path.suffix.lower() == SAFETENSORS_SUFFIX:
        tensors, metadata = read_safetensors(path)
        return _unprefixed(tensors, dict(metadata), [])
    if any(name.startswith("ultralytics.") for name in pickled_names(path)):
        raise WeightsError(
            f"{path.name} is a network of the ultralytics package, not a pose estimator for crops.",
            file=path,
            remedy="Use it as detector, or with the pipeline onestage if it is a pose network.",
        )
    content = read_torch(path, stand_ins(), kind="an estimator")
    taken: list[str] = []
    about: dict[str, Any] = {}
    while isinstance(content, Mapping):
        inner = next((name for name in CONTAINERS if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            break
        about.update({key: plain(content[key]) for key in ABOUT if key in content})
        taken.append(inner)
        content = content[inner]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path.name} holds no table of tensors.", file=path)
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path.name} holds no tensors.", file=path)
    return _unprefixed(tensors, about, taken)


def _unprefixed(tensors: Mapping[str, Tensor], about: dict[str, Any], taken: list[str]) -> Content:
    """Without prefixes that all names share, MMPose's old names, its preprocessor and what evaluation never reads."""
    named = dict(tensors)
    while named and (prefix := next((one for one in PREFIXES if all(key.startswith(one) for key in named)), "")):
        named = {key.removeprefix(prefix): value for key, value in named.items()}
        taken.append(prefix)
    for old, new in PUBLISHER_PREFIXES:
        if any(key.startswith(old) for key in named):
            named = {new + key.removeprefix(old) if key.startswith(old) else key: v for key, v in named.items()}
            taken.append(f"{old} (now {new})")
    if single := _single_final(named):
        named = {key.replace(single, "head.final_layer."): value for key, value in named.items()}
        taken.append(f"{single} (now head.final_layer.)")
    for name in ("mean", "std"):
        value = named.pop(PREPROCESSOR + name, None)
        if value is not None and value.numel() == 3:
            about[PREPROCESSOR + name] = value.flatten().tolist()
    kept = {key: value for key, value in named.items() if key.rpartition(".")[2] not in DROPPED}
    return Content(kept, about, ", ".join(taken))


def _single_final(named: Mapping[str, Tensor]) -> str:
    """How MMPose before 1.0 numbered the one last convolution of a head without others; "" where it did not."""
    for stem in ("head.final_layers.", "head.final_layer."):
        numbers = {key.removeprefix(stem).partition(".")[0] for key in named if key.startswith(stem)}
        if numbers == {"0"} and not any(key.startswith("head.deconv_layers.0.0.") for key in named):
            return f"{stem}0."
    return ""


def recognise(tensors: Mapping[str, Tensor]) -> Recognised | None:
    """The first family that knows these tensors.

    MMPose's names are also tried without "backbone." and "head.", under which other publishers keep the same network.
    """
    spellings = [dict(tensors)]
    if any(key.startswith("backbone.") for key in tensors):
        bare = {key.removeprefix("backbone.").removeprefix("head."): value for key, value in tensors.items()}
        if len(bare) == len(tensors):
            spellings.append(bare)
    for spelling in spellings:
        shapes = {key: tuple(value.shape) for key, value in spelling.items()}
        for family in families():
            config = family.sniff(shapes)
            if config is not None:
                return Recognised(family, config, spelling, foreign=spelling is not spellings[0])
    return None


def configured(found: Recognised, spec: EstimatorSpec, hints: Hints) -> Recognised:
    """The same with what names and shapes of tensors do not say but the network needs.

    A network whose maps have a size of their own gets the one that belongs to the input. SimpleBaseline's Caffe form
    has its strides elsewhere.
    """
    config = found.config
    if found.family.name == "simplebaseline" and stride_first(hints):
        config = msgspec.structs.replace(config, backbone=msgspec.structs.replace(config.backbone, stride_first=True))
    if not found.family.fixed_size and hasattr(config, "map_wh"):
        config = msgspec.structs.replace(config, map_wh=spec.heatmap_wh)
    return Recognised(found.family, config, found.tensors, found.foreign)


def differences(found: Recognised) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Names of tensors that are missing, unexpected and of another shape; builds nothing but names and shapes."""
    with torch.device("meta"):
        own = found.family.build(found.config).state_dict()
    return unlike({key: tuple(value.shape) for key, value in own.items()}, found.tensors)


def unlike(
    own: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """As :func:`differences`, of a network's own names and shapes and a file's tensors."""
    wanted = {key for key in own if key.rpartition(".")[2] not in DROPPED}
    wrong = (key for key in wanted & tensors.keys() if own[key] != tuple(tensors[key].shape))
    return tuple(sorted(wanted - tensors.keys())), tuple(sorted(tensors.keys() - own.keys())), tuple(sorted(wrong))


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors; older files and ours leave out num_batches_tracked, which evaluation never reads.

    Raises:
        WeightsError: tensors are missing, unknown or of another shape.
    """
    own = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    refuse_unlike(*unlike(own, tensors), path)
    floats = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    module.load_state_dict(floats, strict=False)


def refuse_unlike(missing: Iterable[str], unexpected: Iterable[str], misshapen: Iterable[str], path: Path) -> None:
    """Raise WeightsError if a network and a file differ."""
    lists = [list(one) for one in (missing, unexpected, misshapen)]
    if any(lists):
        first = next(one[0] for one in lists if one)
        counts = ", ".join(
            f"{len(one)} {words}"
            for one, words in zip(lists, ("tensors missing", "unknown", "of another shape"), strict=True)
        )
        raise WeightsError(f"{path.name} does not fit its network: {counts} (first: {first}).", file=path)


def network_words(found: Recognised) -> str:
    """The network in words: family, and the depth or width that its publisher calls it by."""
    config = found.config
    name = WORDS.get(found.family.name, found.family.name)
    backbone = getattr(config, "backbone", config)
    depths = getattr(backbone, "depths", getattr(backbone, "blocks", None))
    width = getattr(getattr(config, "trunk", config), "width", 0)
    if isinstance(depths, tuple) and len(depths) == 4 and getattr(backbone, "block", "bottleneck") == "bottleneck":
        layers = 3 * sum(depths) + 2
        kind = "SE-ResNet" if getattr(backbone, "se_reduction", 0) else "ResNet"
        kind = "shuffled " + kind if getattr(backbone, "shuffle", False) else kind
        deform = ", DCN" if any(getattr(backbone, "deform", ())) else ""
        return name if "rtmpose" in found.family.name else f"{name}, {kind}-{layers}{deform}"
    return f"{name}-W{width}" if width and "hrnet" in found.family.name else name


WORDS = {
    "fastpose": "FastPose",
    "fastpose_duc": "FastPose DUC",
    "simplepose": "SimplePose",
    "simplebaseline": "SimpleBaseline",
    "hrnet": "HRNet",
    "higher_hrnet": "HigherHRNet",
    "posenet_ae": "PoseNet of associative embedding",
    "mmpose_resnet": "Heatmaps",
    "mmpose_hrnet": "HRNet",
    "mmpose_rtmpose": "RTMPose",
    "mmpose_simcc": "SimCC",
    "mmpose_integral": "Integral regression",
    "mmpose_regression": "Regression",
    "mmpose_vitpose": "ViTPose",
    "mmpose_hourglass": "Hourglass",
    "mmpose_mspn": "MSPN",
}


def first_names(names: tuple[str, ...]) -> str:
    """The first few of many names."""
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def million(count: int) -> str:
    """A number of parameters in words."""
    return f"{count / 1e6:.1f} million" if count >= 1e5 else f"{count:,}"


def size_words(size_wh: tuple[int, int]) -> str:
    """Width and height as people write them."""
    return f"{size_wh[0]} x {size_wh[1]}" if math.prod(size_wh) else "?"
