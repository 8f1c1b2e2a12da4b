"""Frames, probe, drawing, video files, given boxes, doctor."""

from __future__ import annotations

import errno
import resource
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cocomade import annotation, dataset, finish, image, keypoints, pose, write_json, write_pictures
from fakepipeline import write_clip

from poseviewer.core.drawing import alphapose_drawing
from poseviewer.core.errors import CallError, FormatError, KnownError, MediaError
from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import CropEvidence, Person, Pose
from poseviewer.jobs import video_out
from poseviewer.jobs.doctor import diagnose
from poseviewer.jobs.draw import DOUBT_ALPHA, SIDE_COLOURS, contact_sheet, draw_people, grid
from poseviewer.jobs.evaluate import evaluate
from poseviewer.jobs.frames import extract_frames, picture_names
from poseviewer.jobs.importing import import_into
from poseviewer.jobs.overlay import overlay_video
from poseviewer.jobs.predicting import PredictOrder, predict_files
from poseviewer.jobs.probe import info_json, info_lines, probe_media
from poseviewer.jobs.results import given_boxes, write_results
from poseviewer.jobs.video_out import video_writer
from poseviewer.media import open_media

KIT = skeleton("coco_17")


def test_extracted_frames_are_the_exact_frames(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    paths = finish(extract_frames(clip, "0,7,10-11", tmp_path / "out"))
    assert [path.name for path in paths] == ["000000.png", "000007.png", "000010.png", "000011.png"]
    with open_media(clip) as media:
        for path in paths:
            read = cv2.imread(str(path))[..., ::-1]
            np.testing.assert_array_equal(read, media.frame(int(path.stem)).pixels)


def test_frames_that_are_not_there(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(CallError, match="Frame 12 is not there"):
        finish(extract_frames(clip, "12", tmp_path / "out"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(FormatError, match="cannot be written"):
        finish(extract_frames(clip, "0", tmp_path / "file"))


def test_probe_says_what_is_there(tmp_path: Path) -> None:
    info = finish(probe_media(write_clip(tmp_path / "clip.mp4")))
    said = info_json(info)
    assert (said["frame_count"], said["fps"], said["width"], said["height"]) == (12, 25, 96, 64)
    assert said["codec"] == "h264"
    assert said["confirmed"] is True
    assert any("12 frames" in line for line in info_lines(info))


def test_probe_finds_damaged_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png", "b.jpg", "c.jpg", "d.png"])
    whole = (tmp_path / "p/b.jpg").read_bytes()
    (tmp_path / "p/b.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    (tmp_path / "p/d.png").write_bytes(b"")
    events: list[object] = []
    info = finish(probe_media(tmp_path / "p"), events)
    assert [finding.text for finding in info.findings] == [
        "d.png cannot be decoded.",
        "b.jpg ends before its picture does.",
    ]
    assert events == [] or events[0].unit == "pictures"


@pytest.mark.parametrize("content", [b"", b"hello, this is no video\n" * 20, b"\0" * 4000])
def test_files_that_are_no_video(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"bad\.mp4"):
        finish(probe_media(path))


def test_video_out_keeps_count_size_and_pictures(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 101, dtype=np.uint8)[None, :, None], (51, 1, 3))
    with video_writer(tmp_path / "odd.mp4", (101, 51), 12.5) as writer:
        for shift in range(7):
            writer.add(np.roll(ramp, 3 * shift, axis=1))
        writer.add(np.zeros((200, 300, 3), np.uint8))
    with open_media(tmp_path / "odd.mp4") as media:
        info = media.confirm()
        assert (info.frame_count, info.size_wh, info.fps) == (8, (100, 50), 12.5)
        assert np.abs(media.frame(0).pixels[:, 10:90].astype(int) - ramp[:50, 10:90]).mean() < 6
    assert [path.name for path in tmp_path.iterdir()] == ["odd.mp4"]


def test_a_failing_video_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), video_writer(tmp_path / "no.mp4", (64, 48), 25):
        raise RuntimeError("stop")
    with pytest.raises(FormatError, match="cannot be written"), video_writer(tmp_path / "x/no.mp4", (64, 48), 25):
        pass
    assert not list(tmp_path.iterdir())


def test_skeletons_are_drawn_where_the_joints_are() -> None:
    plain = np.full((120, 160, 3), 128, np.uint8)
    points = np.full((17, 2), 30.0, np.float32)
    points[9], points[10] = (120, 90), (20, 100)
    person = Person("c1", "corrected", pose(), np.zeros(17, np.uint8))
    person.pose.keypoints[:] = points
    seen = person.visibility.copy()
    seen[9], seen[10] = 2, 2
    drawn = draw_people(plain, [Person("c1", "corrected", person.pose, seen)], KIT)
    assert tuple(drawn[90, 120]) == SIDE_COLOURS["left"]
    assert tuple(drawn[100, 20]) == SIDE_COLOURS["right"]
    assert (drawn[30, 30] == 128).all()
    assert (plain == 128).all()
    assert (draw_people(plain, [], KIT) == plain).all()


def test_joints_that_score_low_are_drawn_faintly_unless_a_hand_confirmed_them() -> None:
    plain = np.full((120, 160, 3), 128, np.uint8)
    points = np.full((17, 2), 30.0, np.float32)
    points[9], points[10] = (120, 90), (20, 100)
    scores = np.zeros(17, np.float32)
    scores[9], scores[10] = 0.9, 0.2
    guessed = Pose(points, scores, np.array([0, 0, 159, 119], np.float32), 0.5)
    drawn = draw_people(plain, [guessed], KIT)
    right = np.array(SIDE_COLOURS["right"], float)
    assert tuple(drawn[90, 120]) == SIDE_COLOURS["left"]
    assert np.allclose(drawn[100, 20], 128 + DOUBT_ALPHA * (right - 128), atol=1)
    seen = np.where(scores > 0, 2, 0).astype(np.uint8)
    by_hand = draw_people(plain, [Person("c1", "corrected", guessed, seen)], KIT)
    assert tuple(by_hand[100, 20]) == SIDE_COLOURS["right"]


def test_people_in_alphapose_colours_have_a_neck() -> None:
    plain = np.zeros((200, 200, 3), np.uint8)
    points = np.array([[10 + 10 * joint, 190] for joint in range(17)], np.float32)
    points[5:7], points[11:13] = [[60, 40], [100, 40]], [[70, 120], [90, 120]]
    one = Pose(points, np.ones(17, np.float32), np.array([0, 0, 199, 199], np.float32), 1.0)
    drawing = alphapose_drawing(17)
    drawn = draw_people(plain, [one], KIT, drawing=drawing)
    assert tuple(drawn[40, 80]) == drawing.point(17)
    assert drawn[80, 75].any()
    assert not draw_people(plain, [one], KIT)[80, 75].any()
    with pytest.raises(CallError, match="14 joints"):
        alphapose_drawing(14)


def test_wild_coordinates_do_not_stop_the_drawing() -> None:
    wild = pose()
    wild.keypoints[0] = (np.nan, np.inf)
    wild.keypoints[1] = (-1e12, 1e12)
    assert draw_people(np.zeros((50, 50, 3), np.uint8), [wild], KIT, boxes=True).shape == (50, 50, 3)


def test_overlay_has_the_asked_frames(tmp_path: Path) -> None:
    with open_media(write_clip(tmp_path / "clip.mp4")) as media:
        media.confirm()
        people = {3: (pose(),), 5: (), 4: (pose(seed=2),)}
        finish(overlay_video(media, people, KIT, tmp_path / "seen.mp4", boxes=True))
    with open_media(tmp_path / "seen.mp4") as drawn:
        assert drawn.confirm().frame_count == 3


def uneven_clip(path: Path, times: list[float]) -> Path:
    """Write a clip whose frames are shown at ``times``."""
    with video_writer(path, (96, 64), 25, timed=True) as writer:
        for number, seconds in enumerate(times):
            writer.add(np.full((64, 96, 3), 20 + 10 * number, np.uint8), seconds)
    return path


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
def test_overlay_of_a_varying_rate_keeps_the_frames_own_times(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_out, "ENCODERS", tuple(row for row in video_out.ENCODERS if row[0] == encoder))
    times = [0.0, 0.04, 0.3, 0.35, 1.0, 1.0333, 2.5]
    with open_media(uneven_clip(tmp_path / "uneven.mp4", times)) as media:
        media.confirm()
        np.testing.assert_allclose(media.timestamps, times, atol=1e-4)
        finish(overlay_video(media, dict.fromkeys(range(7), ()), KIT, tmp_path / "all.mp4"))
        finish(overlay_video(media, dict.fromkeys((1, 2, 4, 5), ()), KIT, tmp_path / "some.mp4"))
    with open_media(tmp_path / "all.mp4") as drawn:
        assert drawn.confirm().frame_count == 7
        np.testing.assert_allclose(drawn.timestamps, times, atol=1e-4)
        shown = [round(float(drawn.frame(number).pixels.mean()) / 10) for number in range(7)]
        assert shown == [2, 3, 4, 5, 6, 7, 8]
    with open_media(tmp_path / "some.mp4") as drawn:
        assert drawn.confirm().frame_count == 4
        np.testing.assert_allclose(drawn.timestamps, [0, 0.26, 0.31, 0.3433], atol=2e-4)


def test_frames_stamped_alike_stay_in_order(tmp_path: Path) -> None:
    with open_media(uneven_clip(tmp_path / "same.mp4", [0.0, 0.5, 0.5, 0.4, 1.0])) as media:
        assert media.confirm().frame_count == 5
        assert (np.diff(media.timestamps) > 0).all()


def test_overlay_of_pictures_shows_ten_in_a_second(tmp_path: Path) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 96, 3), 60 * number, np.uint8))
    with open_media(tmp_path) as media:
        finish(overlay_video(media, dict.fromkeys(range(4), ()), KIT, tmp_path / "out.mp4"))
    with open_media(tmp_path / "out.mp4") as drawn:
        assert drawn.confirm().fps == pytest.approx(10.0)


