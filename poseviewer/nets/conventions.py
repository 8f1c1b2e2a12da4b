"""From a recognised network to what it is fed: what tensors do not say is read elsewhere, and the report says where.

In this order: what a person settled before (a small JSON file beside the weights), the configuration text that MMPose
files carry, the file's name as publishers write it, the family's published files.
Facts: reference/alphapose.md sections 2, 3 and 14, reference/hrnet_ae_mmpose.md sections 1 to 8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from poseviewer.core.errors import WeightsError
from poseviewer.core.files import atomic_write
from poseviewer.core.skeleton import skeleton, skeleton_names
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.nets.families import (
    ALPHAPOSE,
    HRNET,
    IMAGENET_MEAN,
    MMPOSE,
    SIMPLEBASELINE,
    Convention,
    Family,
)

REMEMBERED_SUFFIX = ".poseviewer.json"
OLD_OUTPUTS, OLD_JOINTS = 33, 17
BY_COUNT = {
    8: "deepfashion_full_8",
    14: "crowdpose_14",
    15: "jhmdb_15",
    16: "mpii_16",
    17: "coco_17",
    21: "coco_wholebody_hand_21",
    26: "halpe_26",
    68: "300w_68",
    98: "wflw_98",
    106: "lapa_106",
    133: "coco_wholebody_133",
    136: "halpe_136",
}
"""The set that a published network with so many joints has most often."""
AMBIGUOUS = (14, 15, 68)
ALPHAPOSE_BY_COUNT = {68: "halpe_68"}
"""What AlphaPose means by so many joints where others mean another set."""
ALPHAPOSE_HRNET = "hrnet_w32_256x192"
"""The name of AlphaPose's own HRNet file; its tensors are named as HRNet's."""
HRNET_NAMES = re.compile(r"pose_hrnet_w\d+")
"""How the names of HRNet's released files begin."""
SIMPLEBASELINE_NAMES = re.compile(r"pose_resnet_(50|101|152)_\d+x\d+(\.pth)?$")
"""SimpleBaseline's released files, all of which have their strides on the 3x3 convolution."""
MMPOSE_NAMES = re.compile(r"-[0-9a-f]{8}_20\d{6}$")
"""How the names of MMPose's released files end; they name whatever is unlike its plain heatmaps."""
ALPHAPOSE_DECODINGS = (
    ("halpe136_fast_res50", "integral"),
    ("regression", "integral"),
    ("combined", "combined"),
)
"""Words in the names of AlphaPose's files; the first is released with a regression configuration."""
SEVERAL_DECODINGS = (21, 68, 133, 136)
"""Numbers of joints with which AlphaPose released heatmap, regression and combined models alike."""
SIZE_IN_NAME = re.compile(r"(?<![0-9a-z])(\d{2,4})x(\d{2,4})(?![0-9])")
SIZE_IN_TEXT = re.compile(r"(?:input_size|image_size)['\"]?\s*[=:]\s*(?:np\.array\()?[\[(]\s*(\d+)\s*,\s*(\d+)\s*[\])]")
SETTLED = ("skeleton", "input_wh", "mean", "std", "decode", "crop", "flip_shift", "bgr", "kernel")
"""What a person may settle."""
SETTLED_NETWORK = ("stride_first",)
"""What a person may settle about the network itself: SimpleBaseline's Caffe form has its strides elsewhere."""
ONE_SIZE = ("AlphaPose", "AlphaPose of 2018", "Associative embedding")
"""Publishers whose files all have one input size; the others' networks of one size have the tensors of another."""
GUESS = "guess"
"""The source of a fact that nothing tells: it is open until a person settles it."""


@dataclass(frozen=True)
class Hints:
    """What may tell what the tensors do not.

    Attributes:
        stem: the file's name without suffix, lower case.
        text: the configuration that an MMPose file carries; "" without.
        dataset: name of the data set in it.
        preprocessor: MMPose's mean and deviation of 0..255 pixels, where they were stored.
        settled: fields of the specification that a person settled.
    """

    stem: str = ""
    text: str = ""
    dataset: str = ""
    preprocessor: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    settled: Mapping[str, Any] = field(default_factory=dict)


