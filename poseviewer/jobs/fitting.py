"""The joint set of a project and that of the networks whose poses it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poseviewer.core.errors import ProjectError
from poseviewer.core.joint_conversion import conversion
from poseviewer.core.skeleton import Skeleton, skeleton, skeleton_names

if TYPE_CHECKING:
    from poseviewer.pipeline.networks import Networks
    from poseviewer.project import Project


def fit_joints(project: Project, networks: Networks) -> None:
    """Give a project that holds nobody yet the joints of the networks.

    A project is made when a video is opened, before anybody knows which network will be run. One that holds people
    keeps its joints; poses of another number of joints are refused when they come.

    Raises:
        ProjectError: if the project holds people of as many joints, but of other ones.
    """
    kit, mine = skeleton_of(networks), project.skeleton
    if kit.count == mine.count and (_agree(kit, mine) or not (_is_known(kit) and _is_known(mine))):
        return
    if not project.use_skeleton(kit) and kit.count == mine.count:
        raise ProjectError(
            f"The network finds the joints of {kit.title}, but the people of this project have those of {mine.title}.",
            file=project.path,
            remedy="Choose an estimator for that skeleton or make a new project.",
        )


def _agree(first: Skeleton, second: Skeleton) -> bool:
    return bool((conversion(first, second) == range(second.count)).all())


def _is_known(kit: Skeleton) -> bool:
    return kit.name in skeleton_names() and skeleton(kit.name).joints == kit.joints


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
