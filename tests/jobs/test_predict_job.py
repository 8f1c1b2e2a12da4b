"""Runs that stream into a project: kept when cancelled, continued, and not stopped by one bad picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from cocomade import finish, write_pictures
from fakepipeline import FakeNetworks, Unreadable, write_clip

from poseviewer.core.errors import DeviceError, MediaError, WeightsError
from poseviewer.core.progress import FrameDone, Note, Progress
from poseviewer.core.values import FrameResult
from poseviewer.jobs.predict import config_of_run, predict
from poseviewer.media import Media, open_media
from poseviewer.pipeline.config import NmsConfig, PipelineConfig
from poseviewer.project import Project

CONFIG = PipelineConfig()


@pytest.fixture
def media(tmp_path: Path) -> Iterator[Media]:
    with open_media(write_clip(tmp_path / "clip.mp4")) as opened:
        opened.confirm()
        yield opened


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "clip.poseproj") as made:
        yield made


def test_results_are_stored_and_told(fake_pipeline: FakeNetworks, media: Media, project: Project) -> None:
    number = project.add_media(media.info)
    events: list[object] = []
    report = finish(predict(project, media, number, range(12), CONFIG, fake_pipeline), events)
    assert (report.frames, report.people, report.unreadable) == (12, 18, 0)
    assert [event.frame for event in events if isinstance(event, FrameDone)] == list(range(12))
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert (last.done, last.total) == (12, 12)
    (run,) = project.runs(number)
    assert (run.outcome, run.done_count, run.id) == ("done", 12, report.run)
    assert config_of_run(run.config) == msgspec.structs.replace(CONFIG, nms=NmsConfig(), flip=False), "no wishes"
    assert [len(project.people(number, frame)) for frame in range(4)] == [2, 1, 2, 1]
    assert len(project.frame_row(number, 3).fingerprint) == 16  # type: ignore[union-attr]


def test_cancelling_keeps_what_is_finished_and_the_run_goes_on(
    fake_pipeline: FakeNetworks, media: Media, project: Project
) -> None:
    number = project.add_media(media.info)
    job = predict(project, media, number, range(12), CONFIG, fake_pipeline)
    done = 0
    for event in job:
        done += isinstance(event, FrameDone)
        if done == 5:
            break
    job.close()
    (run,) = project.runs(number)
    assert (run.outcome, run.done_count) == ("cancelled", 5)
    assert project.unfinished(run.id) == tuple(range(5, 12))
    report = finish(predict(project, media, number, [], CONFIG, fake_pipeline, continue_run=run.id))
    assert (report.frames, report.run) == (7, run.id)
    (run,) = project.runs(number)
    assert (run.outcome, run.done_count) == ("done", 12)


def test_a_run_records_the_numbers_that_belong_to_its_estimator(
    fake_pipeline: FakeNetworks, media: Media, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_pipeline, "spec", msgspec.structs.replace(fake_pipeline.spec, decode="old"))
    monkeypatch.setattr(fake_pipeline, "estimator", SimpleNamespace(open_facts=("crop", "decode")))
    number = project.add_media(media.info)
    events: list[object] = []
    finish(predict(project, media, number, range(3), CONFIG, fake_pipeline), events)
    finish(predict(project, media, number, range(3), PipelineConfig(nms=NmsConfig(gamma=9.0)), fake_pipeline))
    first, second = (config_of_run(run.config).nms for run in project.runs(number))
    assert (first, second) == (NmsConfig(version="old"), NmsConfig(gamma=9.0))
    (told,) = [event.text for event in events if isinstance(event, Note)]
    assert told.startswith("fake.pth does not say its crop, decode; these were guessed")


def test_an_error_keeps_what_is_finished_and_is_noted(
    fake_pipeline: FakeNetworks, media: Media, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakepipeline import fake_run

    def failing(*args: object, **fields: object) -> Iterator[object]:
        for result in fake_run(*args, **fields):  # type: ignore[arg-type]
            if result.frame == 7:
                raise DeviceError("The device has no memory left.")
            yield result

    monkeypatch.setattr("poseviewer.pipeline.run.run", failing)
    number = project.add_media(media.info)
    into: list[object] = []
    with pytest.raises(DeviceError):
        finish(predict(project, media, number, range(12), CONFIG, fake_pipeline, into=into))  # type: ignore[arg-type]
    (run,) = project.runs(number)
    assert (run.outcome, run.done_count, run.note) == ("error", 7, "The device has no memory left.")
    assert len(into) == 7


def test_a_bug_does_not_show_its_inside(
    fake_pipeline: FakeNetworks, media: Media, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def buggy(*args: object, **fields: object) -> Iterator[object]:
        yield from ()
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("poseviewer.pipeline.run.run", buggy)
    number = project.add_media(media.info)
    with pytest.raises(ZeroDivisionError):
        finish(predict(project, media, number, range(3), CONFIG, fake_pipeline))
    assert "secret" not in project.runs(number)[0].note


def test_unreadable_frames_are_told_and_left_out(fake_pipeline: FakeNetworks, media: Media, project: Project) -> None:
    number = project.add_media(media.info)
    events: list[object] = []
    broken = Unreadable(media, {0, 4, 5, 11})
    report = finish(predict(project, broken, number, range(12), CONFIG, fake_pipeline), events)
    assert (report.frames, report.unreadable) == (8, 4)
    assert [event.frame for event in events if isinstance(event, Note)] == [0, 4, 5, 11]
    assert project.unfinished(report.run) == (0, 4, 5, 11)
    with pytest.raises(MediaError):
        finish(predict(project, Unreadable(media, set(range(12))), number, range(12), CONFIG, fake_pipeline))


def test_a_file_that_went_away_ends_the_run(fake_pipeline: FakeNetworks, tmp_path: Path) -> None:
    with open_media(write_clip(tmp_path / "long.mp4", 60)) as media:
        media.confirm()
        broken = Unreadable(media, set(range(10, 60)))
        into: list[object] = []
        with pytest.raises(MediaError):
            finish(predict(None, broken, 0, range(60), CONFIG, fake_pipeline, into=into))  # type: ignore[arg-type]
        assert len(into) == 10


def test_without_a_project(fake_pipeline: FakeNetworks, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", ["a.png", "b.png"])
    with open_media(tmp_path / "pictures") as media:
        into: list[object] = []
        report = finish(predict(None, media, 0, [1], CONFIG, fake_pipeline, into=into))  # type: ignore[arg-type]
    assert (report.run, report.frames, len(into)) == (None, 1, 1)


def test_numbers_that_are_not_finite_are_not_stored(
    fake_pipeline: FakeNetworks, media: Media, project: Project
) -> None:
    def spoil(result: FrameResult) -> FrameResult:
        if result.frame == 3:
            result.poses[0].keypoints[4, 1] = np.nan
        return result

    number = project.add_media(media.info)
    with pytest.raises(WeightsError, match="not finite in frame 3"):
        finish(predict(project, media, number, range(12), CONFIG, fake_pipeline, change=spoil))  # type: ignore[arg-type]
    (run,) = project.runs(number)
    assert (run.outcome, run.done_count) == ("error", 3)


def test_an_engine_serves_the_job(media: Media, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window's way: the engine's thread runs the job, its networks are the engine's."""
    from fakepipeline import FakeNetworks, fake_run

    from poseviewer.pipeline.engine import Engine

    engine = Engine("cpu")
    monkeypatch.setattr(engine, "networks", lambda config: FakeNetworks())
    monkeypatch.setattr("poseviewer.pipeline.run.run", fake_run)
    ended: list[object] = []
    events: list[object] = []

    def end(result: object) -> None:
        ended.append(result)
        engine.stop()

    engine.on_event = events.append
    engine.on_job_end = end
    number = project.add_media(media.info)
    engine.submit(predict(project, media, number, range(12), CONFIG, engine))
    engine.serve()
    assert ended[0].frames == 12  # type: ignore[attr-defined]
    assert sum(isinstance(event, FrameDone) for event in events) == 12
    assert project.runs(number)[0].outcome == "done"