def hints_of(path: Path, about: Mapping[str, Any]) -> Hints:
    """Hints from a file's name, from what stood beside its tensors, and from the file beside it."""
    meta = about.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    dataset = meta.get("dataset_meta")
    name = dataset.get("dataset_name", "") if isinstance(dataset, Mapping) else ""
    text = next((meta[key] for key in ("cfg", "config") if isinstance(meta.get(key), str)), "")
    mean, std = about.get("data_preprocessor.mean"), about.get("data_preprocessor.std")
    stored = (tuple(mean), tuple(std)) if isinstance(mean, list) and isinstance(std, list) else None
    return Hints(path.stem.lower(), text, str(name), stored, settled(path))


def settled(path: Path) -> dict[str, Any]:
    """What a person settled about a weight file before; empty without such a file.

    Raises:
        WeightsError: the file beside it is not readable.
    """
    beside = remembered_path(path)
    if not beside.is_file():
        return {}
    try:
        given = msgspec.json.decode(beside.read_bytes(), type=dict[str, Any])
    except (msgspec.MsgspecError, OSError) as error:
        raise WeightsError(f"{beside.name} cannot be read: {error}.", file=beside) from error
    return {key: value for key, value in given.items() if key in (*SETTLED, *SETTLED_NETWORK)}


def remember(path: Path, changes: Mapping[str, Any]) -> Path:
    """Write what a person settled beside the weight file, joined with what was settled before; returns the file.

    Raises:
        WeightsError: a name or a value makes no sense.
        OSError: the folder cannot be written to.
    """
    known = (*SETTLED, *SETTLED_NETWORK)
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise WeightsError(f"{unknown[0]!r} cannot be settled; what can: {', '.join(known)}.", file=path)
    for name in SETTLED_NETWORK:
        if not isinstance(changes.get(name, False), bool):
            raise WeightsError(
                f"What was settled about the weights makes no sense: {name} is true or false.", file=path
            )
    joined = {**settled(path), **changes}
    _applied(_EXAMPLE, joined, path)
    beside = remembered_path(path)
    with atomic_write(beside) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(joined)))
    return beside


def remembered_path(path: Path) -> Path:
    """The file beside a weight file that remembers what a person settled."""
    return path.with_name(path.name + REMEMBERED_SUFFIX)


def spec_for(
    family: Family, config: Any, convention: Convention, hints: Hints, *, path: Path | None = None
) -> tuple[EstimatorSpec, dict[str, str], tuple[str, ...]]:
    """What a network is fed and answers with; for each fact that tensors do not say its source; notes.

    Raises:
        WeightsError: what was settled makes no sense.
    """
    convention, sources, notes = _publisher(convention, hints)
    if convention == SIMPLEBASELINE:
        sources["stride_first"] = _stride_source(hints)
    input_wh = _input_size(family, config, convention, hints, sources)
    convention = _decoding(family, convention, hints, sources)
    if convention == ALPHAPOSE and config.joints in SEVERAL_DECODINGS:
        sources["decode"] = GUESS
        notes.append(
            "AlphaPose's models of so many joints are read as heatmaps, regression or both: heatmaps is a guess."
        )
    outputs = int(config.joints) + int(getattr(config, "dense", 0))
    joints = outputs // 3 if convention.decode == "udp_combined" else outputs
    if outputs == OLD_OUTPUTS:
        joints = OLD_JOINTS
        notes.append("Of its 33 outputs the first 17 are used, COCO's joints; the others are MPII's.")
    name = _joint_set(joints, hints, sources, notes, publisher=convention.title)
    mean, std = convention.mean, convention.std
    if hints.preprocessor is not None:
        mean, std = (_three(tuple(round(value / 255, 6) for value in values)) for values in hints.preprocessor)
        sources["mean"] = sources["std"] = "stored in the file"
    spec = EstimatorSpec(
        family=family.name,
        skeleton=name,
        joints=joints,
        input_wh=input_wh,
        heatmap_wh=_map_size(family, config, convention, input_wh),
        mean=mean,
        std=std,
        decode=convention.decode,
        output=convention.output,
        crop=convention.crop,
        flip_shift=convention.flip_shift,
        bgr=convention.bgr,
        kernel=_kernel(convention, hints),
    )
    return settled_spec(spec, hints, sources, path), sources, tuple(notes)


def settled_spec(spec: EstimatorSpec, hints: Hints, sources: dict[str, str], path: Path | None) -> EstimatorSpec:
    """The specification with what a person settled; ``sources`` says so.

    Raises:
        WeightsError: what was settled makes no sense.
    """
    sources.update(dict.fromkeys(hints.settled, "settled by hand"))
    return _applied(spec, hints.settled, path) if hints.settled else spec


