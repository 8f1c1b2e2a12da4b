"""PoseTrack export: tracks, frames, joints of its own set, and pictures that can be told apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cocomade import finish

from poseviewer.core.errors import CallError, FormatError
from poseviewer.core.progress import Note
from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import FrameResult, MediaInfo, Pose
from poseviewer.formats.posetrack import PoseTrackOptions, export_posetrack
from poseviewer.project import Project, edits

ALL = PoseTrackOptions(include="all")


def pose_at(x: float, track: int | None, joints: int = 17) -> Pose:
    points = np.stack([np.arange(joints) + x, np.arange(joints) * 2.0 + 5], axis=1).astype(np.float32)
    scores = np.linspace(0.5, 0.9, joints).astype(np.float32)
    return Pose(points, scores, np.array([x, 5, x + 40, 60], np.float32), 0.75, track)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "walk.poseproj", skeleton=skeleton("coco_17")) as made:
        media = made.add_media(MediaInfo("walk one.mp4", "video", 30, (640, 360), 25.0, 1.2, "h264", 0, "f" * 16))
        run = made.start_run(media, {}, {}, range(3))
        results = [
            FrameResult(0, 0.0, (pose_at(10, 7), pose_at(300, 3))),
            FrameResult(1, 0.04, (pose_at(301, 3), pose_at(12, 7), pose_at(500, None))),
            FrameResult(2, 0.08, ()),
        ]
        made.store_results(run, results)
        made.finish_run(run, "done")
        yield made


def exported(project: Project, folder: Path, options: PoseTrackOptions = ALL) -> tuple[Any, dict[str, Any], list[Any]]:
    events: list[Any] = []
    report = finish(export_posetrack(project, folder, options), events)
    (name,) = report.files
    return report, json.loads((folder / name).read_text()), events


def test_people_keep_their_tracks_and_frames_without_people_stay(project: Project, tmp_path: Path) -> None:
    report, data, events = exported(project, tmp_path / "out")
    assert (report.images, report.persons) == (3, 5)
    assert report.files == ("posetrack/walk_one.json",)
    assert [image["file_name"] for image in data["images"]] == [f"images/walk_one/{at:06d}.jpg" for at in range(3)]
    assert {image["nframes"] for image in data["images"]} == {30}
    by_image: dict[int, list[dict[str, Any]]] = {}
    for entry in data["annotations"]:
        by_image.setdefault(entry["image_id"], []).append(entry)
    ids = [image["id"] for image in data["images"]]
    tracks = [{round(entry["bbox"][0]): entry["track_id"] for entry in by_image.get(number, [])} for number in ids]
    assert tracks == [{10: 0, 300: 1}, {301: 1, 12: 0, 500: 2}, {}]
    assert len({entry["id"] for entry in data["annotations"]}) == 5
    assert any(isinstance(event, Note) and "head bottom" in event.text for event in events)


def test_joints_are_posetracks(project: Project, tmp_path: Path) -> None:
    person = project.people(1, 0)[0]
    project.apply(edits.SetVisibility(1, 0, person.key, (9,), 0))
    _, data, _ = exported(project, tmp_path / "out")
    names = data["categories"][0]["keypoints"]
    assert names[:3] == ["nose", "head_bottom", "head_top"]
    entry = next(one for one in data["annotations"] if round(one["bbox"][0]) == 10)
    joints = dict(zip(names, np.array(entry["keypoints"]).reshape(-1, 3).tolist(), strict=True))
    pose = pose_at(10, 7)
    assert joints["nose"] == [10.0, 5.0, 1.0]
    assert joints["head_bottom"] == joints["head_top"] == [0.0, 0.0, 0.0]
    assert joints["left_wrist"] == [0.0, 0.0, 0.0], "marked absent by hand"
    assert joints["right_ankle"] == [*pose.keypoints[16].tolist(), 1.0]
    assert "scores" not in entry, "a correction has none"
    other = next(one for one in data["annotations"] if round(one["bbox"][0]) == 300)
    scores = dict(zip(names, other["scores"], strict=True))
    assert scores["right_ankle"] == pytest.approx(0.9)
    assert scores["head_top"] == 0.0


def test_corrections_only_and_nothing_to_export(project: Project, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="nobody to export"):
        exported(project, tmp_path / "none", PoseTrackOptions())
    assert not (tmp_path / "none").exists()
    project.apply(edits.AcceptPrediction(1, 1, project.people(1, 1)[0].key))
    report, data, _ = exported(project, tmp_path / "out", PoseTrackOptions())
    assert (report.images, report.persons) == (1, 1)
    assert data["images"][0]["frame_index"] == 1


def test_an_earlier_export_is_replaced_only_when_asked(project: Project, tmp_path: Path) -> None:
    exported(project, tmp_path / "out")
    with pytest.raises(CallError, match="exists already"):
        exported(project, tmp_path / "out")
    exported(project, tmp_path / "out", PoseTrackOptions(include="all", overwrite=True))


def test_a_face_is_no_posetrack_person(tmp_path: Path) -> None:
    with Project.create(tmp_path / "face.poseproj", skeleton=skeleton("300w_68")) as made:
        media = made.add_media(MediaInfo("face.mp4", "video", 3, (640, 360), 25.0, 0.1, "h264", 0, "e" * 16))
        run = made.start_run(media, {}, {}, range(1))
        made.store_results(run, [FrameResult(0, 0.0, (pose_at(10, 1, 68),))])
        with pytest.raises(CallError, match="not those of PoseTrack"):
            exported(made, tmp_path / "out")
