"""What a retraining held out stays with the project, and no export hands it to a training by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from cocomade import finish, pose, read_json, result, write_pictures

from poseviewer.cli.main import run_command
from poseviewer.core.errors import FormatError, ProjectError
from poseviewer.core.progress import Note
from poseviewer.jobs.export import AlphaPoseOptions, AnyOptions, ExportOptions, PoseTrackOptions, export
from poseviewer.jobs.retrain import take_snapshot
from poseviewer.jobs.summary import summarise
from poseviewer.media import open_media
from poseviewer.project import HeldOut, Project, edits, read_held_out, store_held_out
from poseviewer.training.holdout import HoldOut

FOREVER = 2**62


def add_media(project: Project, folder: Path, count: int) -> int:
    """Pictures with one corrected person each."""
    write_pictures(folder, [f"{folder.name}{number}.png" for number in range(count)])
    with open_media(folder) as media:
        number = project.add_media(media.confirm())
    run = project.start_run(number, {}, {}, range(count))
    project.store_results(run, [result(frame, pose(seed=frame)) for frame in range(count)])
    for frame in range(count):
        key = project.people(number, frame)[0].key
        project.apply(edits.AcceptPrediction(number, frame, person=key, fingerprint=f"{frame:016x}"))
    return number


@pytest.fixture
def project(tmp_path: Path):
    with Project.create(tmp_path / "p.poseproj") as made:
        add_media(made, tmp_path / "a", 4)
        yield made


def frames_of(folder: Path, part: str = "") -> list[tuple[str, int]]:
    """Media and frame of a file's pictures."""
    images = read_json(folder / "annotations" / f"person_keypoints{part}.json")["images"]
    return [(image["file_name"][0], image["frame_index"]) for image in images]


def test_a_retraining_notes_what_it_held_out(project: Project, tmp_path: Path) -> None:
    assert not read_held_out(project)
    with_default = finish(take_snapshot(project, tmp_path / "s", HoldOut(last=0.5)))
    assert with_default.held_frames == 2
    assert read_held_out(project) == HeldOut(((1, 2, FOREVER),))
    finish(take_snapshot(project, tmp_path / "t", HoldOut(last=0.0, media=("a",))))
    assert read_held_out(project) == HeldOut(((1, 0, FOREVER),))
    finish(take_snapshot(project, tmp_path / "u", HoldOut(last=0.0)))
    assert read_held_out(project) == HeldOut()


def test_held_out_frames_are_left_out_and_counted(project: Project, tmp_path: Path) -> None:
    finish(take_snapshot(project, tmp_path / "s", HoldOut(last=0.0, spans=(("a", 1, 2),))))
    events: list[object] = []
    report = finish(export(project, tmp_path / "out", ExportOptions()), events)
    assert frames_of(tmp_path / "out") == [("a", 0), ("a", 3)]
    assert (report.images, report.left_out, report.set_aside) == (2, 2, 0)
    assert Note("Held-out frames left out: 2.") in events
    assert not (tmp_path / "out" / "images" / "a1.png").exists()
    whole = finish(export(project, tmp_path / "all", ExportOptions(include_held_out=True)))
    assert (whole.images, whole.left_out, whole.set_aside, whole.held_out_words()) == (4, 0, 0, "")
    assert len(frames_of(tmp_path / "all")) == 4


OTHERS: list[tuple[AnyOptions, AnyOptions]] = [
    (AlphaPoseOptions(), AlphaPoseOptions(include_held_out=True)),
    (AlphaPoseOptions(form="open"), AlphaPoseOptions(form="open", include_held_out=True)),
    (PoseTrackOptions(), PoseTrackOptions(include_held_out=True)),
]


def pictures_of(folder: Path) -> list[str]:
    """Bare names of the pictures in an AlphaPose or PoseTrack export."""
    if (folder / "posetrack").is_dir():
        files = [read_json(file) for file in sorted((folder / "posetrack").iterdir())]
        return sorted(Path(image["file_name"]).name for file in files for image in file["images"])
    found = read_json(folder / "alphapose-results.json")
    return sorted(found if isinstance(found, dict) else {entry["image_id"] for entry in found})


