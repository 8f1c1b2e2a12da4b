"""Projects that hold nobody yet take the joints of what comes in first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cocomade import finish, pose, result, write_json, write_pictures

from poseviewer.core.changes import Changes
from poseviewer.core.errors import ProjectError
from poseviewer.core.skeleton import skeleton
from poseviewer.jobs.fitting import fit_joints
from poseviewer.jobs.importing import import_file
from poseviewer.media import open_media
from poseviewer.project import Project, edits


class Networks:
    """What matters of networks here."""

    skeleton = "halpe_136"
    joints = 136


def test_an_empty_project_takes_the_networks_joints(tmp_path: Path) -> None:
    heard: list[Changes] = []
    with Project.create(tmp_path / "p.poseproj") as project:
        project.changes.connect(heard.append)
        fit_joints(project, Networks())  # type: ignore[arg-type]
        assert project.skeleton == skeleton("halpe_136")
        assert [changes.kinds for changes in heard] == [{"settings"}]
        fit_joints(project, Networks())  # type: ignore[arg-type]
        assert len(heard) == 1
    with Project.open(tmp_path / "p.poseproj") as project:
        assert project.skeleton == skeleton("halpe_136")


def test_as_many_joints_are_not_always_the_same_joints(tmp_path: Path) -> None:
    networks = Networks()
    networks.skeleton, networks.joints = "coco_17", 17
    write_pictures(tmp_path / "p", ["a.png"])
    with Project.create(tmp_path / "p.poseproj", "h36m_17") as project, open_media(tmp_path / "p") as media:
        number = project.add_media(media.info)
        project.store_results(project.start_run(number, {}, {}, [0]), [result(0, pose())])
        with pytest.raises(ProjectError, match="Human3"):
            fit_joints(project, networks)  # type: ignore[arg-type]
    with Project.create(tmp_path / "e.poseproj", "h36m_17") as project:
        fit_joints(project, networks)  # type: ignore[arg-type]
        assert project.skeleton.name == "coco_17"
    with Project.create(tmp_path / "t.poseproj", "humanart_17") as project:
        fit_joints(project, networks)  # type: ignore[arg-type]
        assert project.skeleton.name == "humanart_17"


@pytest.mark.parametrize("corrected", [False, True])
def test_a_project_with_people_keeps_its_joints(tmp_path: Path, *, corrected: bool) -> None:
    write_pictures(tmp_path / "p", ["a.png"])
    with Project.create(tmp_path / "p.poseproj") as project, open_media(tmp_path / "p") as media:
        number = project.add_media(media.info)
        run = project.start_run(number, {}, {}, [0])
        if corrected:
            points = tuple((20.0, 20.0) for _ in range(17))
            project.apply(edits.AddPerson(media=number, frame=0, keypoints=points, visibility=(2,) * 17))
            project.undo()
        else:
            project.store_results(run, [result(0, pose())])
        fit_joints(project, Networks())  # type: ignore[arg-type]
        assert project.skeleton == skeleton()
        whole = pose()
        many = type(whole)(np.zeros((136, 2), np.float32), np.zeros(136, np.float32), whole.box, 0.5)
        with pytest.raises(ProjectError, match="136 joints"):
            project.store_results(run, [result(0, many)])


def test_an_import_into_an_empty_project_loses_no_joints(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png"])
    for joints, name in ((133, "coco_wholebody_133"), (17, "coco_17")):
        rows = [{"image_id": "a.png", "category_id": 1, "keypoints": [5.0, 5, 0.5] * joints, "score": 1.0}]
        file = write_json(tmp_path / f"{joints}.json", rows)
        with Project.create(tmp_path / f"{joints}.poseproj") as project:
            finish(import_file(file, tmp_path / "p", project))
            assert project.skeleton.name == name
    with Project.create(tmp_path / "h.poseproj", "h36m_17") as project:
        finish(import_file(tmp_path / "17.json", tmp_path / "p", project))
        assert project.skeleton.name == "h36m_17"
