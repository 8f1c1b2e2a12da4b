"""The bundled joint sets against the published lists."""

from __future__ import annotations

import json
from collections.abc import Iterator

from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.skeleton import skeleton, skeleton_names

FILE = "hrnet_ae/keypoint_sets.json"
FILES_OF_THEIR_OWN = {"halpe26": "halpe_26", "humanart21": "humanart_21"}


@check(FILE, "joints, flips, limbs and sigmas")
def joint_sets(data: Vectors) -> Iterator[Comparison]:
    for key, known in json.loads(data.path.read_text()).items():
        name = FILES_OF_THEIR_OWN.get(key, f"{key}_{known['num']}")
        if name not in skeleton_names():
            yield Comparison(f"{name} is not bundled", float("inf"), 0)
            continue
        found = skeleton(name)
        yield same(f"{name} joints", found.count, known["num"])
        # A published flip that is not mutual cannot be undone and is left out.
        flip = known["flip_indices"]
        mutual = [other if flip[other] == joint else joint for joint, other in enumerate(flip)]
        yield same(f"{name} flip", found.flip, mutual)
        if known["limbs"]:
            yield same(f"{name} limbs", found.limbs, known["limbs"])
        if known["sigmas"]:
            yield close(f"{name} sigmas", found.sigmas, known["sigmas"], 1e-12)
        for joint, word in enumerate(known["keypoints"]):
            for side in ("left", "right"):
                if side in word.lower().replace("-", "_").split("_") and flip[joint] != joint:
                    yield Comparison(f"{name} {word}", float(found.sides[joint] != side), 0)
