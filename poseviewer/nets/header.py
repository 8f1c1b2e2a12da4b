"""The description that our own estimator files carry: JSON under "poseviewer" in the safetensors metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from poseviewer.core.errors import WeightsError
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.nets.families import Family, family
from poseviewer.nets.sniffing import LARGEST_WIDTH, MOST_BLOCKS
from poseviewer.nets.stn import LocaliserConfig

METADATA_KEY = "poseviewer"
COUNTED = ("depths", "blocks", "modules", "convolutions", "layers", "stacks", "deform")
"""Fields of configurations that count parts."""
DECODINGS: dict[str, set[str]] = {
    "heatmaps": {"master", "old", "integral", "combined", "hrnet", "msra", "dark", "udp", "udp_combined", "megvii"},
    "simcc": {"simcc"},
    "regression": {"regression"},
    "tags": {"newell", "higher", "mmpose_ae"},
}


class EstimatorHeader(msgspec.Struct, frozen=True):
    """The JSON that travels in the safetensors metadata.

    Attributes:
        spec: what the network is fed and answers with.
        network: what it is made of, a value of its family's configuration type.
        localiser: of the spatial transformer, where there is one.
        kind: "estimator".
        learnt: frames that retrainings learnt: a media's content fingerprint, or a mark of a picture, to spans (first,
            last), both included; nobody measures a later retraining on them.
    """

    spec: EstimatorSpec
    network: Any
    localiser: LocaliserConfig | None = None
    kind: str = "estimator"
    version: int = 1
    licence: str = ""
    note: str = ""
    learnt: dict[str, tuple[tuple[int, int], ...]] = {}


def decode_header(text: str, path: Path) -> tuple[EstimatorHeader, Family]:
    """The header and its family; ``network`` is of the family's configuration type.

    Raises:
        WeightsError: it is not a header of an estimator that this version knows.
    """
    try:
        kind = msgspec.json.decode(text, type=_Kind)
    except msgspec.MsgspecError as error:
        raise WeightsError(f"The description in {path.name} is damaged, so it cannot be opened.", file=path) from error
    if kind.kind != "estimator":
        what = "person detector" if kind.family == "yolo" else kind.kind or "network"
        raise WeightsError(f"{path.name} holds a {what}, not a pose estimator.", file=path)
    try:
        header = msgspec.json.decode(text, type=EstimatorHeader)
        known = family(header.spec.family)
        if known is None:
            raise WeightsError(
                f"{path.name} holds a network that this version does not know ({header.spec.family}).", file=path
            )
        network = msgspec.convert(header.network, known.config)
    except msgspec.MsgspecError as error:
        raise WeightsError(
            f"{path.name} describes itself in a way that this version does not understand: {error}.", file=path
        ) from error
    header = msgspec.structs.replace(header, network=network)
    _check(header, path)
    return header, known


def _check(header: EstimatorHeader, path: Path) -> None:
    """Refuse what would build a network that no memory holds, and what contradicts itself."""
    network, spec = header.network, header.spec
    if not all(_possible(part) for part in (network, header.localiser) if part is not None):
        raise WeightsError(f"{path.name} describes a network of impossible size.", file=path)
    joints = getattr(network, "joints", spec.joints)
    if spec.joints != joints or any(side <= 0 or side % 32 for side in spec.input_wh):
        raise WeightsError(f"{path.name} contradicts itself about joints or input size.", file=path)
    if min(spec.heatmap_wh) <= 0 or min(spec.std) <= 0:
        raise WeightsError(f"{path.name} contradicts itself about maps or normalisation.", file=path)
    if DECODINGS[spec.output].isdisjoint({spec.decode}):
        raise WeightsError(f"{path.name} wants an unknown decoding, {spec.decode!r}.", file=path)


def _possible(network: msgspec.Struct) -> bool:
    """Whether no width is above `LARGEST_WIDTH` and no more than `MOST_BLOCKS` blocks are asked for."""
    blocks = 0
    for name in network.__struct_fields__:
        value = getattr(network, name)
        if isinstance(value, msgspec.Struct):
            if not _possible(value):
                return False
            continue
        numbers = [n for n in (value if isinstance(value, tuple) else (value,)) if isinstance(n, int)]
        if any(not 0 <= number <= LARGEST_WIDTH for number in numbers):
            return False
        blocks += sum(numbers) if name in COUNTED else 0
    return blocks <= MOST_BLOCKS


class _Kind(msgspec.Struct, frozen=True):
    kind: str = ""
    family: str = ""