@pytest.mark.parametrize(("usual", "whole"), OTHERS)
def test_the_other_formats_leave_them_out_too(
    project: Project, tmp_path: Path, usual: AnyOptions, whole: AnyOptions
) -> None:
    add_media(project, tmp_path / "b", 2)
    store_held_out(project, HeldOut(((1, 1, 2), (2, 0, FOREVER))))
    events: list[object] = []
    report = finish(export(project, tmp_path / "out", usual), events)
    assert pictures_of(tmp_path / "out") == ["a0.png", "a3.png"]
    assert (report.images, report.persons, report.left_out) == (2, 2, 4)
    assert Note("Held-out frames left out: 4.") in events
    report = finish(export(project, tmp_path / "all", whole))
    assert pictures_of(tmp_path / "all") == ["a0.png", "a1.png", "a2.png", "a3.png", "b0.png", "b1.png"]
    assert report.held_out_words() == ""
    store_held_out(project, HeldOut(((1, 0, FOREVER), (2, 0, FOREVER))))
    with pytest.raises(FormatError, match="held out for measuring"):
        finish(export(project, tmp_path / "none", usual))
    assert not (tmp_path / "none").exists()


def test_frames_that_are_corrected_later_in_a_held_out_span_stay_out(project: Project, tmp_path: Path) -> None:
    project.undo()
    finish(take_snapshot(project, tmp_path / "s", HoldOut(last=0.3)))
    assert read_held_out(project) == HeldOut(((1, 2, FOREVER),))
    project.redo()
    report = finish(export(project, tmp_path / "out", ExportOptions(pictures="none")))
    assert (report.images, report.left_out) == (2, 2)


def test_with_a_split_they_are_for_validation(project: Project, tmp_path: Path) -> None:
    store_held_out(project, HeldOut(((1, 2, 3),)))
    # One media cannot be split, but its held-out span is a validation part.
    report = finish(export(project, tmp_path / "one", ExportOptions(val_share=0.5)))
    assert frames_of(tmp_path / "one", "_train") == [("a", 0), ("a", 1)]
    assert frames_of(tmp_path / "one", "_val") == [("a", 2), ("a", 3)]
    assert (report.left_out, report.set_aside, report.images) == (0, 2, 4)
    with pytest.raises(FormatError, match="at least two different media"):
        finish(export(project, tmp_path / "no", ExportOptions(val_share=0.5, include_held_out=True)))
    add_media(project, tmp_path / "b", 2)
    finish(export(project, tmp_path / "two", ExportOptions(val_share=0.5)))
    train, val = (frames_of(tmp_path / "two", part) for part in ("_train", "_val"))
    assert {("a", 2), ("a", 3)} <= set(val)
    assert train
    assert len({name for name, _ in train}) == 1
    assert sorted(train + val) == [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 0), ("b", 1)]


def test_a_whole_media_held_out_leaves_the_other_to_train_on(project: Project, tmp_path: Path) -> None:
    add_media(project, tmp_path / "b", 2)
    store_held_out(project, HeldOut(((1, 0, FOREVER),)))
    finish(export(project, tmp_path / "out", ExportOptions(val_share=0.1)))
    assert frames_of(tmp_path / "out", "_train") == [("b", 0), ("b", 1)]
    assert {name for name, _ in frames_of(tmp_path / "out", "_val")} == {"a"}


def test_nothing_left_and_a_damaged_list_are_one_sentence(project: Project, tmp_path: Path) -> None:
    store_held_out(project, HeldOut(((1, 0, FOREVER),)))
    with pytest.raises(FormatError, match="held out for measuring"):
        finish(export(project, tmp_path / "out", ExportOptions()))
    project.set_setting("held_out", {"media": "all"})
    with pytest.raises(ProjectError, match="damaged"):
        finish(export(project, tmp_path / "out", ExportOptions()))
    assert finish(export(project, tmp_path / "out", ExportOptions(include_held_out=True))).images == 4


def test_the_summary_counts_them(project: Project) -> None:
    store_held_out(project, HeldOut(((1, 3, 3),)))
    assert [finish(summarise(project, "corrections", leave_out=away)).frames for away in (False, True)] == [4, 3]
    assert finish(summarise(project, "corrections", leave_out=True)).held_out == 1


def test_the_command_says_how_many(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_held_out(project, HeldOut(((1, 3, 3),)))
    project.close()
    words = ["export", str(project.path), "--pictures", "none", "--out"]
    assert run_command([*words, str(tmp_path / "x")]) == 0
    assert "Held-out frames left out: 1." in capsys.readouterr().err
    assert len(frames_of(tmp_path / "x")) == 3
    assert run_command([*words, str(tmp_path / "y"), "--include-held-out"]) == 0
    assert "Held-out" not in capsys.readouterr().err
    assert len(frames_of(tmp_path / "y")) == 4
    for form in ("posetrack", "alphapose-cmu"):
        words = ["export", str(project.path), "--format", form, "--out", str(tmp_path / form)]
        assert run_command(words) == 0
        assert "Held-out frames left out: 1." in capsys.readouterr().err
        assert run_command([*words, "--overwrite", "--include-held-out"]) == 0
        assert "Held-out" not in capsys.readouterr().err
        assert len(pictures_of(tmp_path / form)) == 4