def named_joints(joints: int, hints: Hints) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """The joint set of so many joints, "" if none is known; its source; notes."""
    sources: dict[str, str] = {}
    notes: list[str] = []
    return _joint_set(joints, hints, sources, notes), sources, tuple(notes)


def _publisher(convention: Convention, hints: Hints) -> tuple[Convention, dict[str, str], list[str]]:
    """The convention; AlphaPose's HRNet has the names of HRNet's and is told by the file's name."""
    sources = dict.fromkeys(("mean", "crop", "decode", "bgr", "flip_shift"), f"{convention.title}'s published files")
    notes: list[str] = []
    if convention == HRNET:
        alphapose = hints.stem == ALPHAPOSE_HRNET or "alphapose" in hints.stem
        named = alphapose or HRNET_NAMES.match(hints.stem) is not None
        sources.update(dict.fromkeys(("mean", "crop", "decode"), "file name" if named else GUESS))
        if alphapose:
            convention = ALPHAPOSE
        taken, other = ("AlphaPose's", "HRNet's") if alphapose else ("HRNet's", "AlphaPose's")
        notes.append(f"AlphaPose and HRNet name this network's tensors alike: it is taken for {taken}, not {other}.")
    return convention, sources, notes


def stride_first(hints: Hints) -> bool:
    """Whether SimpleBaseline's blocks stride in their first convolution: settled, or told by the file's name."""
    return bool(hints.settled.get("stride_first", "caffe" in hints.stem))


def _stride_source(hints: Hints) -> str:
    """Both forms have the same tensors."""
    return "file name" if "caffe" in hints.stem or SIMPLEBASELINE_NAMES.match(hints.stem) else GUESS


def _input_size(
    family: Family, config: Any, convention: Convention, hints: Hints, sources: dict[str, str]
) -> tuple[int, int]:
    if family.fixed_size:
        sources["input_wh"] = "tensors"
        return convention.input_wh
    if found := SIZE_IN_TEXT.search(hints.text):
        width, height = int(found[1]), int(found[2])
        if _usable(width, height):
            sources["input_wh"] = "configuration in the file"
            return width, height
    for height_text, width_text in SIZE_IN_NAME.findall(hints.stem):
        if _usable(int(width_text), int(height_text)):
            sources["input_wh"] = "file name"
            return int(width_text), int(height_text)
    if convention.output == "tags" and (found := re.search(r"(?<!\d)(512|640)(?!\d)", hints.stem)):
        sources["input_wh"] = "file name"
        return int(found[1]), int(found[1])
    published = f"{convention.title}'s published files"
    if convention.output != "tags" and config.joints == 16:
        sources["input_wh"] = GUESS if convention.title == MMPOSE.title else published
        return 256, 256
    sources["input_wh"] = published if convention.title in ONE_SIZE else GUESS
    return convention.input_wh


def _usable(width: int, height: int) -> bool:
    return all(32 <= side <= 2048 and side % 32 == 0 for side in (width, height))


def _decoding(family: Family, convention: Convention, hints: Hints, sources: dict[str, str]) -> Convention:
    """The convention with the decoding that the file's text or name asks for."""
    if convention.output != "heatmaps":
        return convention
    if convention == ALPHAPOSE:
        decode = next((value for word, value in ALPHAPOSE_DECODINGS if word in hints.stem), "")
        if not decode:
            return convention
        sources["decode"] = "file name"
        return convention._replace(decode=decode)  # type: ignore[arg-type]
    if convention.title in (MMPOSE.title, HRNET.title):
        mmpose = convention.title == MMPOSE.title
        return _heatmap_codec(convention, hints, sources, mmpose=mmpose)
    return convention


