"""The joint set of a project and that of the networks whose poses it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poseviewer.core.skeleton import Skeleton, skeleton, skeleton_names

if TYPE_CHECKING:
    from poseviewer.pipeline.networks import Networks
    from poseviewer.project import Project


def fit_joints(project: Project, networks: Networks) -> None:
    """Give a project that holds nobody yet the joints of the networks.

    A project is made when a video is opened, before anybody knows which network will be run. One that holds people
    keeps its joints; poses of other joints are refused when they come.
    """
    if project.skeleton.count != networks.joints:
        project.use_skeleton(skeleton_of(networks))


def skeleton_of(networks: Networks) -> Skeleton:
    """Return the skeleton that the estimator was trained for; plain numbered joints where nobody says which."""
    if networks.skeleton in skeleton_names() and skeleton(networks.skeleton).count == networks.joints:
        return skeleton(networks.skeleton)
    count = networks.joints
    return Skeleton(
        name=f"joints_{count}",
        title=f"{count} joints without names",
        joints=tuple(f"joint {number}" for number in range(1, count + 1)),
        limbs=(),
        flip=tuple(range(count)),
        sides=tuple("centre" for _ in range(count)),
        sigmas=(1 / count,) * count,
    )
