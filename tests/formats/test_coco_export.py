"""The export: what is in it, how it appears, and that it notices its own mistakes."""

from __future__ import annotations

import errno
import resource
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from cocomade import finish, keypoints, pose, read_json, result, write_pictures

from poseviewer.core.errors import CallError, FormatError, KnownError
from poseviewer.core.values import MediaInfo, Person
from poseviewer.formats import coco_export
from poseviewer.formats.coco_build import Source, shape_of, split_media, unique_stems
from poseviewer.formats.coco_export import ExportOptions, export_coco
from poseviewer.formats.coco_extras import Extras
from poseviewer.jobs.export import export, export_project
from poseviewer.media import open_media
from poseviewer.project import Project, edits

FILE = Path("annotations/person_keypoints.json")


def run(project: Project, folder: Path, **options: object) -> dict:
    """Export with pictures from the media and return the annotation file."""
    finish(export(project, folder, ExportOptions(**options)))
    return read_json(folder / FILE)


def correct(project: Project, media: int, frame: int, person: int = 0, **fields: object) -> None:
    """Move the first joint of a person."""
    key = project.people(media, frame)[person].key
    project.apply(edits.MoveJoint(media=media, frame=frame, person=key, joint=0, x=12.25, y=13.5, **fields))


def test_only_corrected_people_of_corrected_frames_are_exported(
    project: Project, predicted: int, tmp_path: Path
) -> None:
    correct(project, predicted, 0, person=1)
    found = run(project, tmp_path / "out")
    assert [image["frame_index"] for image in found["images"]] == [0]
    (only,) = found["annotations"]
    assert only["keypoints"][:3] == [12.25, 13.5, 2]
    assert "score" not in only


def test_deleted_people_are_not_exported_and_their_frame_is_listed(
    project: Project, predicted: int, tmp_path: Path
) -> None:
    project.apply(edits.DeletePerson(media=predicted, frame=1, person=project.people(predicted, 1)[0].key))
    found = run(project, tmp_path / "out")
    assert [image["frame_index"] for image in found["images"]] == [1]
    assert found["annotations"] == []


def test_all_lists_frames_without_people_and_predictions_carry_scores(
    project: Project, predicted: int, tmp_path: Path
) -> None:
    correct(project, predicted, 1)
    found = run(project, tmp_path / "out", include="all")
    assert [image["frame_index"] for image in found["images"]] == [0, 1, 2]
    assert [row["image_id"] for row in found["annotations"]] == [1, 1, 2]
    first, _, corrected = found["annotations"]
    assert first["score"] == pytest.approx(0.8)
    assert len(first["keypoint_scores"]) == 17
    assert "score" not in corrected


def test_numbers_follow_coco(project: Project, predicted: int, tmp_path: Path) -> None:
    key = project.people(predicted, 0)[0].key
    correct(project, predicted, 0)
    project.apply(edits.SetVisibility(media=predicted, frame=0, person=key, joints=(3,), visibility=0))
    project.apply(edits.SetVisibility(media=predicted, frame=0, person=key, joints=(4,), visibility=1))
    project.apply(edits.SetBox(media=predicted, frame=0, person=key, box=(10.5, 11.25, 60.75, 58.0)))
    project.apply(edits.SetTrack(media=predicted, frame=0, person=key, track=7))
    found = run(project, tmp_path / "out")
    (row,) = found["annotations"]
    person = project.people(predicted, 0)[0]
    assert row["id"] == row["image_id"] == 1
    assert row["keypoints"][9:12] == [0, 0, 0]
    assert row["keypoints"][14] == 1
    assert row["num_keypoints"] == 16
    assert row["bbox"] == [10.5, 11.25, 50.25, 46.75]
    assert row["area"] == pytest.approx(0.53 * 50.25 * 46.75)
    assert row["track_id"] == 7
    assert row["iscrowd"] == 0
    present = person.visibility > 0
    numbers = np.array(row["keypoints"]).reshape(17, 3)
    np.testing.assert_array_equal(numbers[present, :2].astype(np.float32), person.pose.keypoints[present])
    (category,) = found["categories"]
    assert category["keypoints"][5] == "left_shoulder"
    assert [16, 14] in category["skeleton"]
    assert min(min(limb) for limb in category["skeleton"]) == 1
    assert "0.53 x box area" in found["info"]["area_rule"]
    assert "licenses" in found


def test_pictures_are_the_frames_under_stable_names(project: Project, predicted: int, tmp_path: Path) -> None:
    found = run(project, tmp_path / "out", include="all")
    assert [image["file_name"] for image in found["images"]] == ["walk1.png", "walk2.png", "walk10.png"]
    with open_media(project.media_list()[0].path) as media:
        for image in found["images"]:
            read = cv2.imread(str(tmp_path / "out/images" / image["file_name"]))[..., ::-1]
            np.testing.assert_array_equal(read, media.frame(image["frame_index"]).pixels)
            assert (image["width"], image["height"]) == (read.shape[1], read.shape[0])