def test_the_contact_sheet_shows_every_heatmap() -> None:
    rng = np.random.default_rng(0)
    heat = np.zeros((17, 16, 12), np.float32)
    heat[5, 4, 6] = 0.9
    eye = np.array([[1.0, 0, 0], [0, 1, 0]])
    crop = rng.integers(0, 255, (64, 48, 3), dtype=np.uint8)
    box = np.array([0, 0, 48, 64], np.float32)
    evidence = CropEvidence(box, eye, eye, eye, eye, crop, crop, heat, eye)
    sheet = contact_sheet([evidence, evidence], KIT, cell_px=48, columns=10)
    assert sheet.shape[1] == 480
    cell = 15 + 64
    fifth = sheet[15 : 15 + 64, 7 * 48 : 8 * 48].astype(int)
    other = sheet[15 : 15 + 64, 8 * 48 : 9 * 48].astype(int)
    assert np.abs(fifth - other).max() > 60
    assert sheet.shape[0] == 2 * (2 * cell + 8)
    assert contact_sheet([], KIT).ndim == 3
    assert grid([crop, crop, crop, crop], columns=3).shape == (128, 144, 3)


def boxes_of(path: Path, media_path: Path) -> Any:
    with open_media(media_path) as media:
        return given_boxes(path, media.info, picture_names(media))


