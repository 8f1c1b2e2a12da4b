"""Projects, runs and people to test with, without any pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_up import media_info

from poseviewer.core.values import FrameResult
from poseviewer.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project, closed after the test."""
    with Project.create(tmp_path / "walk.poseproj") as made:
        yield made


@pytest.fixture
def media(project: Project) -> int:
    """A media of the project."""
    return project.add_media(media_info())


@pytest.fixture
def run(project: Project, media: int) -> Callable[..., int]:
    """Store the given results as one finished run and return its id."""

    def store(*results: FrameResult) -> int:
        made = project.start_run(media, {"pipeline": "topdown"}, {"device": "cpu"}, [r.frame for r in results])
        project.store_results(made, results)
        project.finish_run(made, "done")
        return made

    return store
