"""The import: lossless there and back, and one sentence for every wrong file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cocomade import (
    NAMES,
    annotation,
    dataset,
    finish,
    image,
    keypoints,
    read_json,
    write_json,
    write_pictures,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poseviewer.core.errors import FormatError, KnownError
from poseviewer.core.progress import Note
from poseviewer.formats.coco_export import ExportOptions
from poseviewer.jobs.export import export
from poseviewer.jobs.importing import import_file, import_into
from poseviewer.jobs.video_out import video_writer
from poseviewer.project import Project, edits

FILE = Path("annotations/person_keypoints.json")


def rich() -> dict[str, Any]:
    """A file with everything that other tools lose."""
    joints = keypoints(1)
    joints[9:12] = [55.5, 44.25, 0]
    return dataset(
        [
            image(907, "walk2.png", (82, 64), license=3, coco_url="http://example.org/2", flickr=[1, {"a": None}]),
            image(12, "walk1.png", (80, 60), license=3),
            image(31, "walk10.png", (84, 68)),
        ],
        [
            annotation(501, 907, 1, keypoints=joints, segmentation=[[1.5, 2.0, 3.25, 4.0]], agree=0.91),
            annotation(77, 907, 2, track_id=4, keypoints=keypoints(2, decimals=3)),
            annotation(
                9001,
                12,
                3,
                iscrowd=1,
                keypoints=[0] * 51,
                bbox=[0.0, 3.1, 70.7, 12.3],
                segmentation={"counts": [3, 4], "size": [60, 80]},
            ),
            annotation(2, 12, 5, keypoints=[0] * 51),
        ],
        licenses=[{"id": 3, "name": "CC BY 4.0", "url": "http://example.org"}],
        info={"description": "made", "year": 2017},
    )


def there_and_back(project: Project, folder: Path, source: dict[str, Any], place: Path, **options: Any) -> Any:
    """Import, export, and return the exported file."""
    finish(import_file(write_json(folder / "in.json", source), place, project))
    finish(export(project, folder / "out", ExportOptions(**options)))
    return read_json(folder / "out" / FILE)


def test_everything_survives_there_and_back(project: Project, pictures: Path, tmp_path: Path) -> None:
    source = rich()
    found = there_and_back(project, tmp_path, source, pictures, pictures="none")
    images = {row["id"]: row for row in found["images"]}
    for row in source["images"]:
        assert row.items() <= images[row["id"]].items()
    rows = {row["id"]: row for row in found["annotations"]}
    assert sorted(rows) == sorted(row["id"] for row in source["annotations"])
    for row in source["annotations"]:
        assert row.items() <= rows[row["id"]].items()
    assert found["licenses"] == source["licenses"]
    assert found["info"]["media"][0]["imported_info"] == source["info"]
    assert found["categories"][0]["supercategory"] == "person"


def test_what_was_corrected_changes_and_nothing_else(project: Project, pictures: Path, tmp_path: Path) -> None:
    source = rich()
    finish(import_file(write_json(tmp_path / "in.json", source), pictures, project))
    media = project.media_list()[0].id
    person = project.people(media, 1)[0]
    project.apply(edits.MoveJoint(media=media, frame=1, person=person.key, joint=1, x=20.0, y=21.0))
    finish(export(project, tmp_path / "out", ExportOptions()))
    rows = {row["id"]: row for row in read_json(tmp_path / "out" / FILE)["annotations"]}
    before = source["annotations"][0]
    assert rows[501]["keypoints"][3:5] == [20.0, 21.0]
    assert rows[501]["keypoints"][6:] == before["keypoints"][6:]
    assert (rows[501]["bbox"], rows[501]["area"]) == (before["bbox"], before["area"])
    project.apply(edits.SetBox(media=media, frame=1, person=person.key, box=(5, 5, 25, 45)))
    finish(export(project, tmp_path / "again", ExportOptions()))
    rows = {row["id"]: row for row in read_json(tmp_path / "again" / FILE)["annotations"]}
    assert rows[501]["bbox"] == [5, 5, 20, 40]
    assert rows[501]["area"] == pytest.approx(0.53 * 800)


number = st.floats(-50, 4000, allow_nan=False, width=64)
triple = st.tuples(number, number, st.sampled_from([0, 1, 2]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    joints=st.lists(triple, min_size=17, max_size=17),
    box=st.tuples(number, number, st.floats(0, 500), st.floats(0, 500)),
    area=st.floats(0, 1e6),
)
def test_any_coordinates_survive(joints: list[Any], box: tuple[float, ...], area: float) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_pictures(folder / "pictures", ["a.png"])
        flat = [value for joint in joints for value in joint]
        source = dataset([image(1, "a.png")], [annotation(1, 1, keypoints=flat, bbox=list(box), area=area)])
        with Project.create(folder / "p.poseproj") as project:
            found = there_and_back(project, folder, source, folder / "pictures", pictures="none")
        (row,) = found["annotations"]
        assert row["keypoints"] == flat
        assert row["bbox"] == list(box)
        assert row["area"] == area


def test_joint_order_of_the_file_is_by_name(project: Project, pictures: Path, tmp_path: Path) -> None:
    order = np.random.default_rng(4).permutation(17)
    source = dataset([image(1, "walk1.png")], [annotation(1, 1, 6)])
    own = source["annotations"][0]["keypoints"]
    shuffled = json.loads(json.dumps(source))
    shuffled["categories"][0]["keypoints"] = [NAMES[joint] for joint in order]
    shuffled["annotations"][0]["keypoints"] = [v for joint in order for v in own[3 * joint : 3 * joint + 3]]
    found = there_and_back(project, tmp_path, shuffled, pictures)
    assert found["annotations"][0]["keypoints"] == own


def test_joints_without_a_place_are_told(project: Project, pictures: Path, tmp_path: Path) -> None:
    source = dataset([image(1, "walk1.png")], [annotation(1, 1, 6)])
    source["categories"][0]["keypoints"] = [*NAMES[:16], "tail"]
    events: list[Any] = []
    finish(import_file(write_json(tmp_path / "in.json", source), pictures, project, fit=False), events)
    assert any(isinstance(event, Note) and "tail" in event.text for event in events)
    source["categories"][0]["keypoints"] = [f"j{number}" for number in range(17)]
    with pytest.raises(FormatError, match="none of its joints"):
        finish(import_file(write_json(tmp_path / "in.json", source), pictures, project))
    assert project.skeleton.name == "coco_17"


def test_an_empty_project_takes_joints_that_have_no_place_in_it(
    project: Project, pictures: Path, tmp_path: Path
) -> None:
    source = dataset([image(1, "walk1.png")], [annotation(1, 1, 6)])
    source["categories"][0]["keypoints"] = [*NAMES[:16], "tail"]
    finish(import_file(write_json(tmp_path / "in.json", source), pictures, project))
    assert project.skeleton.joints[-2:] == ("left ankle", "tail")


def test_importing_twice_adds_nobody_and_undo_takes_all_back(project: Project, pictures: Path, tmp_path: Path) -> None:
    path = write_json(tmp_path / "in.json", rich())
    first = finish(import_file(path, pictures, project))
    assert (first.persons, first.images, first.kind) == (4, 3, "corrections")
    again = finish(import_file(path, pictures, project))
    assert (again.persons, again.skipped) == (0, 4)
    project.undo()
    assert not project.corrected_frames(project.media_list()[0].id)


def test_pictures_in_subfolders_and_by_bare_name(project: Project, tmp_path: Path) -> None:
    write_pictures(tmp_path / "data/a", ["x.png"])
    write_pictures(tmp_path / "data/b", ["x.png"], seed=3)
    write_pictures(tmp_path / "data/images", ["y.png"], seed=4)
    write_pictures(tmp_path / "data", ["z.png"], seed=5)
    names = ["a/x.png", "b/x.png", "y.png", "far/away/z.png"]
    source = dataset(
        [image(n + 1, name) for n, name in enumerate(names)], [annotation(n + 1, n + 1, n) for n in range(4)]
    )
    report = finish(import_file(write_json(tmp_path / "in.json", source), tmp_path / "data", project))
    assert (report.images, report.persons, report.missing) == (4, 4, 0)
    assert len(project.media_list()) == 4


def test_missing_pictures_are_counted(project: Project, pictures: Path, tmp_path: Path) -> None:
    source = dataset([image(1, "walk1.png"), image(2, "gone.png")], [annotation(1, 1, 1), annotation(2, 2, 2)])
    events: list[Any] = []
    report = finish(import_file(write_json(tmp_path / "in.json", source), pictures, project), events)
    assert (report.images, report.persons, report.missing) == (1, 1, 1)
    assert any(isinstance(event, Note) and event.level == "warning" for event in events)


def test_frames_of_a_video(project: Project, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with video_writer(tmp_path / "clip.mp4", (64, 48), 25) as writer:
        for _ in range(8):
            writer.add(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    source = dataset(
        [image(5, "clip_000003.png"), image(6, "whatever.png", frame_index=6), image(7, "clip_000007.png")],
        [annotation(1, 5, 1), annotation(2, 6, 2)],
    )
    finish(import_file(write_json(tmp_path / "in.json", source), tmp_path / "clip.mp4", project))
    (row,) = project.media_list()
    assert project.corrected_frames(row.id) == (3, 6)
    finish(export(project, tmp_path / "out", ExportOptions()))
    found = read_json(tmp_path / "out" / FILE)
    names = [f"clip_{frame:06d}.png" for frame in (3, 6, 7)]
    assert [entry["file_name"] for entry in found["images"]] == names
    assert [entry["timestamp"] for entry in found["images"]] == [0.12, 0.24, 0.28]


def test_an_export_imports_as_itself(project: Project, pictures: Path, tmp_path: Path) -> None:
    first = there_and_back(project, tmp_path, rich(), pictures)
    with Project.create(tmp_path / "second.poseproj") as other:
        finish(import_file(tmp_path / "out" / FILE, tmp_path / "out", other))
        finish(export(other, tmp_path / "again", ExportOptions()))
    second = read_json(tmp_path / "again" / FILE)
    key = {row["id"]: row for row in second["annotations"]}
    assert len(key) == len(first["annotations"])
    # Only the frame's number differs: the exported folder sorts its pictures anew.
    for row in first["annotations"]:
        again = key[row["id"]]
        assert {**row, "frame_index": again["frame_index"]} == again
    assert {row["id"]: row["file_name"] for row in first["images"]} == {
        row["id"]: row["file_name"] for row in second["images"]
    }


def test_results_become_predictions(project: Project, pictures: Path, tmp_path: Path) -> None:
    rows = [
        {"image_id": 7, "category_id": 1, "keypoints": keypoints(1), "score": 0.25, "bbox": [1, 2, 30, 40]},
        {"image_id": 7, "category_id": 1, "keypoints": keypoints(2), "score": 0.75},
    ]
    path = write_json(tmp_path / "r.json", rows)
    write_json(tmp_path / "r.images.json", {"images": [image(7, "walk2.png"), image(8, "walk10.png")]})
    report = finish(import_file(path, pictures, project))
    assert (report.kind, report.images, report.persons) == ("predictions", 2, 2)
    media = project.media_list()[0].id
    people = project.people(media, 1)
    assert [person.pose.score for person in people] == [0.75, 0.25]
    assert people[0].state == "predicted"
    np.testing.assert_array_equal(people[1].pose.box, [1, 2, 31, 42])
    assert project.people(media, 2) == ()
    assert project.runs(media)[0].outcome == "done"


@pytest.mark.parametrize("key", ["walk2.png", 2])
def test_results_that_name_pictures_themselves(
    key: str | int, project: Project, pictures: Path, tmp_path: Path
) -> None:
    rows = [{"image_id": key, "category_id": 1, "keypoints": keypoints(1), "score": 1.75}]
    report = finish(import_file(write_json(tmp_path / "r.json", rows), pictures, project))
    assert report.persons == 1
    assert len(project.people(project.media_list()[0].id, 1)) == 1


def broken(change: Any) -> Any:
    """A good file with one change."""
    source = rich()
    change(source)
    return source


BAD = [
    ("{", "not valid JSON"),
    ("", "not valid JSON"),
    ('{"images": [], "annotations": [{"area": NaN}], "categories": []}', "not valid JSON"),
    ("3", "should be object, not int"),
    (broken(lambda d: d.pop("annotations")), "no field annotations"),
    (broken(lambda d: d.pop("images")), "no field images"),
    (broken(lambda d: d.pop("categories")), "no field categories"),
    (broken(lambda d: d["categories"].clear()), "no categories"),
    (broken(lambda d: d["annotations"][1].pop("image_id")), r"annotations\[1\] has no field image_id"),
    (broken(lambda d: d["annotations"][1].pop("category_id")), r"annotations\[1\] has no field category_id"),
    (broken(lambda d: d["images"][0].pop("file_name")), r"images\[0\] has no field file_name"),
    (broken(lambda d: d["images"][0].update(id="x")), r"images\[0\].id should be int, not str"),
    (broken(lambda d: d["annotations"][0].update(bbox=[1, 2, 3])), r"annotations\[0\].bbox"),
    (broken(lambda d: d["annotations"][0].update(bbox=[1, 2, -3, 4])), "negative width"),
    (broken(lambda d: d["annotations"][0].update(bbox="box")), r"annotations\[0\].bbox should be array"),
    (broken(lambda d: d["annotations"][0]["keypoints"].pop()), "has 50 numbers, 51 are expected"),
    (broken(lambda d: d["annotations"][0]["keypoints"].__setitem__(2, 7)), "the visibility 7"),
    (broken(lambda d: d["annotations"][0]["keypoints"].__setitem__(0, None)), r"keypoints\[0\] should be float"),
    (broken(lambda d: d["annotations"][0].update(area=1e400)), "not valid JSON|not finite"),
    (broken(lambda d: d["annotations"][0].update(area=-1)), r"annotations\[0\].area is negative"),
    (broken(lambda d: d["annotations"][0].update(bbox=[1e300, 2, 3, 4])), "1e\\+300, which lies beyond any picture"),
    (
        broken(lambda d: d["annotations"][0]["keypoints"].__setitem__(0, -1e39)),
        "-1e\\+39, which lies beyond any picture",
    ),
    (broken(lambda d: d["annotations"][0].update(image_id=999)), r"image_id is 999, which no image has"),
    (broken(lambda d: d["annotations"][0].update(category_id=9)), r"category_id is 9, which no category has"),
    (broken(lambda d: d["images"][1].update(id=907)), "two images have the same id"),
    (broken(lambda d: d["images"][1].update(file_name="walk2.png")), "two images have the same file name"),
    (broken(lambda d: d["images"][1].update(file_name="../../etc/passwd")), "outside its folder"),
    (broken(lambda d: d["images"][1].update(file_name="/etc/passwd")), "outside its folder"),
    (broken(lambda d: [row.update(file_name="x.png") for row in d["images"]]), "None of the 3 pictures"),
    (broken(lambda d: d["images"].clear() or d["annotations"].clear()), "names no images"),
    ([{"image_id": 1, "score": 1}], "neither keypoints nor bbox"),
    ([{"image_id": 1, "score": 1, "bbox": [1, 2, -3, 4]}], "negative width"),
    ([{"image_id": 1, "score": 1, "bbox": [1, 2, 3, 4]}], "no keypoints, 51 are expected"),
    ([{"image_id": 1, "score": "high", "keypoints": [0] * 51}], r"\[0\].score should be float, not str"),
    ([{"image_id": 1, "score": 1, "keypoints": [0] * 30}], "people of 10 joints"),
    ([{"image_id": 99, "score": 1, "keypoints": [0] * 51}], "image_id 99 is the number of no picture"),
]


@pytest.mark.parametrize(("content", "sentence"), BAD)
def test_a_wrong_file_is_one_sentence_naming_file_and_field(
    content: Any, sentence: str, pictures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(KnownError, match=sentence) as caught:
        finish(import_into(path, pictures, tmp_path / "new.poseproj"))
    assert "wrong.json" in str(caught.value)
    assert not (tmp_path / "new.poseproj").exists()


def test_a_byte_order_mark_and_names_that_no_file_can_have(project: Project, pictures: Path, tmp_path: Path) -> None:
    source = rich()
    source["images"][2]["file_name"] = "x" * 5000 + ".png"
    path = tmp_path / "from windows.json"
    path.write_text(json.dumps(source), encoding="utf-8-sig")
    report = finish(import_file(path, pictures, project))
    assert (report.images, report.missing) == (2, 1)


def test_files_that_are_not_there(project: Project, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no\.json cannot be read: No such file"):
        finish(import_file(tmp_path / "no.json", pictures, project))
    path = write_json(tmp_path / "in.json", rich())
    with pytest.raises(FormatError, match=r"There is no .*nowhere"):
        finish(import_file(path, tmp_path / "nowhere", project))


def test_a_project_of_real_annotations(shared_data: Path, tmp_path: Path) -> None:
    """345 COCO pictures with 1,377 people: every number comes back."""
    source = read_json(shared_data / "coco/val.json")
    with Project.create(tmp_path / "coco.poseproj") as project:
        report = finish(import_file(shared_data / "coco/val.json", shared_data / "coco/images", project))
        assert (report.images, report.persons, report.missing) == (345, 1377, 0)
        out = finish(export(project, tmp_path / "out", ExportOptions(pictures="none")))
    assert out.ap == 1.0
    found = read_json(tmp_path / "out" / FILE)
    rows = {row["id"]: row for row in found["annotations"]}
    assert all(row.items() <= rows[row["id"]].items() for row in source["annotations"])
    images = {row["id"]: row for row in found["images"]}
    assert len(images) == 345
    assert all(row.items() <= images[row["id"]].items() for row in source["images"])