def test_boxes_of_an_annotation_file_keep_its_ids(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png", "b.png", "c.png"])
    crowd = annotation(3, 70, iscrowd=1)
    source = dataset(
        [image(70, "x/c.png"), image(50, "a.png"), image(60, "elsewhere.png")],
        [annotation(1, 70, 1), annotation(2, 70, 2), crowd, annotation(4, 60)],
    )
    given = boxes_of(write_json(tmp_path / "gt.json", source), tmp_path / "p")
    assert {frame: key.id for frame, key in given.images.items()} == {0: 50, 2: 70}
    assert given.persons
    assert given.boxes[0].shape == (0, 5)
    np.testing.assert_allclose(given.boxes[2][0], [2.5, 2.25, 52.6, 55.0, 1.0])
    assert len(given.boxes[2]) == 2


def test_boxes_of_a_detection_file(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["000000000007.png", "000000000009.png"])
    rows = [
        {"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 9, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5},
    ]
    given = boxes_of(write_json(tmp_path / "dt.json", rows), tmp_path / "p")
    assert not given.persons
    assert {frame: key.id for frame, key in given.images.items()} == {0: 7, 1: 9}
    np.testing.assert_allclose(given.boxes[1], [[1, 2, 4, 6, 0.5]])
    named = [{**rows[0], "image_id": "000000000009.png"}]
    given = boxes_of(write_json(tmp_path / "dt.json", named), tmp_path / "p")
    assert len(given.boxes[1]) == 1
    assert given.sizeless == 0


def test_boxes_without_a_size_are_nobody(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["000000000007.png"])
    sizes = ([3, 4], [0, 0], [5, 0], [0, 5])
    rows = [{"image_id": 7, "category_id": 1, "bbox": [1, 2, *size], "score": 0.5} for size in sizes]
    given = boxes_of(write_json(tmp_path / "dt.json", rows), tmp_path / "p")
    np.testing.assert_allclose(given.boxes[0], [[1, 2, 4, 6, 0.5]])
    assert given.sizeless == 3


def test_boxes_for_a_video_go_by_frame_index(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    rows = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
    path = write_json(tmp_path / "dt.json", rows)
    with pytest.raises(CallError, match=r"no dt\.images\.json"):
        boxes_of(path, clip)
    write_json(
        tmp_path / "dt.images.json",
        {"images": [image(1, "clip.png", frame_index=8), image(2, "z_000099.png"), image(3, "7" * 5000)]},
    )
    given = boxes_of(path, clip)
    assert {frame: key.id for frame, key in given.images.items()} == {8: 1}


def test_boxes_over_several_videos_go_to_the_one_that_they_name(tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    rows = [{"image_id": number, "category_id": 1, "bbox": [number, 2, 3, 4], "score": 0.5} for number in (1, 2)]
    path = write_json(tmp_path / "dt.json", rows)
    said = [image(n, f"{m}_000003.png", frame_index=3, media=f"{m}.mp4") for n, m in ((1, "a"), (2, "b"))]
    write_json(tmp_path / "dt.images.json", {"images": said})
    for number, clip in enumerate(clips, start=1):
        given = boxes_of(path, clip)
        assert {frame: key.id for frame, key in given.images.items()} == {3: number}
        np.testing.assert_allclose(given.boxes[3], [[number, 2, number + 3, 6, 0.5]])
    joints = path_with_joints(tmp_path, said)
    report = finish(import_into(joints, clips[1], tmp_path / "b.poseproj"))
    assert (report.images, report.persons, report.missing) == (1, 1, 1)


def path_with_joints(folder: Path, said: list[Any]) -> Path:
    rows = [{"image_id": entry["id"], "category_id": 1, "keypoints": [1, 2, 0.5] * 17, "score": 1} for entry in said]
    write_json(folder / "joints.images.json", {"images": said})
    return write_json(folder / "joints.json", rows)


def test_boxes_that_could_be_of_two_videos_are_refused(tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    path = write_json(tmp_path / "gt.json", dataset([image(10, "x_000001.png")], [annotation(1, 10)]))
    order = PredictOrder(tuple(map(str, clips)), out=str(tmp_path / "r.json"), boxes=str(path))
    with pytest.raises(CallError, match=r"Image 10 of gt\.json could be of .*a\.mp4 as well as of .*b\.mp4"):
        finish(predict_files(order))
    assert not (tmp_path / "r.json").exists()


def test_boxes_that_fit_nothing(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png"])
    source = dataset([image(1, "other.png")], [annotation(1, 1)])
    with pytest.raises(CallError, match="names no picture of"):
        boxes_of(write_json(tmp_path / "gt.json", source), tmp_path / "p")


def test_two_images_of_one_picture_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png"])
    source = dataset([image(1, "train/a.png"), image(2, "val/a.png")], [annotation(1, 1)])
    with pytest.raises(FormatError, match=r"train/a\.png and val/a\.png mean the same picture"):
        boxes_of(write_json(tmp_path / "gt.json", source), tmp_path / "p")


def test_evaluate_returns_the_report(tmp_path: Path) -> None:
    source = dataset([image(1, "a.png")], [annotation(1, 1, 0, bbox=[0, 0, 70, 70])])
    rows = [{"image_id": 1, "category_id": 1, "keypoints": keypoints(0), "score": 1.0}]
    report = evaluate(write_json(tmp_path / "gt.json", source), write_json(tmp_path / "dt.json", rows))
    assert report.oks["AP"] == pytest.approx(1)


def test_doctor_knows_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = diagnose()
    assert found.parts["numpy"] == np.__version__
    assert found.decoders["h264"]
    assert found.devices[0].startswith("cpu")
    assert any("cache" in line for line in found.lines())
    monkeypatch.setattr(
        "poseviewer.jobs.doctor._version",
        lambda name: {"PySide6-Essentials": "6.12.0", "opencv-python-headless": "5.0"}.get(name, "1.0"),
    )
    words = " ".join(finding.text for finding in diagnose().findings)
    assert "6.12.0 crashes" in words
    assert "opencv-python-headless is installed beside" in words


def test_a_disk_that_is_full_leaves_no_half_of_a_results_pair(tmp_path: Path) -> None:
    path, companion = tmp_path / "r.json", tmp_path / "r.images.json"
    write_results(path, [], [image(1, "a.png")], {})
    before = companion.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(FormatError, match=r"r\.json cannot be written: File too large"):
            write_results(path, [{"keypoints": [0.5] * 5000}], [image(2, "b.png")], {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert companion.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [companion, path]


def test_a_disk_that_is_full_while_frames_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mp4")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("poseviewer.core.files.os.fsync", full)
    with pytest.raises(KnownError, match="No space left on device"):
        finish(extract_frames(clip, "0", tmp_path / "out"))
    assert not list((tmp_path / "out").iterdir())
