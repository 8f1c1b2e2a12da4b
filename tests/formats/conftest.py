"""Projects over real pictures, with people in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cocomade import pose, result, write_pictures

from poseviewer.media import open_media
from poseviewer.project import Project


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of four pictures of different sizes."""
    folder = tmp_path / "pictures"
    write_pictures(folder, ["walk1.png", "walk2.png", "walk10.png", "walk11.png"])
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project."""
    with Project.create(tmp_path / "walk.poseproj") as made:
        yield made


@pytest.fixture
def predicted(project: Project, pictures: Path) -> int:
    """The pictures as a media of the project, three frames predicted: two people, one, nobody."""
    with open_media(pictures) as opened:
        media = project.add_media(opened.info)
    run = project.start_run(media, {}, {}, [0, 1, 2])
    project.store_results(run, [result(0, pose(seed=1), pose(30, 12, seed=2)), result(1, pose(seed=3)), result(2)])
    project.finish_run(run, "done")
    return media