def test_jpeg_and_references(project: Project, predicted: int, tmp_path: Path) -> None:
    found = run(project, tmp_path / "jpg", include="all", pictures="jpg")
    assert (tmp_path / "jpg/images" / found["images"][0]["file_name"]).suffix == ".jpg"
    named = run(project, tmp_path / "named", include="all", pictures="none")
    assert not (tmp_path / "named/images").exists()
    assert named["images"][1]["file_name"] == "walk2.png"
    assert (named["images"][1]["width"], named["images"][1]["height"]) == (82, 64)


def test_two_media_of_one_name_do_not_collide(project: Project, predicted: int, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "pictures"
    write_pictures(other, ["walk1.png"], seed=9)
    with open_media(other) as opened:
        second = project.add_media(opened.info)
    made = project.start_run(second, {}, {}, [0])
    project.store_results(made, [result(0, pose(seed=5))])
    project.finish_run(made, "done")
    found = run(project, tmp_path / "out", include="all")
    names = [image["file_name"] for image in found["images"]]
    assert len(set(names)) == len(names) == 4
    assert all((tmp_path / "out/images" / name).is_file() for name in names)


def test_a_split_keeps_media_whole(project: Project, predicted: int, tmp_path: Path) -> None:
    for number in range(3):
        other = tmp_path / f"more{number}"
        write_pictures(other, ["a.png", "b.png"], seed=20 + number)
        with open_media(other) as opened:
            media = project.add_media(opened.info)
        made = project.start_run(media, {}, {}, [0, 1])
        project.store_results(made, [result(0, pose(seed=number)), result(1)])
    report = finish(export(project, tmp_path / "out", ExportOptions(include="all", val_share=0.25)))
    assert sorted(report.files) == [f"annotations/person_keypoints_{part}.json" for part in ("train", "val")]
    media = {}
    for part in ("train", "val"):
        found = read_json(tmp_path / f"out/annotations/person_keypoints_{part}.json")
        media[part] = {image["media"] for image in found["images"]}
    assert media["train"].isdisjoint(media["val"])
    assert (len(media["train"]), len(media["val"])) == (3, 1)
    assert report.images == 9


def test_copies_of_one_content_fall_on_one_side() -> None:
    def source(number: int, mark: str) -> Source:
        info = MediaInfo(f"/v/{number}.mp4", "video", 9, (4, 4), 25.0, 1.0, "h264", 0, mark)
        return Source(number, info, str(number), Extras())

    marks = ["a", "b", "c", "d", "e"]
    sources = [source(number, mark) for number, mark in enumerate(marks + marks)]
    parts = split_media(sources, 0.4)
    assert all(parts[number] == parts[number + 5] for number in range(5))
    assert list(parts.values()).count("val") == 4
    with pytest.raises(FormatError, match="at least two"):
        split_media([source(1, "a"), source(2, "a")], 0.5)


def test_stems_are_unique_and_harmless() -> None:
    def info(path: str) -> MediaInfo:
        return MediaInfo(path, "video", 9, (4, 4), 25.0, 1.0, "h264", 0, path)

    stems = unique_stems([(1, info("/a/clip.mp4")), (2, info("/b/clip.mp4")), (3, info("/c/.. a;b\n.mp4"))])
    assert stems == {1: "clip", 2: "clip-2", 3: "a_b"}


def test_an_existing_folder_is_refused_then_replaced_when_told(
    project: Project, predicted: int, tmp_path: Path
) -> None:
    run(project, tmp_path / "out", include="all")
    before = (tmp_path / "out" / FILE).read_bytes()
    correct(project, predicted, 0)
    with pytest.raises(CallError, match="exists already"):
        run(project, tmp_path / "out")
    assert (tmp_path / "out" / FILE).read_bytes() == before
    found = run(project, tmp_path / "out", overwrite=True)
    assert len(found["images"]) == 1
    assert sorted(path.name for path in (tmp_path / "out/images").iterdir()) == ["walk1.png"]
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("dear")
    with pytest.raises(CallError, match="holds more than an earlier export"):
        run(project, tmp_path / "home", overwrite=True)
    assert (tmp_path / "home/letter.txt").read_text() == "dear"


def test_a_full_disk_is_one_sentence_and_changes_nothing(
    project: Project, predicted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project, tmp_path / "out", include="all")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    there = sorted(path.name for path in tmp_path.iterdir())
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "walk10.png":
            write(path, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FormatError, match=r"the disk is full\. Nothing there was changed") as caught:
        run(project, tmp_path / "out", include="all", overwrite=True)
    assert str(tmp_path / "out") in str(caught.value)
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == there


def test_a_real_write_failure_of_the_system(project: Project, predicted: int, tmp_path: Path) -> None:
    """The kernel itself refuses to write more than 300 KB into one file, as a quota would."""
    big = tmp_path / "big"
    big.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    cv2.imwrite(str(big / "big.png"), pixels)
    with open_media(big) as opened:
        media = project.add_media(opened.info)
    project.apply(edits.AddPerson(media=media, frame=0, keypoints=pose().keypoints, box=(1, 1, 90, 90)))
    project.close()

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = subprocess.run(
        [sys.executable, "-m", "poseviewer", "export", str(project.path), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        timeout=120,
    )
    assert done.returncode == 1
    assert "stopped: the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda data: data["annotations"][0]["keypoints"].__setitem__(0, 3.0), "a joint's place differs"),
        (lambda data: data["annotations"][0]["keypoints"].__setitem__(2, 1), "a visibility differs"),
        (lambda data: data["annotations"][0]["bbox"].__setitem__(2, 9.0), "the box differs"),
        (lambda data: data["annotations"][0].__setitem__("num_keypoints", 3), "num_keypoints or iscrowd differs"),
        (lambda data: data["annotations"].pop(), "0 persons instead of 1"),
        (lambda data: data["images"].pop(), "the image ids differ"),
        (lambda data: data["images"][0].__setitem__("file_name", "x.png"), "instead of walk1.png"),
        (lambda data: data["annotations"][0].__setitem__("id", 0), "annotation ids are not distinct"),
        (lambda data: data["categories"][0]["keypoints"].reverse(), "the joint names differ"),
        (lambda data: data["categories"][0]["skeleton"].append([17, 18]), "a limb names a joint"),
    ],
)
def test_the_check_notices_every_kind_of_mistake(
    spoil: object, what: str, project: Project, predicted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = coco_export._write_json

    def wrong(path: Path, data: dict) -> None:
        spoil(data)  # type: ignore[operator]
        write(path, data)

    monkeypatch.setattr(coco_export, "_write_json", wrong)
    with pytest.raises(FormatError, match=what):
        run(project, tmp_path / "out", include="all")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_a_picture_with_other_pixels_is_noticed(
    project: Project, predicted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = coco_export._write_picture

    def wrong(path: Path, pixels: np.ndarray, options: ExportOptions) -> str | None:
        mark = write(path, pixels, options)
        cv2.imwrite(str(path), 255 - pixels)
        return mark

    monkeypatch.setattr(coco_export, "_write_picture", wrong)
    with pytest.raises(FormatError, match="has other pixels"):
        run(project, tmp_path / "out", include="all")


def test_closing_the_job_leaves_nothing(project: Project, predicted: int, tmp_path: Path) -> None:
    job = export(project, tmp_path / "out", ExportOptions(include="all"))
    # What comes before the folder (counting the frames of a new video, say) leaves nothing anyway.
    assert any(list(tmp_path.glob(".out*.part")) for _ in job)
    job.close()
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_numbers_that_are_not_finite_are_refused() -> None:
    broken = pose()
    broken.keypoints[3, 1] = np.nan
    person = Person("c1", "corrected", broken, np.full(17, 2, np.uint8))
    with pytest.raises(FormatError, match="frame 7 of media 1"):
        shape_of(person, "frame 7 of media 1")


def test_nothing_to_export_is_said(project: Project, predicted: int, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"walk\.poseproj has no corrected frame"):
        run(project, tmp_path / "out")


def test_a_person_who_is_there_twice_still_scores_one(project: Project, predicted: int, tmp_path: Path) -> None:
    """The second lacks some joints of the first: pycocotools could take one for the other."""
    flat = np.array(keypoints(0)).reshape(17, 3)
    for dropped in ((), (0, 2), (0, 2, 4)):
        seen = [0 if joint in dropped else int(v) for joint, v in enumerate(flat[:, 2])]
        project.apply(
            edits.AddPerson(media=predicted, frame=1, keypoints=flat[:, :2], visibility=seen, box=(1, 1, 60, 60))
        )
    report = finish(export(project, tmp_path / "out", ExportOptions()))
    assert (report.persons, report.ap) == (3, 1.0)


def test_more_than_twenty_people_score_one(project: Project, predicted: int, tmp_path: Path) -> None:
    for number in range(25):
        points = pose(seed=50 + number).keypoints
        project.apply(edits.AddPerson(media=predicted, frame=2, keypoints=points, box=(10, 10, 50, 50)))
    report = finish(export(project, tmp_path / "out", ExportOptions()))
    assert (report.persons, report.ap) == (25, 1.0)


def test_a_media_that_moved_or_was_replaced_is_named(project: Project, predicted: int, tmp_path: Path) -> None:
    correct(project, predicted, 0)
    folder = Path(project.media_list()[0].path)
    folder.rename(tmp_path / "away")
    with pytest.raises(KnownError, match="no longer at"):
        run(project, tmp_path / "out")
    write_pictures(folder, ["walk1.png", "walk2.png"], seed=77)
    with pytest.raises(KnownError, match="another file than the one that was worked on"):
        run(project, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_exporting_by_path_closes_the_project(project: Project, predicted: int, tmp_path: Path) -> None:
    correct(project, predicted, 0)
    project.close()
    report = finish(export_project(project.path, tmp_path / "out", ExportOptions()))
    assert report.images == 1
    Project.open(project.path).close()


def test_pictures_need_a_reader(project: Project, predicted: int, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="only be extracted"):
        finish(export_coco(project, tmp_path / "out", ExportOptions(include="all"), pictures=None))