def _heatmap_codec(convention: Convention, hints: Hints, sources: dict[str, str], *, mmpose: bool) -> Convention:
    """MMPose's heatmaps come in five kinds; DARK and UDP also exist for HRNet's own files."""
    text = hints.text
    if text:
        kinds = (
            ("udp_combined", r"heatmap_type\s*=\s*'combined'|target_type\s*=\s*'CombinedTarget'"),
            ("udp", r"UDPHeatmap|use_udp\s*=\s*True"),
            ("megvii", r"MegviiHeatmap|post_process\s*=\s*'megvii'"),
            ("dark", r"unbiased\s*=\s*True|post_process\s*=\s*'unbiased'"),
            ("msra", r"MSRAHeatmap|post_process\s*=\s*'default'"),
        )
        decode = next((name for name, pattern in kinds if re.search(pattern, text)), convention.decode)
        source = "configuration in the file"
    else:
        decode = next((name for name in ("udp", "megvii", "dark") if re.search(rf"(?<![a-z]){name}", hints.stem)), "")
        source = "file name"
    if not decode or decode == convention.decode:
        if mmpose and convention.decode == "msra":
            told = source if text or MMPOSE_NAMES.search(hints.stem) else GUESS
            sources.update(decode=told, crop=told, flip_shift=told)
        return convention
    sources.update(decode=source, crop=source, flip_shift=source)
    udp = decode.startswith("udp")
    if not mmpose and not udp:
        return convention._replace(decode=decode)  # type: ignore[arg-type]
    return convention._replace(
        decode=decode,  # type: ignore[arg-type]
        crop="mmpose_udp" if udp else "mmpose",
        flip_shift=not udp,
    )


def _kernel(convention: Convention, hints: Hints) -> int:
    """Of the blur before decoding: what the text says, or what belongs to its sigma."""
    if found := re.search(r"(?:blur_kernel_size|modulate_kernel|kernel_size|\bkernel)\s*=\s*(\d{1,2})\b", hints.text):
        size = int(found[1])
        if size % 2:
            return size
    if re.search(r"sigma\s*=\s*3(?:\.0*)?\b", hints.text):
        return 17
    return convention.kernel


def _map_size(family: Family, config: Any, convention: Convention, input_wh: tuple[int, int]) -> tuple[int, int]:
    """Cells of a map; bins for SimCC; the input itself for coordinates."""
    if convention.output == "simcc":
        bins = getattr(config, "bins", None) or (2 * input_wh[0], 2 * input_wh[1])
        return int(bins[0]), int(bins[1])
    if convention.output == "regression":
        return input_wh
    return input_wh[0] // convention.stride, input_wh[1] // convention.stride


def _joint_set(joints: int, hints: Hints, sources: dict[str, str], notes: list[str], *, publisher: str = "") -> str:
    """The bundled joint set: by the data set's name, by the file's name, by the publisher and the number of joints.

    The number alone does not tell of MMPose, which has networks for all sets.
    """
    names = [name for name in skeleton_names() if skeleton(name).count == joints]
    if hints.dataset:
        wanted = hints.dataset.lower().replace("-", "_")
        for name in (f"{wanted}_{joints}", wanted):
            if name in names:
                sources["skeleton"] = "data set named in the file"
                return name
    known = sorted(names, key=len, reverse=True)
    for name in known:
        word = name.rpartition("_")[0]
        if re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", hints.stem.replace("-", "_")):
            sources["skeleton"] = "file name"
            return name
    own = ALPHAPOSE_BY_COUNT.get(joints, "") if publisher == ALPHAPOSE.title else ""
    name = own or BY_COUNT.get(joints, "")
    if name not in names:
        notes.append(f"No joint set with {joints} joints is known for it, so its joints have numbers instead of names.")
        return ""
    sources["skeleton"] = "number of joints"
    if (joints in AMBIGUOUS and not own) or (publisher == MMPOSE.title and len(names) > 1):
        sources["skeleton"] = GUESS
        notes.append(f"Several joint sets have {joints} joints: {name} is a guess.")
    return name


def _applied(spec: EstimatorSpec, changes: Mapping[str, Any], path: Path | None) -> EstimatorSpec:
    """The specification with what was settled; heatmaps keep their number of cells per pixel."""
    try:
        raw = {**msgspec.to_builtins(spec), **{name: changes[name] for name in SETTLED if name in changes}}
        made = msgspec.convert(raw, EstimatorSpec)
    except msgspec.ValidationError as error:
        raise WeightsError(f"What was settled about the weights makes no sense: {error}.", file=path) from error
    if not _usable(*made.input_wh):
        raise WeightsError(f"An input of {made.input_wh[0]} x {made.input_wh[1]} pixels is not possible.", file=path)
    if made.output != "heatmaps" or made.input_wh == spec.input_wh:
        return made
    stride = spec.input_wh[0] / spec.heatmap_wh[0]
    maps = round(made.input_wh[0] / stride), round(made.input_wh[1] / stride)
    return msgspec.structs.replace(made, heatmap_wh=maps)


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    return values[0], values[1], values[2]


_EXAMPLE = EstimatorSpec("", "", 17, (192, 256), (48, 64), IMAGENET_MEAN, (1.0, 1.0, 1.0), "hrnet")
