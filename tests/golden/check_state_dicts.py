"""Names, types and shapes of the networks' tensors, against the lists of the public code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping

from goldenfolder import Comparison, Vectors, check, same
from netfill import beside, build, recognised

Entries = Mapping[str, tuple[str, tuple[int, ...]]]


@check("alphapose/state_dicts.json.gz", "names, types and shapes; families recognised by them")
def _alphapose(v: Vectors) -> Iterator[Comparison]:
    with gzip.open(v.path) as stream:
        stored = json.load(stream)
    index = json.loads(beside(v.path, "nets_index.json").read_text())
    for name, texts in stored.items():
        entries = {key: parsed(text) for key, text in texts.items()}
        if "error" in index[name]:
            yield same(f"{name} cannot be run", len(recognised(shapes_of(entries))), 0)
        else:
            yield from _differences(name, entries)


def parsed(text: str) -> tuple[str, tuple[int, ...]]:
    """Type and shape of a text such as ``float32[64, 3]``."""
    kind, inside = text.rstrip("]").split("[")
    return kind, tuple(int(part) for part in inside.split(",") if part.strip())


def shapes_of(entries: Entries) -> dict[str, tuple[int, ...]]:
    """The shapes alone."""
    return {key: shape for key, (_, shape) in entries.items()}


def _hrnet_ae(v: Vectors) -> Iterator[Comparison]:
    for name, listed in json.loads(v.path.read_text()).items():
        shapes = {key: tuple(shape) for key, shape in listed.items()}
        kinds = {key: "int64" if key.endswith("num_batches_tracked") else "float32" for key in shapes}
        yield from _differences(name, {key: (kinds[key], shape) for key, shape in shapes.items()})


for _family in ("hrnet", "higher_hrnet", "simplebaseline", "posenet_ae"):
    check(f"hrnet_ae/state_dicts_{_family}.json", "names and shapes; families recognised by them")(_hrnet_ae)


def _differences(name: str, wanted: Entries) -> Iterator[Comparison]:
    """How many tensors differ between a list and the network built from nothing but its names and shapes."""
    families = recognised(shapes_of(wanted))
    yield same(f"{name}: families {families}", len(families), 1)
    if len(families) == 1:
        own = build(shapes_of(wanted)).state_dict()
        found = {key: (str(value.dtype).removeprefix("torch."), tuple(value.shape)) for key, value in own.items()}
        yield same(f"{name}: tensors that differ", len(wanted.items() ^ found.items()), 0)
        yield same(f"{name}: order", list(found) == list(wanted), True)
