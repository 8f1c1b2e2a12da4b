"""MMPose's networks: every list of the file is recognised by shapes alone and built with the same keys and shapes.

RTMO's is recognised and refused: the reference lists its names and says nothing of what it computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import torch
from goldenfolder import Comparison, Vectors, check, same

from poseviewer.nets.mmpose.table import named_only, recognise

FILE = "hrnet_ae/state_dicts_mmpose.json"


@check(FILE, "keys and shapes")
def keys_and_shapes(data: Vectors) -> Iterator[Comparison]:
    for name, listed in json.loads(data.path.read_text()).items():
        wanted = {key: tuple(shape) for key, shape in listed.items()}
        found = recognise(wanted)
        if named_only(wanted):
            yield same(f"{name}: {named_only(wanted)}, not built and nobody's", found is None, True)
            continue
        if found is None:
            yield Comparison(f"{name}: not recognised", float("inf"), 0.0)
            continue
        family, config = found
        with torch.device("meta"):
            own = {key: tuple(value.shape) for key, value in family.build(config).state_dict().items()}
        different = sorted(key for key in own.keys() | wanted.keys() if own.get(key) != wanted.get(key))
        yield Comparison(f"{name} ({family.name}): {different[:3]}", float(len(different)), 0.0)
        yield same(f"{name}: order of keys", list(own) == list(wanted), True)
