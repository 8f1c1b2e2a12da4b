"""Every command in this process: files, stdout, stderr and exit status."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cocomade import annotation, dataset, image, read_json, write_json, write_pictures
from fakepipeline import FakeNetworks, fake_run, write_clip

from poseviewer.cli.main import is_command, run_command
from poseviewer.jobs.video_out import video_writer
from poseviewer.media import open_media
from poseviewer.project import Project


def call(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    """Run a command; return status, stdout and stderr."""
    status = run_command([str(word) for word in argv])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return status, said.out, said.err


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["predict", "a.mp4"], True),
        (["doctor"], True),
        (["--help"], True),
        (["-h"], True),
        (["--version"], True),
        ([], False),
        (["clip.mp4"], False),
        (["./predict"], False),
        (["a b.poseproj", "demo"], False),
    ],
)
def test_what_is_a_command(argv: list[str], answer: bool) -> None:
    assert is_command(argv) is answer


@pytest.mark.parametrize("name", ["predict", "frames", "probe", "export", "import", "evaluate", "doctor", "demo"])
def test_help_teaches(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, name, "--help")
    assert status == 0
    assert len(out) > 200
    assert "usage: poseviewer" in out


def test_help_of_everything_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "--help")
    assert status == 0
    for word in ("predict", "import", "demo", "130 cancelled", "poseviewer export"):
        assert word in out
    assert call(capsys, "--version")[1].startswith("PoseViewer ")


def test_hidden_aliases_are_not_advertised(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--detbatch" not in call(capsys, "predict", "--help")[1]


def test_predict_a_video(fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    out = tmp_path / "new" / "r.json"
    status, said, _ = call(capsys, "predict", clip, "--out", out, "--frames", "0-3,8")
    assert status == 0
    assert said.split() == [str(out), str(out.with_name("r.images.json"))]
    images = read_json(out.with_name("r.images.json"))["images"]
    assert [(i["id"], i["frame_index"], i["file_name"]) for i in images] == [
        (number + 1, frame, f"clip_{frame:06d}.png") for number, frame in enumerate((0, 1, 2, 3, 8))
    ]
    assert [i["timestamp"] for i in images] == [0, 0.04, 0.08, 0.12, 0.32]
    assert (images[0]["width"], images[0]["height"]) == (96, 64)
    rows = read_json(out)
    assert [row["image_id"] for row in rows] == [1, 1, 2, 3, 3, 4, 5, 5]
    assert set(rows[0]) == {"image_id", "category_id", "keypoints", "score", "bbox"}
    assert rows[0]["category_id"] == 1
    assert len(rows[0]["keypoints"]) == 51
    np.testing.assert_allclose(rows[0]["bbox"], [2, 2, 30, 60])
    assert rows[0]["score"] == pytest.approx(0.9)


def test_predict_several_media_gives_distinct_ids(
    fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "p", ["b2.png", "b10.png"])
    clip = write_clip(tmp_path / "clip.mp4", 3)
    status, _, _ = call(capsys, "predict", tmp_path / "p", clip, "-o", tmp_path / "r.json")
    assert status == 0
    images = read_json(tmp_path / "r.images.json")["images"]
    assert [i["id"] for i in images] == [1, 2, 3, 4, 5]
    assert [i["file_name"] for i in images[:2]] == ["b2.png", "b10.png"]
    assert [(i["width"], i["height"]) for i in images[:2]] == [(80, 60), (82, 64)]


def test_pictures_of_several_folders_keep_names_apart(
    fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("a", "b"):
        write_pictures(tmp_path / place, ["1.png"])
    source = dataset([image(8, "b/1.png"), image(9, "a/1.png")], [annotation(1, 8, 1), annotation(2, 9, 2)])
    boxes = write_json(tmp_path / "gt.json", source)
    for more in ((), ("--boxes", boxes)):
        status, _, _ = call(capsys, "predict", tmp_path / "?" / "*.png", "--out", tmp_path / "r.json", *more)
        assert status == 0
        images = read_json(tmp_path / "r.images.json")["images"]
        assert [entry["file_name"] for entry in images] == ["a/1.png", "b/1.png"]
    assert [entry["id"] for entry in images] == [9, 8]


def test_a_copy_of_a_clip_does_not_move_it(
    fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 2)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    for path in (clip, copy):
        assert call(capsys, "predict", path, "--project", tmp_path / "p.poseproj")[0] == 0
    with Project.open(tmp_path / "p.poseproj") as project:
        assert [row.path for row in project.media_list()] == [str(clip)]


def test_a_form_of_pose_nms_brings_its_numbers(
    fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, out = write_clip(tmp_path / "clip.mp4", 2), tmp_path / "r.json"
    found = []
    for options in ((), ("--nms", "train"), ("--nms", "corrected", "--no-nms")):
        assert call(capsys, "predict", clip, "--out", out, *options)[0] == 0
        nms = read_json(tmp_path / "r.images.json")["info"]["config"]["nms"]
        found.append((nms["version"], nms["score_floor"], nms["enabled"], nms["auto"]))
    assert found == [("master", 0.3, True, False), ("train", 0.15, True, False), ("corrected", 0.3, False, False)]


def test_predict_with_boxes_keeps_the_ids_of_the_file(
    fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[Any] = []

    def watching(media: Any, frames: Any, config: Any, **fields: Any) -> Any:
        configs.append(config)
        return fake_run(media, frames, config, **fields)

    monkeypatch.setattr("poseviewer.pipeline.run.run", watching)
    write_pictures(tmp_path / "p", ["a.png", "b.png", "c.png"])
    source = dataset(
        [image(900, "c.png"), image(17, "a.png")], [annotation(1, 900, 1), annotation(2, 900, 2), annotation(3, 17)]
    )
    gt = write_json(tmp_path / "gt.json", source)
    status, _, _ = call(capsys, "predict", tmp_path / "p", "--boxes", gt, "--out", tmp_path / "r.json")
    assert status == 0
    rows = read_json(tmp_path / "r.json")
    assert sorted(row["image_id"] for row in rows) == [17, 900, 900]
    np.testing.assert_allclose(sorted(row["bbox"][0] for row in rows), [1.5, 2.5, 3.5])
    assert configs[0].nms.enabled is False
    status, out, _ = call(capsys, "evaluate", gt, tmp_path / "r.json", "--json")
    assert status == 0
    assert json.loads(out)["results"] == 3


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_predict_into_a_project_then_resume(
    how: signal.Signals,
    fake_pipeline: FakeNetworks,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cancelled(media: Any, frames: Any, config: Any, **fields: Any) -> Any:
        for result in fake_run(media, frames, config, **fields):
            if result.frame == 5:
                os.kill(os.getpid(), how)
            yield result

    clip, project, out = write_clip(tmp_path / "clip.mp4"), tmp_path / "clip.poseproj", tmp_path / "r.json"
    # A test run in the background begins with Ctrl+C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr("poseviewer.pipeline.run.run", cancelled)
            status, _, err = call(capsys, "predict", clip, "--project", project, "--out", out)
    finally:
        signal.signal(signal.SIGINT, before)
    assert status == 130
    assert "what was finished is kept" in err
    assert [i["frame_index"] for i in read_json(tmp_path / "r.images.json")["images"]] == [0, 1, 2, 3, 4]
    with Project.open(project) as opened:
        assert [run.outcome for run in opened.runs()] == ["cancelled"]
    status, _, err = call(capsys, "predict", clip, "--project", project, "--resume", "--frames", "0-3")
    assert (status, "over the frames 0-11, not 0-3" in err) == (2, True)
    assert call(capsys, "predict", clip, "--project", project, "--resume", "--out", out)[0] == 0
    assert call(capsys, "predict", clip, "--out", tmp_path / "whole.json")[0] == 0
    assert read_json(out) == read_json(tmp_path / "whole.json")
    assert [i["frame_index"] for i in read_json(tmp_path / "r.images.json")["images"]] == list(range(12))
    with Project.open(project) as opened:
        (run,) = opened.runs()
        assert (run.outcome, run.done_count) == ("done", 12)
        assert len(opened.media_list()) == 1


def test_a_run_goes_on_only_with_its_own_weights(
    fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, path = write_clip(tmp_path / "clip.mp4", 4), tmp_path / "clip.poseproj"
    assert call(capsys, "predict", clip, "--project", path, "--frames", "0")[0] == 0
    with Project.open(path) as project:
        networks = {"estimator": {"name": "other.pt", "sha256": "12"}, "detector": {"name": "fake"}}
        run = project.start_run(1, {"confidence": 0.5}, networks, range(4))
    status, _, err = call(capsys, "predict", clip, "--project", path, "--resume")
    assert (status, "other.pt is not the one that the run began with" in err) == (2, True)
    with Project.open(path) as project:
        project.finish_run(run, "done")
    status, _, err = call(capsys, "predict", clip, "--project", path, "--resume")
    assert (status, "a new one begins" in err) == (0, True)


def test_a_clip_that_moved_or_was_encoded_anew_is_found_again(
    fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, project = write_clip(tmp_path / "clip.mp4"), tmp_path / "clip.poseproj"
    assert call(capsys, "predict", clip, "--project", project)[0] == 0
    (tmp_path / "away").mkdir()
    moved = clip.rename(tmp_path / "away/other.mp4")
    assert call(capsys, "predict", moved, "--project", project, "--frames", "0-3")[0] == 0
    with open_media(moved) as media, video_writer(tmp_path / "small.mp4", (96, 64), 25) as writer:
        for frame in media.frames(range(12)):
            writer.add(np.clip(frame.pixels.astype(int) + 3, 0, 255).astype(np.uint8))
    moved.unlink()
    assert call(capsys, "predict", tmp_path / "small.mp4", "--project", project, "--frames", "0-3")[0] == 0
    with Project.open(project) as opened:
        (row,) = opened.media_list()
        assert Path(row.path).name == "small.mp4"
        assert len(opened.runs(row.id)) == 3
    other = write_clip(tmp_path / "long.mp4", 13, (64, 96))
    assert call(capsys, "predict", other, "--project", project, "--frames", "0")[0] == 0
    with Project.open(project) as opened:
        assert len(opened.media_list()) == 2


def test_predict_draws(fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    status, out, _ = call(capsys, "predict", clip, "--overlay", tmp_path / "seen.mp4", "--frames", "2-6")
    assert status == 0
    assert str(tmp_path / "seen.mp4") in out
    with open_media(tmp_path / "seen.mp4") as drawn:
        assert drawn.confirm().frame_count == 5


def test_one_damaged_picture_does_not_end_the_run(
    fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "p", ["a.png", "b.png", "c.png"])
    data = (tmp_path / "p/b.png").read_bytes()
    (tmp_path / "p/b.png").write_bytes(b"no picture" + data[10:2000])
    status, _, err = call(capsys, "predict", tmp_path / "p", "--out", tmp_path / "r.json")
    assert status == 0
    assert "error: frame 1: The picture b.png" in err
    assert "1 frame could not be read." in err
    images = read_json(tmp_path / "r.images.json")["images"]
    assert [entry["file_name"] for entry in images] == ["a.png", "c.png"]


def test_alphapose_spellings(fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "p", ["a.png"])
    out = tmp_path / "r.json"
    argv = ("predict", "--indir", tmp_path / "p", "--detbatch", 2, "--posebatch", 8, "--out", out)
    assert call(capsys, *argv)[0] == 0
    config = read_json(tmp_path / "r.images.json")["info"]["config"]
    assert (config["batch_frames"], config["batch_people"]) == (2, 8)


def wrong_calls(folder: Path) -> list[tuple[list[object], int, str]]:
    """Calls that cannot work: arguments, exit status, and what the sentence says."""
    clip, out = folder / "clip.mp4", folder / "r.json"
    return [
        (["predict"], 2, "at least one MEDIA"),
        (["predict", clip], 2, "Nothing would be kept"),
        (["predict", clip, "--out", folder], 2, "names a .json file"),
        (["predict", clip, "--out", out, "--frames", "5-2"], 2, "runs backwards"),
        (["predict", clip, "--out", out, "--frames", "0-99"], 2, "Frame 99 is not there"),
        (["predict", clip, "--out", out, "--frames", "x"], 2, "no frame or range"),
        (["predict", clip, "--out", out, "--frames", ""], 2, "names no frame"),
        (["predict", clip, "--out", out, "--resume"], 2, "--project P"),
        (["predict", clip, clip, "--overlay", folder / "o.mp4"], 2, "one media at a time"),
        (["predict", clip, "--overlay", folder / "o.avi"], 2, "writes .mp4"),
        (["predict", clip, "--out", out, "--pipeline", "bottomup", "--boxes", out], 2, "goes with --pipeline topdown"),
        (["predict", clip, "--out", out, "--pipeline", "bottomup", "--scales", "2,3"], 2, "Several scales must hold 1"),
        (["predict", clip, "--out", out, "--grouping-limit", "0"], 2, "grouping_limit must lie between 0 and 10"),
        (["predict", clip, "--out", out, "--pipeline", "sideways"], 2, "invalid choice"),
        (["predict", clip, "--out", out, "--confidence", "7"], 2, "between 0 and 1"),
        (["predict", folder / "none.mp4", "--out", out], 1, "none.mp4"),
        (["predict", folder / "text.mp4", "--out", out], 1, "text.mp4"),
        (["predict", folder / "empty.mp4", "--out", out], 1, "0 bytes"),
        (["predict", clip, "--out", out, "--boxes", folder / "none.json"], 1, "none.json"),
        (["frames", clip, "--index", "12", "--out", folder / "f"], 2, "Frame 12 is not there"),
        (["frames", clip, "--out", folder / "f"], 2, "--index"),
        (["probe", ""], 1, "name of the media is empty"),
        (["probe", folder / "text.mp4", "--json"], 1, "text.mp4"),
        (["export", folder / "none.poseproj", "--out", folder / "e"], 1, "none.poseproj is not there"),
        (["export", folder / "text.mp4", "--out", folder / "e"], 1, "text.mp4"),
        (["export", folder / "none.poseproj", "--out", folder / "e", "--val", "3"], 2, "between 0 and 1"),
        (["export", folder / "none.poseproj", "--out", folder / "e", "--format", "yolo"], 2, "invalid choice"),
        (["import", folder / "text.mp4", "--images", folder, "--project", folder / "n.poseproj"], 1, "not valid JSON"),
        (["evaluate", folder / "text.mp4", out], 1, "not valid JSON"),
        (["--nonsense"], 2, "unrecognized arguments"),
    ]


@pytest.mark.parametrize("number", range(30))
def test_wrong_calls_are_one_sentence(
    number: int, fake_pipeline: FakeNetworks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "clip.mp4")
    (tmp_path / "text.mp4").write_text("this is no video at all, only words\n" * 30)
    (tmp_path / "empty.mp4").touch()
    before = sorted(tmp_path.iterdir())
    argv, wanted, words = wrong_calls(tmp_path)[number]
    status, out, err = call(capsys, *argv)
    assert status == wanted
    assert words in err
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("poseviewer")]
    assert len(lines) >= 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_bug_names_the_log_and_shows_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from poseviewer.core.log import log_path

    def bug(*_: object) -> None:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("poseviewer.jobs.probe.open_media", bug)
    status, _, err = call(capsys, "probe", tmp_path)
    assert status == 1
    assert str(log_path()) in err
    assert "deep inside" not in err
    text = log_path().read_text()
    assert "deep inside" in text
    assert "Traceback" in text


def test_probe_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    status, out, _ = call(capsys, "probe", clip, "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["frame_count"], found["width"], found["height"], found["codec"]) == (12, 96, 64, "h264")
    assert "12 frames" in call(capsys, "probe", clip)[1]


def test_frames_as_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    status, out, _ = call(capsys, "frames", clip, "--index", "0,5", "--out", tmp_path / "f")
    assert status == 0
    assert [Path(line).name for line in out.split()] == ["000000.png", "000005.png"]
    assert cv2.imread(str(tmp_path / "f/000005.png")).shape == (64, 96, 3)


def test_import_export_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path / "p", ["a.png", "b.png"])
    source = dataset([image(4, "a.png"), image(9, "b.png")], [annotation(1, 4, 1), annotation(2, 9, 2)])
    gt, project = write_json(tmp_path / "gt.json", source), tmp_path / "x.poseproj"
    status, out, err = call(capsys, "import", gt, "--images", tmp_path / "p", "--project", project)
    assert (status, out.strip()) == (0, str(project))
    assert "2 people in 2 images" in err
    status, out, err = call(capsys, "export", project, "--format", "coco", "--out", tmp_path / "e")
    assert status == 0
    assert "AP against itself 1.000" in err
    exported = Path(out.strip())
    assert exported == tmp_path / "e/annotations/person_keypoints.json"
    status, out, _ = call(capsys, "evaluate", gt, exported)
    assert status == 0
    assert "OKS AP       1.000" in out
    status, _, err = call(capsys, "export", project, "--out", tmp_path / "e")
    assert status == 2
    assert "exists already" in err
    assert call(capsys, "export", project, "--out", tmp_path / "e", "--overwrite")[0] == 0


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "doctor", "--json")
    found = json.loads(out)
    assert status == int(any(finding["serious"] for finding in found["findings"]))
    assert found["parts"]["torch"]
    assert "log" in found["folders"]
    assert "decoders" in call(capsys, "doctor")[1]
