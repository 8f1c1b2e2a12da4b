"""Limbs and colours of AlphaPose's drawings."""

from __future__ import annotations

import json
from collections.abc import Iterator

from goldenfolder import Comparison, Vectors, check, same

from poseviewer.core.drawing import alphapose_drawing


@check("alphapose/skeleton.json", "limbs and colours")
def drawings(data: Vectors) -> Iterator[Comparison]:
    for joints, wanted in json.loads(data.path.read_text()).items():
        if not joints.isdigit():
            continue
        found = alphapose_drawing(int(joints))
        yield same(f"{joints} limbs", found.limbs, wanted["limbs"])
        yield same(f"{joints} points", [colour[::-1] for colour in found.points], wanted["point_bgr"])
        yield same(f"{joints} lines", [colour[::-1] for colour in found.lines], wanted["line_bgr"])
