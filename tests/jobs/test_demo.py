"""The demo's clip, its hand-read joints, and the whole demo on a short clip."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from cocomade import finish, read_json
from fakepipeline import FakeNetworks, fake_run

from poseviewer.core.errors import KnownError
from poseviewer.core.geometry import invert, transform
from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import CropEvidence, Evidence, FrameResult
from poseviewer.jobs import demo, demo_clip
from poseviewer.jobs.demo import headless_demo, make_demo
from poseviewer.jobs.demo_clip import clip_frames, frame_count, frame_maps, source_picture, true_people
from poseviewer.media import open_media
from poseviewer.project import Project

KIT = skeleton("coco_17")


def test_the_clip_is_long_and_wide_enough() -> None:
    assert 6 <= frame_count() / demo_clip.FPS <= 8
    maps = frame_maps()
    assert len(maps) == frame_count()
    for name, matrix in maps:
        height, width = cv2.imread(str(source_picture(name))).shape[:2]
        corners = transform(invert(matrix), np.array([[0.0, 0.0], np.asarray(demo_clip.SIZE_WH, float) - 1]))
        assert corners.min() > -1
        assert (corners[1] <= (width, height)).all()


def test_the_camera_moves_without_a_jump_within_a_shot() -> None:
    maps = frame_maps()
    for (name, one), (other, two) in itertools.pairwise(maps):
        if name == other:
            centre = np.array([320.0, 240.0])
            back = transform(invert(one), centre)
            assert np.linalg.norm(transform(two, back) - centre) < 12


def test_the_maps_say_where_pixels_go() -> None:
    """A patch around a hand-read joint of the photograph is found again where the map says."""
    frames = list(clip_frames())
    picture = cv2.imread(str(source_picture("bus.jpg")))[..., ::-1]
    for index in (0, 30, 70):
        _, matrix = frame_maps()[index]
        back = cv2.warpAffine(frames[index], matrix, (810, 1080), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        person = demo_clip.PEOPLE["bus.jpg"][0]
        x, y, _ = person.joints["nose"]
        patch = np.s_[int(y) - 25 : int(y) + 25, int(x) - 25 : int(x) + 25]
        difference = np.abs(back[patch].astype(float) - picture[patch]).mean()
        shifted = np.abs(np.roll(back, 6, axis=1)[patch].astype(float) - picture[patch]).mean()
        assert difference < 0.5 * shifted


def test_hand_read_joints_lie_on_the_person() -> None:
    for people in demo_clip.PEOPLE.values():
        for person in people:
            x1, y1, x2, y2 = person.box
            assert all(x1 <= x <= x2 and y1 <= y <= y2 for x, y, _ in person.joints.values())
            assert set(person.joints) <= set(KIT.joints)
    for frame in range(0, frame_count(), 10):
        for true in true_people(frame, KIT.joints):
            seen = true.visibility > 0
            assert (true.keypoints[seen] >= 0).all()
            assert (true.keypoints[seen] <= (639, 479)).all()
            assert (true.keypoints[~seen] == 0).all()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, fake_pipeline: FakeNetworks) -> None:
    """A demo of fifteen frames whose pipeline answers near the truth, with evidence where it is asked for."""
    shots = tuple(demo_clip.Shot(shot.picture, shot.windows, 5) for shot in demo_clip.SHOTS)
    monkeypatch.setattr(demo_clip, "SHOTS", shots)
    monkeypatch.setattr(demo, "CORRECTED_FRAMES", (1, 4, 11))
    monkeypatch.setattr(demo, "DOUBLED_FRAMES", range(6, 9))
    monkeypatch.setattr(demo, "LOOK_FRAMES", (1, 4, 6, 8, 11, 14))

    def near(media, frames, config, *, networks, boxes=None, keep_evidence=False, **_):  # type: ignore[no-untyped-def]
        rng = np.random.default_rng(5)
        for result in fake_run(media, frames, config, networks=networks):
            poses = []
            for true in true_people(result.frame, KIT.joints)[: 1 if result.frame == 11 else 2]:
                points = (true.keypoints + rng.normal(0, 6, (17, 2))).astype(np.float32)
                scores = np.where(true.visibility > 0, 0.8, 0.01).astype(np.float32)
                poses.append(type(result.poses[0])(points, scores, true.box.astype(np.float32), 0.8))
            loose = not config.nms.enabled and config.iou >= 0.8
            extra = (demo._with_double(FrameResult(0, 0.0, tuple(poses[:1]))).poses[1],) if loose else ()
            evidence = _evidence(len(poses)) if keep_evidence else None
            yield FrameResult(result.frame, result.timestamp_s, (*poses, *extra), result.fingerprint, evidence)

    monkeypatch.setattr("poseviewer.pipeline.run.run", near)


def _evidence(people: int) -> Evidence:
    eye = np.array([[1.0, 0, 0], [0, 1, 0]])
    crop = np.zeros((64, 48, 3), np.uint8)
    heat = np.zeros((17, 16, 12), np.float32)
    box = np.zeros(4, np.float32)
    crops = tuple(CropEvidence(box, eye, eye, eye, eye, crop, crop, heat, eye) for _ in range(people))
    return Evidence(crops, None, None)  # type: ignore[arg-type]


def test_the_whole_demo_without_a_display(short: None, tmp_path: Path) -> None:
    made = finish(headless_demo(tmp_path / "demo"))
    assert all(path.exists() for path in made.files().values())
    assert all(cv2.imread(str(path)) is not None for path in (*made.pictures, made.sheet))
    with open_media(made.overlay) as drawn:
        assert drawn.confirm().frame_count == 15
    found = read_json(made.coco)
    assert [image["frame_index"] for image in found["images"]] == [1, 4, 11]
    assert len(found["annotations"]) == 6


def test_corrections_are_true_and_one_person_is_doubled(short: None, tmp_path: Path) -> None:
    path = finish(make_demo(tmp_path / "demo"))
    with Project.open(path) as project:
        (row,) = project.media_list()
        assert project.corrected_frames(row.id) == (1, 4, 11)
        for frame in (1, 4, 11):
            people = [person for person in project.people(row.id, frame) if person.state == "corrected"]
            truth = true_people(frame, KIT.joints)
            assert len(people) == len(truth) == 2
            for true in truth:
                seen = true.visibility > 0
                off = [
                    np.abs(person.pose.keypoints - true.keypoints)[seen].max()
                    for person in people
                    if (person.visibility == true.visibility).all()
                ]
                assert min(off) <= demo.OFF_PX
        doubts = project.worth_a_look(row.id)
        (doubled,) = [doubt.frame for doubt in doubts if doubt.kind == "doubled"]
        assert doubled in demo.DOUBLED_FRAMES
        assert project.can_undo
        assert project.runs(row.id)[-1].config["nms"]["enabled"] is False


def test_a_double_is_planted_where_no_threshold_makes_one(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "LOOSER_IOU", ())
    path = finish(make_demo(tmp_path / "demo"))
    with Project.open(path) as project:
        doubts = project.worth_a_look(project.media_list()[0].id)
        (doubled,) = [doubt.frame for doubt in doubts if doubt.kind == "doubled"]
        assert doubled in demo.DOUBLED_FRAMES


def test_a_second_demo_keeps_the_first_with_its_edits(short: None, tmp_path: Path) -> None:
    path = finish(make_demo(tmp_path / "demo"))
    with Project.open(path) as project:
        project.undo()
        runs = len(project.runs())
        name = project.undo_name
    assert finish(headless_demo(tmp_path / "demo")).project == path
    with Project.open(path) as project:
        assert (len(project.runs()), project.undo_name) == (runs, name)


def test_an_interrupted_demo_is_made_anew_and_a_foreign_project_is_not_touched(short: None, tmp_path: Path) -> None:
    job = make_demo(tmp_path / "demo")
    for _ in range(8):
        next(job)
    job.close()
    path = finish(make_demo(tmp_path / "demo"))
    with Project.open(path) as project:
        assert project.setting("demo", "").startswith(f"version {demo.VERSION} ")
    (tmp_path / "mine").mkdir()
    Project.create(tmp_path / "mine/demo.poseproj").close()
    with pytest.raises(KnownError, match="is not the demo"):
        finish(make_demo(tmp_path / "mine"))
    assert (tmp_path / "mine/demo.poseproj").exists()


def test_a_demo_of_other_weights_is_made_anew(short: None, tmp_path: Path) -> None:
    path = finish(make_demo(tmp_path / "demo"))
    with Project.open(path) as project:
        fresh = project.setting("demo", "")
        project.set_setting("demo", f"version {demo.VERSION} 0badc0de 0badc0de")
        project.set_setting("mark", "old")
    assert finish(make_demo(tmp_path / "demo")) == path
    with Project.open(path) as project:
        assert project.setting("demo", "") == fresh
        assert project.setting("mark", "") == ""
