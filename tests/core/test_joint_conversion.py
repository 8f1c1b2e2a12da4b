"""Joints of one set in another."""

from __future__ import annotations

import numpy as np
import pytest

from poseviewer.core.joint_conversion import conversion, conversion_of_names, converted, known_names, skeleton_of_joints
from poseviewer.core.skeleton import skeleton, skeleton_names


@pytest.mark.parametrize("name", skeleton_names())
def test_every_set_is_itself(name: str) -> None:
    kit = skeleton(name)
    assert conversion(kit, kit).tolist() == list(range(kit.count))
    assert len(set(known_names(kit.joints, name))) == kit.count


@pytest.mark.parametrize(
    ("source", "target", "pairs"),
    [
        ("mpii_16", "halpe_26", {"head": "head top", "neck": "upper neck", "hip": "pelvis", "left hip": "left hip"}),
        ("lsp_14", "coco_17", {"left wrist": "left wrist", "nose": None}),
        ("aic_14", "crowdpose_14", {"top head": "head top", "neck": "neck"}),
        ("coco_wholebody_133", "halpe_136", {"left small toe": "left small toe", "face 9": "face 9", "head": None}),
        ("300w_68", "halpe_136", {"face 67": "point 67"}),
        ("aflw_19", "wflw_98", {"point 3": None}),
        ("interhand3d_42", "coco_wholebody_133", {"left hand root": "left wrist", "left wrist": None}),
        ("mpi_inf_3dhp_17", "jhmdb_15", {"head": "head top"}),
    ],
)
def test_joints_that_coincide(source: str, target: str, pairs: dict[str, str | None]) -> None:
    first, second = skeleton(source), skeleton(target)
    order = conversion(first, second)
    for joint, wanted in pairs.items():
        found = order[second.joints.index(joint)]
        assert (first.joints[found] if found >= 0 else None) == wanted


def test_halpe_comes_back_from_whole_body() -> None:
    halpe, whole = skeleton("halpe_136"), skeleton("coco_wholebody_133")
    there, back = conversion(whole, halpe), conversion(halpe, whole)
    assert (there[back] == np.arange(133)).all()


def test_what_the_source_has_not_is_not_visible() -> None:
    values = np.arange(1, 29, dtype=np.float32).reshape(14, 2)
    order = conversion(skeleton("lsp_14"), skeleton())
    found = converted(values, order)
    assert found.shape == (17, 2)
    assert (found[:5] == 0).all()
    assert (found[9] == values[11]).all()


def test_names_of_a_file() -> None:
    order = conversion_of_names(["Left_Wrist", "upper-neck", "tail"], skeleton("crowdpose_14"))
    assert order[4] == 0
    assert order[13] == 1
    assert (np.delete(order, [4, 13]) == -1).all()
    assert skeleton_of_joints([name.replace(" ", "_") for name in skeleton().joints]) is skeleton()
    assert skeleton_of_joints(["nose"]) is None
