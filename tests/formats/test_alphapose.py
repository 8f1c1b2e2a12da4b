"""AlphaPose's results: from a project and back, other joint sets, and pictures that do not fit."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cocomade import annotation, dataset, finish, image, pose, read_json, result, write_json, write_pictures

from poseviewer.core.errors import CallError, FormatError
from poseviewer.core.progress import Note
from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import Pose
from poseviewer.formats.joint_sets import skeleton_of_file
from poseviewer.formats.whole_body import WHOLE_BODY_PARTS, WHOLE_BODY_SIZES
from poseviewer.jobs.export import AlphaPoseOptions, export
from poseviewer.jobs.importing import import_file, import_into
from poseviewer.jobs.video_out import video_writer
from poseviewer.media import open_media
from poseviewer.project import Project, edits

NAMES = ["a.png", "b.png", "c.png"]


def predicted(folder: Path, *, joints: int = 17, tracks: tuple[int, int] | None = None) -> Path:
    """A project of three pictures: two people predicted in the first, one in the second, nobody in the third."""
    write_pictures(folder / "p", NAMES)
    people = [pose(seed=1), pose(20, 12, seed=2), pose(seed=3)]
    if joints != 17:
        people = [whole_pose(joints, seed) for seed in range(3)]
    if tracks:
        people = [Pose(p.keypoints, p.scores, p.box, p.score, tracks[n % 2]) for n, p in enumerate(people)]
    kit = {17: "coco_17", 136: "halpe_136", 16: "mpii_16"}[joints]
    with Project.create(folder / "p.poseproj", kit) as project, open_media(folder / "p") as media:
        number = project.add_media(media.info)
        run = project.start_run(number, {}, {}, [0, 1, 2])
        project.store_results(run, [result(0, *people[:2]), result(1, people[2]), result(2)])
    return folder / "p.poseproj"


def whole_pose(joints: int, seed: int) -> Pose:
    rng = np.random.default_rng(seed)
    points = rng.uniform(5, 50, (joints, 2)).astype(np.float32)
    return Pose(points, rng.uniform(0.3, 0.9, joints).astype(np.float32), np.array([5, 5, 50, 50], np.float32), 0.8)


def exported(project: Path, folder: Path, **fields: Any) -> Path:
    with Project.open(project) as opened:
        finish(export(opened, folder, AlphaPoseOptions(include="all", **fields)))
    return folder / "alphapose-results.json"


def people_of(project: Path) -> list[list[Any]]:
    with Project.open(project) as opened:
        return [sorted(opened.people(1, frame), key=lambda p: p.pose.score) for frame in range(3)]


@pytest.mark.parametrize("joints", [17, 136, 16])
def test_the_plain_list_comes_back(tmp_path: Path, joints: int) -> None:
    file = exported(predicted(tmp_path, joints=joints, tracks=(3, 7)), tmp_path / "out")
    rows = read_json(file)
    assert [row["image_id"] for row in rows] == ["a.png", "a.png", "b.png"]
    assert len(rows[0]["keypoints"]) == 3 * joints
    finish(import_into(file, tmp_path / "p", tmp_path / "back.poseproj"))
    before, after = people_of(tmp_path / "p.poseproj"), people_of(tmp_path / "back.poseproj")
    assert [len(people) for people in after] == [2, 1, 0]
    for mine, theirs in zip(chain(*after), chain(*before), strict=True):
        np.testing.assert_allclose(mine.pose.keypoints, theirs.pose.keypoints, atol=1e-3)
        np.testing.assert_allclose(mine.pose.scores, theirs.pose.scores, atol=1e-3)
        np.testing.assert_allclose(mine.pose.box, theirs.pose.box, atol=1e-3)
        assert mine.pose.track is not None


@pytest.mark.parametrize("form", ["cmu", "open"])
def test_forms_of_eighteen_points(tmp_path: Path, form: str) -> None:
    file = exported(predicted(tmp_path), tmp_path / "out", form=form)
    whole = read_json(file)
    assert list(whole) == ["a.png", "b.png"]
    assert read_json(tmp_path / "out" / "sep-json" / "a.json") == whole["a.png"]
    finish(import_into(file, tmp_path / "p", tmp_path / "back.poseproj"))
    before, after = people_of(tmp_path / "p.poseproj"), people_of(tmp_path / "back.poseproj")
    np.testing.assert_allclose(after[1][0].pose.keypoints, before[1][0].pose.keypoints, atol=1e-3)


def test_the_neck_of_many_joints_is_joint_17_unless_a_true_one_is_wanted(tmp_path: Path) -> None:
    project = predicted(tmp_path, joints=136)
    points = people_of(project)[1][0].pose.keypoints
    for true_neck, wanted in ((False, points[17]), (True, points[5:7].mean(axis=0))):
        file = exported(project, tmp_path / f"out{true_neck}", form="open", true_neck=true_neck)
        triples = np.reshape(read_json(file)["b.png"]["people"][0]["pose_keypoints_2d"], (-1, 3))
        np.testing.assert_allclose(triples[1, :2], wanted, atol=1e-3)


def test_a_correction_has_scores_of_one(tmp_path: Path) -> None:
    project = predicted(tmp_path)
    with Project.open(project) as opened:
        seen = np.array([2] * 10 + [1] * 4 + [0] * 3, np.uint8)
        points = np.full((17, 2), 20.0)
        opened.apply(edits.AddPerson(media=1, frame=2, keypoints=points, visibility=seen, box=(1, 1, 60, 60)))
    rows = [row for row in read_json(exported(project, tmp_path / "out")) if row["image_id"] == "c.png"]
    assert rows[0]["keypoints"][2::3] == [1.0] * 14 + [0.0] * 3
    assert rows[0]["box"] == [1, 1, 59, 59]


def test_an_export_is_not_replaced_unasked(tmp_path: Path) -> None:
    project = predicted(tmp_path)
    file = exported(project, tmp_path / "out", form="cmu")
    with pytest.raises(CallError, match="exists already"):
        exported(project, tmp_path / "out")
    exported(project, tmp_path / "out", overwrite=True)
    assert isinstance(read_json(file), list)
    assert not (tmp_path / "out" / "sep-json").exists()


def test_joints_that_no_form_has_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", NAMES)
    with Project.create(tmp_path / "p.poseproj", "aic_14") as project:
        with pytest.raises(CallError, match="aic_14"):
            finish(export(project, tmp_path / "out", AlphaPoseOptions(form="cmu")))
        with pytest.raises(FormatError, match="nobody"):
            finish(export(project, tmp_path / "out", AlphaPoseOptions()))


def test_one_idx_for_everybody_is_no_track(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", NAMES)
    rows = [
        {"image_id": name, "category_id": 1, "keypoints": [5.0, 5, 0.5] * 17, "score": 1.0, "box": [1, 2, 30, 40]}
        for name in NAMES
    ]
    for row in rows:
        row["idx"] = 0.0
    finish(import_into(write_json(tmp_path / "r.json", rows), tmp_path / "p", tmp_path / "r.poseproj"))
    person = people_of(tmp_path / "r.poseproj")[0][0]
    assert person.pose.track is None
    assert person.pose.box.tolist() == [1, 2, 31, 42]


@pytest.mark.parametrize(
    "value",
    [
        {"a.png": {"version": "x", "bodies": [{}]}},
        {"a.png": {"version": "x", "bodies": [{"joints": [1, 2]}]}},
        {"a.png": {"version": "x", "people": [{"pose_keypoints_2d": ["a"] * 54}]}},
        {"a.png": {"version": "x", "people": [{"pose_keypoints_2d": [0] * 54}, {"pose_keypoints_2d": [0] * 45}]}},
    ],
)
def test_damaged_forms_are_refused(tmp_path: Path, value: object) -> None:
    write_pictures(tmp_path / "p", NAMES)
    with pytest.raises(FormatError, match=r"r\.json"):
        finish(import_into(write_json(tmp_path / "r.json", value), tmp_path / "p", tmp_path / "r.poseproj"))
    assert not (tmp_path / "r.poseproj").exists()


# --- joint sets of files ---


def test_a_project_gets_the_joints_of_its_file(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", NAMES)
    whole = whole_pose(133, 4)
    triples = np.concatenate([whole.keypoints, whole.scores[:, None]], axis=1)
    rows = [{"image_id": "b.png", "category_id": 1, "keypoints": triples.ravel().tolist(), "score": 0.5}]
    finish(import_into(write_json(tmp_path / "r.json", rows), tmp_path / "p", tmp_path / "r.poseproj"))
    with Project.open(tmp_path / "r.poseproj") as opened:
        assert opened.skeleton == skeleton("coco_wholebody_133")
        np.testing.assert_allclose(opened.people(1, 1)[0].pose.keypoints, whole.keypoints, atol=1e-3)


def test_whole_body_files_come_in_with_all_their_joints(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", NAMES)
    triples = np.column_stack([whole_pose(133, 4).keypoints.round(2), np.full(133, 2)])
    triples[23:91, 2], triples[91:, 2] = 0.9, 0.1
    parts = np.split(triples, np.cumsum(WHOLE_BODY_SIZES)[:-1])
    fields = {name: part.ravel().tolist() for name, part in zip(WHOLE_BODY_PARTS, parts, strict=True)}
    source = dataset([image(1, "a.png")], [annotation(1, 1, **fields)])
    finish(import_into(write_json(tmp_path / "w.json", source), tmp_path / "p", tmp_path / "w.poseproj"))
    with Project.open(tmp_path / "w.poseproj") as opened:
        assert opened.skeleton.name == "coco_wholebody_133"
        person = opened.people(1, 0)[0]
    assert person.visibility.tolist() == [2] * 91 + [0] * 42
    np.testing.assert_allclose(person.pose.keypoints[:91], triples[:91, :2], atol=1e-3)
    source["annotations"][0]["foot_kpts"] = [1.0, 2.0]
    with pytest.raises(FormatError, match="foot_kpts has 2 numbers"):
        skeleton_of_file(write_json(tmp_path / "w.json", source))


def test_halpe_files_come_in_though_they_name_no_joints(tmp_path: Path) -> None:
    joints = np.column_stack([whole_pose(136, 5).keypoints, np.full(136, 0.9)])
    source = dataset([image(1, "a.png")], [annotation(1, 1, keypoints=joints.ravel().tolist())])
    source["categories"] = [{"id": 1, "name": "person"}]
    assert skeleton_of_file(write_json(tmp_path / "h.json", source)).name == "halpe_136"


def test_joints_that_nobody_knows_make_a_set_of_their_own(tmp_path: Path) -> None:
    names = ["snout", "ear_left", "ear_right", "tail"]
    source = dataset([image(1, "a.png")], [annotation(1, 1, keypoints=[10.0, 20, 2] * 4)])
    source["categories"] = [{"id": 1, "name": "cat", "keypoints": names, "skeleton": [[1, 2], [1, 3], [9, 9]]}]
    kit = skeleton_of_file(write_json(tmp_path / "cats.json", source))
    assert kit.joints == ("snout", "ear left", "ear right", "tail")
    assert kit.flip == (0, 2, 1, 3)
    assert kit.sides == ("centre", "left", "right", "centre")
    assert kit.limbs == ((0, 1), (0, 2))
    source["categories"][0]["keypoints"] = ["snout"] * 4
    with pytest.raises(FormatError, match="twice"):
        skeleton_of_file(write_json(tmp_path / "cats.json", source))


def test_results_of_an_unknown_number_of_joints_need_a_name(tmp_path: Path) -> None:
    rows = [{"image_id": "a.png", "category_id": 1, "keypoints": [5.0, 5, 0.5] * 14, "score": 1.0}]
    file = write_json(tmp_path / "r.json", rows)
    write_pictures(tmp_path / "p", NAMES)
    with pytest.raises(FormatError, match="14 joints"):
        finish(import_into(file, tmp_path / "p", tmp_path / "r.poseproj"))
    finish(import_into(file, tmp_path / "p", tmp_path / "r.poseproj", kit=skeleton("lsp_14")))
    with pytest.raises(CallError, match="lsp_14"):
        finish(import_into(file, tmp_path / "p", tmp_path / "r.poseproj", kit=skeleton("aic_14")))


def test_another_set_comes_in_where_the_sets_coincide(tmp_path: Path) -> None:
    file = exported(predicted(tmp_path, joints=136), tmp_path / "out")
    with Project.create(tmp_path / "small.poseproj") as project:
        finish(import_file(file, tmp_path / "p", project, fit=False))
    before, after = people_of(tmp_path / "p.poseproj")[1][0], people_of(tmp_path / "small.poseproj")[1][0]
    np.testing.assert_allclose(after.pose.keypoints, before.pose.keypoints[:17], atol=1e-3)


# --- pictures that do not fit ---


def warnings(file: Path, pictures: Path, project: Path) -> list[str]:
    events: list[Any] = []
    finish(import_into(file, pictures, project), events)
    return [event.text for event in events if isinstance(event, Note) and event.level == "warning"]


def test_pictures_of_another_size_are_doubted(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", NAMES)
    right = dataset([image(1, "a.png", (80, 60))], [annotation(1, 1)])
    wrong = dataset([image(1, "a.png", (1920, 1080))], [annotation(1, 1)])
    assert warnings(write_json(tmp_path / "right.json", right), tmp_path / "p", tmp_path / "right.poseproj") == []
    said = warnings(write_json(tmp_path / "wrong.json", wrong), tmp_path / "p", tmp_path / "wrong.poseproj")
    assert len(said) == 1
    assert "1920 x 1080" in said[0]
    assert "80 x 60" in said[0]


def test_people_outside_the_pictures_are_doubted(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", NAMES)
    rows = [
        {"image_id": "a.png", "category_id": 1, "keypoints": [x, 20.0, 0.5] * 17, "score": 1.0} for x in (20.0, 500.0)
    ]
    said = warnings(write_json(tmp_path / "r.json", rows), tmp_path / "p", tmp_path / "r.poseproj")
    assert said == ["1 of 2 people of r.json lie outside the pictures of p."]


def test_results_of_another_clip_are_doubted(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with video_writer(clip, (64, 48), 25.0) as writer:
        for shade in range(4):
            writer.add(np.full((48, 64, 3), 40 * shade, np.uint8))
    rows = [{"image_id": 1, "category_id": 1, "keypoints": [20.0, 20.0, 0.5] * 17, "score": 1.0}]
    images = [{"id": 1, "file_name": "other_000001.png", "frame_index": 1, "media": "other.mp4"} | {"width": 64}]
    write_json(tmp_path / "r.images.json", {"images": images})
    said = warnings(write_json(tmp_path / "r.json", rows), clip, tmp_path / "r.poseproj")
    assert said == ["r.json was made from other.mp4, but is laid on clip.mp4."]
