"""Annotations as AlphaPose's data sets read them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.core.joint_conversion import conversion, converted
from poseviewer.core.skeleton import skeleton
from poseviewer.formats.whole_body import SEEN_FROM, whole_body
from poseviewer.training.alphapose_people import read_people

FILE = "alphapose/halpe_convert.json"
PICTURE_WH = (640, 480)


@check(FILE, "readers")
def readers(data: Vectors) -> Iterator[Comparison]:
    for reader, cases in json.loads(data.path.read_text()).items():
        for number, case in enumerate(cases):
            found = read_people(case["input"], reader, PICTURE_WH)
            yield same(f"{reader} {number} people", len(found), len(case["output"]))
            for person, wanted in zip(found, case["output"], strict=False):
                yield close(f"{reader} {number} joints", person.joints, wanted["joints_xyv"], 1e-9)
                # The boxes of hands hold random draws.
                if reader != "single_hand":
                    yield close(f"{reader} {number} box", person.box, wanted["bbox"], 1e-9)


@check(FILE, "by joint names")
def names(data: Vectors) -> Iterator[Comparison]:
    """Reading WholeBody as Halpe with the feet in Halpe's order is the conversion by joint names."""
    order = conversion(skeleton("coco_wholebody_133"), skeleton("halpe_136"))
    for number, case in enumerate(json.loads(data.path.read_text()).get("halpe_coco_wholebody_136", [])):
        joints = whole_body(case["input"])
        joints[:, 2] = joints[:, 2] >= SEEN_FROM
        found = read_people(case["input"], "halpe_coco_wholebody_136", PICTURE_WH, halpe_feet=True)
        yield same(f"joints {number}", found[0].joints, converted(joints, order))
